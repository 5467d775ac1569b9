"""Counts uses of actions that have limits of their own (docs/design/limits.md)."""

from datasources.rate_limits.actions import Use
from domain.errors import Refusal, UserErrorCode
from domain.rate_limits import Action, RateLimited, Subject
from schema.context import Info

_OF_STRANGERS = frozenset({Action.LOGIN, Action.LOGINS, Action.REGISTER, Action.PASSWORD_RESET})


async def count_use(
    info: Info, action: Action, *, name: str | None = None, device: str | None = None, weight: int = 1
) -> Use:
    """Counts one use of an action. Raises RateLimited, which mutations answer as the user error RATE_LIMITED.

    It counts to the viewer; without one, or with a `name`, to the address and that name; and with a known `device` to
    that alone. `name` is what a stranger says: a login, an e-mail address, the account that a code is for. Call it
    before anything is looked up by that name, so that a refusal says nothing about it. With a `weight` it counts so
    many times.
    """
    context = info.context
    viewer_id = None if action in _OF_STRANGERS or name is not None else context.viewer_id
    if device is not None:
        subjects: dict[Subject, object] = {Subject.DEVICE: device}
    elif viewer_id is not None:
        subjects = {Subject.ACCOUNT: viewer_id}
    else:
        subjects = {Subject.NAME: name, Subject.ADDRESS: context.address}
    return await context.sources.rate_limits.actions.take(action, subjects, viewer_id, weight=weight)


def to_refusal(limited: RateLimited) -> Refusal:
    """The refusal of a mutation whose limit is used up."""
    return Refusal(UserErrorCode.RATE_LIMITED, limited.message, retry_after_ms=limited.retry_after_ms)
