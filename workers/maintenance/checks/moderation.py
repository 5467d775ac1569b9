"""The rules of reports, cases and decisions, and of what decisions hold."""

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.moderation import CaseStatus, ModerationAction
from domain.records.users import AccountStanding, UserState
from workers.maintenance.checks.record_rules import Related, Rule, must_exist, rules_check

_RESTRICTING = {standing.value for standing in AccountStanding if standing.restricts}
_ENDING = {ModerationAction.LIMIT.value, ModerationAction.SUSPEND.value}


def _is_shown_although_suspended(user: Document, _related: Related) -> object:
    hidden = {UserState.SUSPENDED.value, UserState.DELETED.value}
    return user.get("standing") in _RESTRICTING and user.get("state") not in hidden


async def _suspend(sources: Sources, user_id: ObjectId) -> None:
    await sources.moderation.standings.hide_restricted(user_id, clock.now())


def _never_ends(decision: Document, related: Related) -> object:
    """Whether a standing would outlast its time, because nothing will end it."""
    account = related.account(decision["subject_id"])
    is_timed = decision["action"] in _ENDING and "ends_at" not in decision
    holds = account is not None and account.get("standing_by") == decision["_id"]
    return is_timed and holds and Task.END_DECISION.value not in decision.get("outbox", ())


async def _end_in_time(sources: Sources, decision_id: ObjectId) -> None:
    await sources.database["decisions"].update_one({"_id": decision_id}, [{"$set": {"ends_at": "$until"}}])


def _is_half_closed(case: Document, _related: Related) -> object:
    return (case["status"] == CaseStatus.OPEN.value) is not ("open_target_id" in case)


async def _close(sources: Sources, case_id: ObjectId) -> None:
    closed = {"$set": {"status": CaseStatus.CLOSED.value}, "$unset": {"open_target_id": ""}}
    await sources.database["cases"].update_one({"_id": case_id}, closed)


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
    refers_to={"subject_id": "users"},
    unread=["statement", "note"],
)
CASES = rules_check(
    "cases",
    [Rule(name="status", why="it is neither open nor closed", is_broken=_is_half_closed, repair=_close)],
    unread=["appeal_text"],
)
REPORTS = rules_check("reports", [must_exist("case_id", "cases")], refers_to={"case_id": "cases"}, unread=["note"])
