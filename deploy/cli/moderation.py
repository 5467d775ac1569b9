"""What the commands of `moderation` do: each returns its exit code."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from bson import ObjectId

from config import Settings
from datasources.moderation.deciding import Ruling
from datasources.mongo import clock
from datasources.sources import Sources
from deploy.cli.exit_codes import WRONG_USAGE
from deploy.cli.maintenance_reports import open_prepared
from deploy.cli.output import print_json, print_line
from deploy.local.errors import StartError
from domain.errors import BadInput, Refusal
from domain.ids import expect_id, from_global_id, to_global_id
from domain.limits import REPORT_NOTE_MAX, STATEMENT_MAX
from domain.moderation import check_decision
from domain.paging import PageRequest
from domain.records.moderation import (
    CaseRecord,
    CaseStatus,
    DecisionRecord,
    ModerationAction,
    ReportReason,
    ReportTargetType,
    Target,
)
from domain.records.users import Role
from domain.text import checked_text

Choice = TypeVar("Choice", bound=StrEnum)
_CASE = "ModerationCase"


class Wanted(NamedTuple):
    """What an operator decides, as it was typed."""

    target: str
    action: str
    statement: str
    note: str
    until: datetime | None


async def run_role(settings: Settings, username: str, name: str) -> int:
    """Gives an account a role, and prints both. Raises StartError if there is no such account or role."""
    role = _choice(Role, name)
    async with open_prepared(settings) as sources:
        user_id = await _account(sources, username)
        if not await sources.moderation.deciding.set_role(user_id, role, clock.now()):
            raise StartError(f"there is no account {username}")
    print_line(f"{username} is {role}")
    return 0


async def run_queue(settings: Settings, limit: int, *, closed: bool, as_json: bool) -> int:
    """Prints cases, one a line."""
    status = CaseStatus.CLOSED if closed else CaseStatus.OPEN
    async with open_prepared(settings) as sources:
        page = await sources.moderation.cases.queue(PageRequest(limit=limit), status, reason=None, kind=None)
        for _, case in page.items:
            known = _case(case)
            print_json(known) if as_json else print_line("  ".join(map(str, known.values())))
    return 0


async def run_show(settings: Settings, name: str, *, as_json: bool) -> int:
    """Prints a case with its latest reports. Raises StartError if there is none."""
    async with open_prepared(settings) as sources:
        case = await _find_case(sources, name)
        reports = [
            {"reason": report.reason, "at": report.created_at, "note": report.note}
            for report in await sources.moderation.reports.of_case(case.id)
        ]
        text = await sources.moderation.reports.text_of_case(case.id)
    known = {**_case(case), "text": text, "appeal": case.appeal_text, "reports": reports}
    if as_json:
        print_json(known)
        return 0
    for key, value in known.items():
        for each in value if isinstance(value, list) else [value]:
            print_line(f"{key}: {'  '.join(map(str, each.values())) if isinstance(each, dict) else each}")
    return 0


async def run_decide(settings: Settings, wanted: Wanted) -> int:
    """Decides as an operator, and prints the entry in the log. Raises StartError if it is refused."""
    action, now = _choice(ModerationAction, wanted.action), clock.now()
    until = None if wanted.until is None else wanted.until.replace(tzinfo=UTC)
    async with open_prepared(settings) as sources:
        try:
            statement = checked_text(wanted.statement, "statement", max_length=STATEMENT_MAX)
            note = checked_text(wanted.note, "note", max_length=REPORT_NOTE_MAX)
            target, case = await find_target(sources, wanted.target)
            is_appeal = case is not None and case.appeal_of is not None
            check_decision(action, target.type, statement, until, now, is_appeal=is_appeal)
            ruling = Ruling(target=target, action=action, case=case, statement=statement, note=note, until=until)
            decision = await sources.moderation.deciding.decide(ruling, now)
        except Refusal as refusal:
            raise StartError(refusal.message) from None
    print_line("  ".join(map(str, _entry(decision).values())))
    return 0


async def run_log(settings: Settings, username: str | None, limit: int, *, as_json: bool) -> int:
    """Prints the log, latest first. Raises StartError if there is no such account."""
    async with open_prepared(settings) as sources:
        about = {} if username is None else {"subject_id": await _account(sources, username)}
        page = await sources.moderation.decisions.log(PageRequest(limit=limit), **about)
        for _, decision in page.items:
            known = _entry(decision)
            print_json(known) if as_json else print_line("  ".join(map(str, known.values())))
    return 0


def _choice(kind: type[Choice], name: str) -> Choice:
    try:
        return kind(name.upper())
    except ValueError:
        raise StartError(f"{name}: there are {', '.join(kind)}", exit_code=WRONG_USAGE) from None


async def _account(sources: Sources, username: str) -> ObjectId:
    user = await sources.users.by_username(username)
    if user is None:
        raise StartError(f"there is no account {username}")
    return user.id


async def _find_case(sources: Sources, name: str) -> CaseRecord:
    case_id = expect_id(name, _CASE)
    (case,) = [None] if case_id is None else await sources.moderation.cases.by_ids([case_id])
    if case is None:
        raise StartError(f"there is no case {name}")
    return case


async def find_target(sources: Sources, name: str) -> tuple[Target, CaseRecord | None]:
    """What a handle or a global id names: the target of a case, with the case, or an account, a post, a comment."""
    try:
        type_name, object_id = from_global_id(name)
    except BadInput:
        type_name, object_id = ReportTargetType.USER.value, await _account(sources, name)
    if type_name == _CASE:
        case = await _find_case(sources, name)
        return case.target, case
    record: Any
    match type_name:
        case ReportTargetType.USER.value if await sources.moderation.standings.state(object_id) is not None:
            return Target(id=object_id, type=ReportTargetType.USER, subject_id=object_id), None
        case ReportTargetType.POST.value:
            (record,) = await sources.posts.by_ids([object_id])
        case ReportTargetType.COMMENT.value:
            (record,) = await sources.comments.by_ids([object_id])
        case _:
            record = None
    if record is None or record.deleted:
        raise StartError(f"there is no user, post or comment {name}")
    return Target(id=object_id, type=ReportTargetType(type_name), subject_id=record.author_id), None


def _case(case: CaseRecord) -> dict[str, Any]:
    kind = "appeal" if case.appeal_of is not None else "reports"
    return {
        "id": to_global_id(_CASE, case.id),
        "opened": case.created_at,
        "kind": kind,
        "target": to_global_id(case.target_type.value, case.target_id),
        "count": case.report_count,
        "reasons": ",".join(map(ReportReason, case.reasons)) or "-",
    }


def _entry(decision: DecisionRecord) -> dict[str, Any]:
    moderator = decision.moderator_id
    return {
        "at": decision.created_at,
        "action": decision.action,
        "target": to_global_id(decision.target_type.value, decision.target_id),
        "moderator": "-" if moderator is None else to_global_id("User", moderator),
        "until": decision.until or "-",
        "statement": decision.statement or decision.role or "-",
    }
