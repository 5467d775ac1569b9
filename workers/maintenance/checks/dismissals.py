"""What accounts that exist have dismissed: each somebody else, once, and not more than are remembered."""

from bson import ObjectId

from datasources.discovery.dismissals import remembered
from datasources.mongo.client import Document
from datasources.sources import Sources
from workers.maintenance.checks.check import Check
from workers.maintenance.checks.record_rules import Related, Rule, delete_from, must_exist, rules_check


def _is_wrong(document: Document, _: Related) -> bool:
    user_ids: list[ObjectId] = document["user_ids"]
    return remembered(document["_id"], user_ids) != user_ids


async def _correct(sources: Sources, account_id: ObjectId) -> None:
    await sources.discovery.dismissals.correct(account_id)


DISMISSALS: Check = rules_check(
    "dismissed_suggestions",
    [
        must_exist("_id", "users", delete_from("dismissed_suggestions")),
        Rule(
            name="user_ids",
            why="it names oneself, somebody twice, or more than are remembered",
            is_broken=_is_wrong,
            repair=_correct,
        ),
    ],
    refers_to={"_id": "users"},
)
