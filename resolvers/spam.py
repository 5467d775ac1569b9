"""Counts what people write and whom they follow: like spam, several times (`domain/spam.py`)."""

from datasources.rate_limits.actions import Use
from domain.rate_limits import Action
from resolvers.rate_limits import count_use
from schema.context import Info


async def count_words(info: Info, action: Action, text: str, *, tagged: int = 0) -> Use:
    """Counts a use of an action by which the viewer writes a text. Raises RateLimited."""
    signals, viewer_id = info.context.sources.rate_limits.spam_signals, info.context.require_viewer()
    return await count_use(info, action, weight=await signals.weight_of_text(viewer_id, action, text, tagged=tagged))


async def count_follow(info: Info, *, is_unfollow: bool = False) -> Use:
    """Counts that the viewer follows somebody, or stops to. Raises RateLimited."""
    signals, viewer_id = info.context.sources.rate_limits.spam_signals, info.context.require_viewer()
    return await count_use(
        info, Action.FOLLOW, weight=await signals.weight_of_follow(viewer_id, is_unfollow=is_unfollow)
    )
