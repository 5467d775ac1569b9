"""What accounts have written and done lately, as far as it may be spam. Redis has hashes alone, for a day at most."""

import asyncio
import hashlib
import inspect
import math
import pkgutil
from collections.abc import Sequence
from functools import cache

import structlog
from bson import ObjectId

from datasources.rate_limits.buckets import Buckets
from datasources.rate_limits.local_buckets import Want
from domain.rate_limits import Action, Limit
from domain.spam import (
    SAME_BY_ACCOUNT,
    SAME_BY_ALL,
    SHORT_TEXT,
    UNFOLLOWS,
    Act,
    Signals,
    SpamScreen,
    fingerprint,
    score,
    weight,
)
from domain.text import hashtags, links, mentions

log = structlog.get_logger(__name__)

SCREEN_SECONDS = 0.25  # the longest time for the operator's function: somebody waits for it
LINKS_COUNTED_MAX = 5  # of one text


class SpamSignals:
    """Weighs acts by `domain/spam.py`; one for a process."""

    def __init__(self, buckets: Buckets, screen: str | None, *, is_on: bool) -> None:
        """`screen` is the setting `spam_screen`."""
        self._buckets = buckets
        self._screen = screen
        self._is_on = is_on

    async def weight_of_text(self, account_id: ObjectId, action: Action, text: str, *, tagged: int = 0) -> int:
        """How many times writing this counts to its limit. Notes that it was written. Never raises."""
        if not self._is_on:
            return 1
        found, words = links(text), fingerprint(text)
        is_short = len(words) < SHORT_TEXT and not found
        wants = []
        if words:
            wants.append(_one("text", f"{account_id} {words}", SAME_BY_ACCOUNT))
        if words and not is_short:
            wants.append(_one("text-by-all", words, SAME_BY_ALL))
        wants += [_one("link", f"{account_id} {link}", SAME_BY_ACCOUNT) for link in found[:LINKS_COUNTED_MAX]]
        counts = dict(zip(wants, await self._count(wants), strict=True))
        signals = Signals(
            same_text=next((counts[want] for want in wants if want.key.startswith("text:")), 0),
            is_short=is_short,
            same_text_by_all=next((counts[want] for want in wants if want.limit is SAME_BY_ALL), 0),
            same_link=max((counts[want] for want in wants if want.key.startswith("link:")), default=0),
            links=len(found),
            mentions=len(mentions(text)),
            hashtags=len(hashtags(text)),
            tagged=tagged,
        )
        return await self._weight(account_id, action, text, signals)

    async def weight_of_follow(self, account_id: ObjectId, *, is_unfollow: bool) -> int:
        """How many times following somebody, or no longer, counts. Notes an unfollow. Never raises."""
        if not self._is_on:
            return 1
        number = 1 if is_unfollow else 0
        (unfollows,) = await self._count([_one("unfollows", str(account_id), UNFOLLOWS, number)])
        return await self._weight(account_id, Action.FOLLOW, "", Signals(unfollows=unfollows))

    async def _count(self, wants: Sequence[Want]) -> list[int]:
        """How many were taken lately, with these."""
        taken = await self._buckets.take(wants) if wants else []
        return [math.ceil(each.backlog / want.limit.interval - 0.01) for want, each in zip(wants, taken, strict=True)]

    async def _weight(self, account_id: ObjectId, action: Action, text: str, signals: Signals) -> int:
        points = score(signals)
        if self._screen is not None:
            act = Act(account_id=account_id, action=action, text=text, signals=signals, score=points)
            try:
                async with asyncio.timeout(SCREEN_SECONDS):
                    points += int(await imported_screen(self._screen)(act))
            except Exception as error:  # noqa: BLE001  of somebody else's function; the score goes without it
                log.warning("spam_screen.failed", error=type(error).__name__)
        return weight(points)


class UnknownSpamScreenError(ValueError):
    """The setting `spam_screen` does not name an async function."""


@cache
def imported_screen(name: str) -> SpamScreen:
    """The operator's function. Raises UnknownSpamScreenError."""
    try:
        screen: SpamScreen = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownSpamScreenError(f"spam_screen {name!r} cannot be imported: {error}") from error
    if not inspect.iscoroutinefunction(screen):
        raise UnknownSpamScreenError(f"spam_screen {name!r} is no async function")
    return screen


def _one(kind: str, text: str, limit: Limit, number: int = 1) -> Want:
    hashed = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
    return Want(f"{kind}:{hashed}", limit, 0, number)
