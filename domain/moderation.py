"""What moderators may decide, about what and whom."""

from collections.abc import Mapping
from datetime import datetime

from domain.errors import Refusal, UserErrorCode
from domain.limits import APPEAL_WITHIN, SUSPENSION_MAX
from domain.records.moderation import DecisionRecord, ModerationAction, ReportTargetType
from domain.records.users import AccountStanding, Role

_OF_ALL = {ModerationAction.DISMISS, ModerationAction.WARN, ModerationAction.RESTORE}
_OF_CONTENT = _OF_ALL | {ModerationAction.HIDE, ModerationAction.REMOVE}
ACTIONS: Mapping[ReportTargetType, set[ModerationAction]] = {
    ReportTargetType.USER: _OF_ALL | {ModerationAction.LIMIT, ModerationAction.SUSPEND, ModerationAction.BAN},
    ReportTargetType.POST: _OF_CONTENT | {ModerationAction.LABEL_SENSITIVE},
    ReportTargetType.COMMENT: _OF_CONTENT,
}
STANDINGS: Mapping[ModerationAction, AccountStanding] = {
    ModerationAction.LIMIT: AccountStanding.LIMITED,
    ModerationAction.SUSPEND: AccountStanding.SUSPENDED,
    ModerationAction.BAN: AccountStanding.BANNED,
    ModerationAction.RESTORE: AccountStanding.GOOD,
}
MADE_BY: Mapping[AccountStanding, ModerationAction] = {
    standing: action for action, standing in STANDINGS.items() if standing is not AccountStanding.GOOD
}
_STRONGER: Mapping[ModerationAction, set[ModerationAction]] = {
    ModerationAction.HIDE: {ModerationAction.REMOVE},
    ModerationAction.LIMIT: {ModerationAction.SUSPEND, ModerationAction.BAN},
    ModerationAction.SUSPEND: {ModerationAction.BAN},
}
WITHOUT_STATEMENT = {ModerationAction.DISMISS, ModerationAction.RESTORE}
WITH_END = {ModerationAction.LIMIT, ModerationAction.SUSPEND}
APPEALABLE = frozenset(set[ModerationAction]().union(*ACTIONS.values()) - WITHOUT_STATEMENT)
TOLD = frozenset(APPEALABLE | {ModerationAction.RESTORE})  # to whom a decision is about


def check_decision(
    action: ModerationAction,
    target_type: ReportTargetType,
    statement: str,
    until: datetime | None,
    now: datetime,
    *,
    is_appeal: bool = False,
) -> None:
    """Raises Refusal unless the action fits what it is about, with a statement and an end where it needs them."""
    if is_appeal and action not in WITHOUT_STATEMENT:
        raise _invalid("action", "An appeal is decided by DISMISS or RESTORE.")
    if action not in ACTIONS[target_type]:
        raise _invalid("action", f"{action} is no decision about a {target_type}.")
    if not statement and action not in WITHOUT_STATEMENT:
        raise _invalid("statement", f"{action} needs a statement of reasons, which the account reads.")
    if (until is not None) is not (action in WITH_END):
        needs = "needs the time when it ends" if action in WITH_END else "has no end"
        raise _invalid("until", f"{action} {needs}.")
    if until is not None and until.tzinfo is None:
        raise _invalid("until", "A time has its zone, as in 2026-12-31T12:00:00Z.")
    if until is not None and not now < until <= now + SUSPENSION_MAX:
        raise _invalid("until", f"A standing ends within {SUSPENSION_MAX.days} days; BAN has no end.")


def check_transition(
    action: ModerationAction,
    until: datetime | None,
    held: ModerationAction | None,
    held_until: datetime | None,
    now: datetime,
) -> None:
    """Raises Refusal (STRONGER_DECISION) if a decision would weaken or shorten what holds: RESTORE alone does that.

    `held` is what made an account, a post or a comment what it is; it lasts until `held_until`, or has no end.
    """
    if held is None or (held_until is not None and held_until <= now):
        return
    if held in _STRONGER.get(action, ()):
        message = f"{held} holds, which is stronger than {action}. RESTORE comes first."
        raise Refusal(UserErrorCode.STRONGER_DECISION, message, field=["action"])
    if held is action and until is not None and (held_until is None or until < held_until):
        message = f"{held} holds longer than that. RESTORE comes first."
        raise Refusal(UserErrorCode.STRONGER_DECISION, message, field=["until"])


def check_rank(moderator: Role, subject: Role, *, is_oneself: bool) -> None:
    """Raises Refusal (NOT_ALLOWED) for a decision about oneself or, by a moderator, about one."""
    if is_oneself:
        raise Refusal(UserErrorCode.NOT_ALLOWED, "Somebody else decides about you.")
    if subject.moderates and moderator is not Role.ADMINISTRATOR:
        raise Refusal(UserErrorCode.NOT_ALLOWED, "An administrator decides about moderators.")


def can_appeal(decision: DecisionRecord, now: datetime, *, is_appealed: bool) -> bool:
    """Whether who a decision is about may still appeal: once, within `APPEAL_WITHIN`."""
    return decision.action in APPEALABLE and not is_appealed and now - decision.created_at < APPEAL_WITHIN


def _invalid(field: str, message: str) -> Refusal:
    return Refusal(UserErrorCode.INVALID_INPUT, message, field=[field])
