"""The rules of uploads."""

from bson import ObjectId

from datasources.sources import Sources
from domain.jobs import Task
from domain.records.uploads import UploadStatus
from workers.maintenance.checks.record_rules import Rule, add_tasks, must_exist, must_have_pending, rules_check


async def _give_slots_back(sources: Sources, upload_id: ObjectId) -> None:
    refused = {"_id": upload_id, "failure": {"$exists": True}}
    slots = dict.fromkeys(("quota_day", "quota_month", "day_slot", "month_slot"), "")
    await sources.database["uploads"].update_one(refused, {"$unset": slots})


_RULES = (
    must_exist("owner_id", "users"),
    Rule(
        name="awaiting_bytes",
        why="its file is awaited, and no task looks for it",
        is_broken=must_have_pending(UploadStatus.AWAITING_BYTES.value, Task.INGEST),
        repair=add_tasks("uploads", Task.INGEST),
    ),
    Rule(
        name="processing",
        why="its renditions are awaited, and no task makes them",
        is_broken=must_have_pending(UploadStatus.PROCESSING.value, Task.INGEST),
        repair=add_tasks("uploads", Task.INGEST),
    ),
    Rule(
        name="image",
        why="it is ready and has no image",
        is_broken=lambda upload, _: upload.get("status") == UploadStatus.READY.value and not upload.get("image"),
    ),
    Rule(
        name="slots",
        why="it was refused and still takes up quota",
        is_broken=lambda upload, _: "failure" in upload and "day_slot" in upload,
        repair=_give_slots_back,
    ),
)
UPLOADS = rules_check("uploads", _RULES, refers_to={"owner_id": "users"})
