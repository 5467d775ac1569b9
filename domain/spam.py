"""How much an act looks like spam: a score that has it count several times to its limit.

The table of `_points` is all there is to it; `docs/design/limits.md` repeats it for operators. An operator's own
function, the setting `spam_screen`, may add points:

    async def no_casinos(act: Act) -> int:
        return 10 if "casino" in act.text.casefold() else 0
"""

import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterator

import msgspec
from bson import ObjectId

from domain.rate_limits import Action, Limit

WEIGHT_MAX = 15  # times that an act counts at most
SHORT_TEXT = 20  # letters and digits; people send "so beautiful" to many
# What was seen lately is counted by limits that restore themselves and refuse nothing.
SAME_BY_ACCOUNT = Limit(100, 86_400.0)
SAME_BY_ALL = Limit(1_000, 3_600.0)
UNFOLLOWS = Limit(200, 86_400.0)
_SIGNS = re.compile(r"[^\w]|_")


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of an act and those before it; each number counts this act too."""

    same_text: int = 0
    """How often the account has sent these words lately, however they were spaced and punctuated."""
    is_short: bool = False
    same_text_by_all: int = 0
    """How often everybody has sent them in the last hour; 0 for a short text."""
    same_link: int = 0
    """How often the account has sent one of the links lately."""
    links: int = 0
    mentions: int = 0
    hashtags: int = 0
    tagged: int = 0
    """People tagged in images."""
    unfollows: int = 0
    """How many people the account has stopped to follow lately."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is about to do, for an operator's function."""

    account_id: ObjectId
    action: Action
    text: str
    signals: Signals
    score: int


SpamScreen = Callable[[Act], Awaitable[int]]


def score(signals: Signals) -> int:
    """The points of all signals together; 0 for what people do."""
    return sum(max(0, points) for points in _points(signals))


def weight(points: int) -> int:
    """How many times an act of so many points counts to its limit."""
    return min(1 + max(0, points), WEIGHT_MAX)


def _points(signals: Signals) -> Iterator[int]:
    yield signals.same_text - (10 if signals.is_short else 2)
    yield 10 if signals.same_text_by_all > 100 else 5 if signals.same_text_by_all > 20 else 0
    yield 2 * (signals.same_link - 2)
    yield 2 * (signals.links - 2)
    yield signals.mentions - 5
    yield (signals.hashtags - 10) // 4
    yield (signals.tagged - 10) // 2
    yield (signals.unfollows - 20) // 10


def fingerprint(text: str) -> str:
    """What stays of a text when case, width, spaces and signs are left out; a text of signs alone is itself."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SIGNS.sub("", folded) or folded
