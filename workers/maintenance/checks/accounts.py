"""Deleted accounts of which something is left (a process may have slept), and sessions and factors without a user."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.accounts.account_references import find_references
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.users import UserState
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot
from workers.maintenance.checks.record_rules import (
    Related,
    Rule,
    delete_from,
    is_pending,
    must_exist,
    rules_check,
)

LEFT = "user.left"


async def _find_left(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The deleted accounts that something still refers to, and whose cleaning up is not pending."""
    deleted: Document = {"state": UserState.DELETED.value, "outbox": {"$ne": Task.CLEAN_UP.value}}
    users = sources.database["users"]
    rows = await users.find({"_id": {"$in": list(ids)}, **deleted}, {"_id": 1}, session=session).to_list()
    left = await find_references(sources.database, [row["_id"] for row in rows], session)
    why = "it is deleted, and something still refers to it"
    return [
        Finding(kind=LEFT, id=str(user_id), expected=[], found=collections, why=why)
        for user_id, collections in left.items()
    ]


async def _clean_up_again(sources: Sources, user_id: ObjectId) -> None:
    await sources.users.restart_deletion(user_id, clock.now())


def _is_of_deactivated(session: Document, related: Related) -> object:
    account = related.account(session["user_id"])
    is_away = account is not None and account.get("state") == UserState.DEACTIVATED.value
    return is_away and not is_pending(account, Task.END_SESSIONS)


def _is_of_another_standing(session: Document, related: Related) -> object:
    account = related.account(session["user_id"])
    if account is None or is_pending(related.documents["decisions"].get(account.get("standing_by")), Task.END_SESSIONS):
        return False
    return bool(session.get("is_restricted")) is not (account.get("state") == UserState.SUSPENDED.value)


async def _end_outdated(sources: Sources, session_id: ObjectId) -> None:
    session = await sources.database["sessions"].find_one({"_id": session_id}, {"user_id": 1})
    if session is not None:
        await sources.moderation.deciding.end_sessions(session["user_id"])


DELETED_ACCOUNTS = Check(collection="users", find=from_snapshot(_find_left), repairs={LEFT: by_id(_clean_up_again)})
FACTORS = rules_check("factors", [must_exist("_id", "users", delete_from("factors"))], refers_to={"_id": "users"})
SESSIONS = rules_check(
    "sessions",
    [
        must_exist("user_id", "users", delete_from("sessions")),
        Rule(
            name="deactivated",
            why="its account is deactivated, and nothing is pending that ends it",
            is_broken=_is_of_deactivated,
            repair=delete_from("sessions"),
        ),
        Rule(
            name="standing",
            why="its account was suspended or restored since, and it did not end",
            is_broken=_is_of_another_standing,
            repair=_end_outdated,
        ),
    ],
    refers_to={"user_id": "users", "users.standing_by": "decisions"},
    unread=["access_hash", "refresh_hash", "spent_hashes"],
)
