"""The rules of reports, cases and decisions, and of the standings that decisions give."""

from datetime import timedelta

from bson import ObjectId

from datasources.moderation.cases import OF_OPEN_ONES
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.jobs import Task
from domain.limits import REMOVED_KEPT, REPORTS_KEPT
from domain.records.moderation import CaseStatus, ModerationAction, ReportTargetType
from domain.records.users import AccountStanding, UserState
from workers.maintenance.checks.record_rules import (
    Related,
    Rule,
    is_pending,
    must_exist,
    rules_check,
)

_RESTRICTING = {standing.value for standing in AccountStanding if standing.restricts}
_ENDING = {ModerationAction.LIMIT.value, ModerationAction.SUSPEND.value}


def _is_shown_although_suspended(user: Document, _related: Related) -> object:
    hidden = {UserState.SUSPENDED.value, UserState.DELETED.value}
    return user.get("standing") in _RESTRICTING and user.get("state") not in hidden


async def _suspend(sources: Sources, user_id: ObjectId) -> None:
    await sources.moderation.standings.hide_restricted(user_id, clock.now())


def _never_ends(decision: Document, related: Related) -> object:
    """Whether a standing would outlast its time, or what was removed would be kept, because nothing will end it."""
    is_waiting = "ends_at" in decision or is_pending(decision, Task.END_DECISION)
    if decision["action"] in _ENDING:
        account = related.account(decision["subject_id"])
        return not is_waiting and account is not None and account.get("standing_by") == decision["_id"]
    if decision["action"] != ModerationAction.REMOVE.value:
        return False
    is_post = decision["target_type"] == ReportTargetType.POST.value
    removed = related.documents["posts" if is_post else "comments"].get(decision["target_id"], {})
    holds = removed.get("moderated_by") == decision["_id"] and not removed.get("deleted")
    return not is_waiting and holds


async def _end_in_time(sources: Sources, decision_id: ObjectId) -> None:
    """Has it end when it would have ended. An appeal that is open then postpones the end of what was removed."""
    kept = {"$add": ["$created_at", REMOVED_KEPT // timedelta(milliseconds=1)]}
    ends_at = {"$ifNull": ["$until", kept]}
    unended = {"_id": decision_id, "ends_at": None, "outbox": {"$ne": Task.END_DECISION.value}}
    await sources.database["decisions"].update_one(unended, [{"$set": {"ends_at": ends_at}}])


def _is_half_closed(case: Document, _related: Related) -> object:
    is_open = case["status"] == CaseStatus.OPEN.value
    return is_open is not ("open_target_id" in case) or (not is_open and "reporter_key" in case)


async def _close(sources: Sources, case_id: ObjectId) -> None:
    closed = {"$set": {"status": CaseStatus.CLOSED.value}, "$unset": OF_OPEN_ONES}
    await sources.database["cases"].update_one({"_id": case_id}, closed)


def _differs_from_its_case(report: Document, related: Related) -> object:
    """Whether it is open and its case is closed, or the other way round. What is left of deleted accounts may."""
    case = related.documents["cases"].get(report["case_id"])
    if case is None or related.account(report["subject_id"]) is None:
        return False
    if case["status"] == CaseStatus.OPEN.value:
        return "expires_at" in report
    return "expires_at" not in report or "is_open" in report


async def _follow_its_case(sources: Sources, report_id: ObjectId) -> None:
    """Closes a report of a closed case, and opens one of an open case, so that it is not deleted undecided.

    Raises DuplicateKeyError if its reporter has another open report of the same.
    """
    reports = sources.database["reports"]
    report = await reports.find_one({"_id": report_id})
    case = None if report is None else await sources.database["cases"].find_one({"_id": report["case_id"]})
    if report is None or case is None:
        return
    if case["status"] == CaseStatus.OPEN.value:
        is_open = {} if report["reporter_id"] is None else {"$set": {"is_open": True}}
        await reports.update_one({"_id": report_id}, {**is_open, "$unset": {"expires_at": ""}})
        return
    expires_at = case.get("closed_at", clock.now()) + REPORTS_KEPT
    await reports.update_one({"_id": report_id}, {"$set": {"expires_at": expires_at}, "$unset": {"is_open": ""}})


STANDINGS = rules_check(
    "users",
    [
        Rule(
            name="standing",
            why="it is suspended or banned, and others see it",
            is_broken=_is_shown_although_suspended,
            repair=_suspend,
        )
    ],
    unread=["password_hash", "email", "email_key"],
)
DECISIONS = rules_check(
    "decisions",
    [Rule(name="ends_at", why="nothing will end it", is_broken=_never_ends, repair=_end_in_time)],
    refers_to={"subject_id": "users", "target_id": ("posts", "comments")},
    unread=["statement", "note"],
)
CASES = rules_check(
    "cases",
    [Rule(name="status", why="it is neither open nor closed", is_broken=_is_half_closed, repair=_close)],
    unread=["appeal_text"],
)
REPORTS = rules_check(
    "reports",
    [
        must_exist("case_id", "cases"),
        Rule(
            name="status",
            why="it is open and its case is closed, or the other way round",
            is_broken=_differs_from_its_case,
            repair=_follow_its_case,
        ),
    ],
    refers_to={"case_id": "cases", "subject_id": "users"},
    unread=["note", "reported_text"],
)
