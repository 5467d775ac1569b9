"""The slots that uploads take in their owner's daily and monthly quota (`docs/design/media.md`).

The quota is the set of uploads itself, under unique indexes. So a reservation is one insert, a refund is part of the
write that refuses the file, and no counter can drift.
"""

import secrets
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.mongo import clock
from datasources.mongo.client import Collection, Document
from domain.errors import Refusal, UserErrorCode
from domain.limits import IMAGES_PER_DAY, IMAGES_PER_MONTH, RESERVATION_HOLD, UPLOADS_PER_HOUR
from domain.records.uploads import UploadRecord, UploadStatus
from domain.upload_quota import QuotaUse, quota_period, quota_use

OPEN = [UploadStatus.AWAITING_BYTES.value, UploadStatus.PROCESSING.value]
NO_SLOTS = {"quota_day": "", "quota_month": "", "day_slot": "", "month_slot": ""}  # for `$unset`
MAX_TRIES = IMAGES_PER_DAY * 10  # to take a slot while others take slots too
_HOUR = timedelta(hours=1)
_SLACK_MS = 2_000  # until a worker has noticed that a reservation lapsed


class Reservations:
    """The slot fields of the collection `uploads`."""

    def __init__(self, uploads: Collection) -> None:
        self._uploads = uploads

    async def use(self, owner_id: ObjectId, now: datetime) -> QuotaUse:
        """What an account has used of its images; one read of an index."""
        rows = await self._uploads.find(
            {"owner_id": owner_id, "quota_month": quota_period(now)[1]},
            projection={"_id": 0, "quota_day": 1, "day_slot": 1, "month_slot": 1},
        ).to_list()
        return quota_use(now, [(row["quota_day"], row["day_slot"], row["month_slot"]) for row in rows])

    async def check_pace(self, owner_id: ObjectId) -> None:
        """Raises Refusal (QUOTA_EXCEEDED) if an account has announced `UPLOADS_PER_HOUR` in the last hour.

        One read of an index. Simultaneous calls may pass together, no more of them than there are slots.
        """
        query, latest_first = {"owner_id": owner_id}, [("_id", -1)]
        rows = self._uploads.find(query, {"_id": 1}, sort=latest_first, skip=UPLOADS_PER_HOUR - 1, limit=1)
        for row in await rows.to_list():
            left = row["_id"].generation_time + _HOUR - clock.now()
            if left > timedelta(0):
                message = f"An account announces at most {UPLOADS_PER_HOUR} uploads an hour, cancelled ones too."
                wait = int(left.total_seconds() * 1000) + 1
                raise Refusal(UserErrorCode.QUOTA_EXCEEDED, message, retry_after_ms=wait)

    async def choose_slots(self, owner_id: ObjectId, now: datetime) -> Document:
        """The slot fields for a new upload: a free slot of the day and one of the month, chosen at random.

        If another upload takes one first, writing them raises DuplicateKeyError: then choose again. Raises Refusal
        (QUOTA_EXCEEDED), retryable while a reservation may lapse.
        """
        use = await self.use(owner_id, now)
        days, months = use.free_day_slots, use.free_month_slots
        if not days or not months:
            raise await self._exceeded(owner_id, use, now)
        return {
            "quota_day": use.day,
            "quota_month": use.month,
            "day_slot": secrets.choice(days),
            "month_slot": secrets.choice(months),
        }

    async def confirm_arrival(self, upload: UploadRecord, now: datetime) -> bool:
        """Records that an upload's file has arrived. Takes slots again if its reservation had lapsed.

        One write. False if the upload has its result already, or if others took each slot it tried: then try later.
        Safe to repeat. Raises Refusal (QUOTA_EXCEEDED).
        """
        is_open: Document = {"_id": upload.id, "owner_id": upload.owner_id, "status": {"$in": OPEN}}
        working = {"status": UploadStatus.PROCESSING.value}
        for _ in range(MAX_TRIES):
            held = await self._uploads.update_one({**is_open, "day_slot": {"$exists": True}}, {"$set": working})
            if held.matched_count or not await self._uploads.count_documents(is_open, limit=1):
                return held.matched_count > 0
            slots = await self.choose_slots(upload.owner_id, now)
            try:
                await self._uploads.update_one({**is_open, "day_slot": {"$exists": False}}, {"$set": slots | working})
            except DuplicateKeyError:
                continue
        return False

    async def free_slots(self, upload: UploadRecord, now: datetime) -> None:
        """Frees the slots of an upload that waits for its file, unless it is coming through the API. Safe to repeat."""
        waiting: Document = {"_id": upload.id, "owner_id": upload.owner_id}
        waiting |= {"status": UploadStatus.AWAITING_BYTES.value, "coming_until": {"$not": {"$gt": now}}}
        await self._uploads.update_one(waiting, {"$unset": NO_SLOTS})

    async def _exceeded(self, owner_id: ObjectId, use: QuotaUse, now: datetime) -> Refusal:
        is_month = not use.free_month_slots
        period, limit = ("this month", IMAGES_PER_MONTH) if is_month else ("today", IMAGES_PER_DAY)
        message = f"All {limit} images of {period} are used up."
        counted = {"quota_month": use.month} if is_month else {"quota_month": use.month, "quota_day": use.day}
        query = {"owner_id": owner_id, **counted, "status": UploadStatus.AWAITING_BYTES.value}
        unused = await self._uploads.find_one(query, {"created_at": 1}, sort=[("created_at", 1)])
        wait = None
        if unused is not None:
            message = f"All {limit} images of {period} are used up or reserved for files that have not come."
            left = unused["created_at"] + RESERVATION_HOLD - now
            wait = max(0, int(left.total_seconds() * 1000)) + _SLACK_MS
        return Refusal(UserErrorCode.QUOTA_EXCEEDED, message, retry_after_ms=wait, resets_at=use.resets_at)
