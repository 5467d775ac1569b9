"""Keyset paging in both directions: a cursor says where, not how many (after Relay's cursor connections).

A list is ordered by one key, largest first. `Page` holds its items in that order, also if it was read backward. A key
is an id, a number, or a `Ranked`: a score with the id that orders equal scores. In a list that was ordered once and is
kept, the key is the `Place` in it; in what a search found, the `Match`.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

import msgspec
from bson import ObjectId

from domain.errors import BadInput
from domain.limits import CURSOR_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX


class Ranked(NamedTuple):
    """A position in a list ordered by a score, the newest of equal scores first."""

    score: int
    id: ObjectId


class Place(NamedTuple):
    """A position in a list that was ordered once, for one reader, and is kept for a while."""

    owner_id: ObjectId
    snapshot_id: ObjectId
    number: int


class Match(NamedTuple):
    """A position in what a search found: by parts, in each by popularity, and then by the text that was found."""

    group: int
    popularity: int
    text: str
    id: ObjectId

    @property
    def order(self) -> tuple[int, int, str, ObjectId]:
        """What smaller positions come first by."""
        return self.group, -self.popularity, self.text, self.id


Key = ObjectId | int | Ranked | Place | Match
Item = TypeVar("Item")
Other = TypeVar("Other")

MAX_NUMBER = 2**63 - 1  # the largest that the database can compare
MAX_REFILLS = 10  # as bsky's fillPage: it bounds the work for a page whose items are all hidden


def encode_cursor(key: Key) -> str:
    """An opaque cursor for a position. Its first byte is the key's kind."""
    match key:
        case ObjectId():
            raw = b"o" + key.binary
        case Ranked():
            raw = b"r" + key.score.to_bytes(8, "big") + key.id.binary
        case Place():
            raw = b"s" + key.owner_id.binary + key.snapshot_id.binary + key.number.to_bytes(2, "big")
        case Match():
            raw = b"m" + bytes((key.group, key.popularity)) + key.id.binary + key.text.encode()
        case _:
            raw = b"i" + key.to_bytes(8, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(cursor: str) -> Key:
    """The position of a cursor. Raises BadInput for what `encode_cursor` cannot have made."""
    if len(cursor) > CURSOR_MAX:
        raise BadInput("That is not a cursor of this list.")
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    key: Key | None = None
    if len(raw) == 13 and raw[:1] == b"o":
        key = ObjectId(raw[1:])
    if len(raw) == 9 and raw[:1] == b"i":
        key = int.from_bytes(raw[1:], "big")
    if len(raw) == 21 and raw[:1] == b"r":
        key = Ranked(int.from_bytes(raw[1:9], "big"), ObjectId(raw[9:]))
    if len(raw) == 27 and raw[:1] == b"s":
        key = Place(ObjectId(raw[1:13]), ObjectId(raw[13:25]), int.from_bytes(raw[25:], "big"))
    if len(raw) >= 15 and raw[:1] == b"m":
        key = Match(raw[1], raw[2], raw[15:].decode(errors="replace"), ObjectId(raw[3:15]))
    number = key.score if isinstance(key, Ranked) else key
    if key is None or (isinstance(number, int) and number > MAX_NUMBER) or encode_cursor(key) != cursor:
        raise BadInput("That is not a cursor of this list.")
    return key


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted: at most `limit` items strictly between `after` and `before`.

    `backward` takes them from the end. Both bounds may be given at once, as Relay allows.
    """

    limit: int
    after: Key | None = None
    before: Key | None = None
    backward: bool = False

    @classmethod
    def of(
        cls, first: int | None = None, after: str | None = None, last: int | None = None, before: str | None = None
    ) -> "PageRequest":
        """Checks a connection's arguments. Raises BadInput for `first` with `last`, sizes out of range, bad cursors."""
        if first is not None and last is not None:
            raise BadInput("Give first or last, not both.")
        name, limit = ("last", last) if last is not None else ("first", PAGE_SIZE_DEFAULT if first is None else first)
        if not 1 <= limit <= PAGE_SIZE_MAX:
            raise BadInput(f"{name} must be from 1 to {PAGE_SIZE_MAX}.")
        return cls(
            limit=limit,
            after=None if after is None else decode_cursor(after),
            before=None if before is None else decode_cursor(before),
            backward=last is not None,
        )

    @property
    def is_beginning(self) -> bool:
        return self.after is None and self.before is None and not self.backward

    def beyond(self, key: Key) -> "PageRequest":
        """What is left of this request after an item with this key, in the direction in which it walks."""
        return msgspec.structs.replace(self, **{"before" if self.backward else "after": key})

    def holds(self, key: ObjectId) -> bool:
        """Whether a key lies strictly between the bounds of this request, which must be ids."""
        after, before = self.after, self.before
        is_below = not isinstance(after, ObjectId) or key < after
        return is_below and (not isinstance(before, ObjectId) or key > before)

    def expects(self, kind: type[Key]) -> "PageRequest":
        """This request. Raises BadInput if its cursors are not of the list's kind of key."""
        if any(bound is not None and not isinstance(bound, kind) for bound in (self.after, self.before)):
            raise BadInput("That is not a cursor of this list in this order.")
        return self


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Some items of a list, each with its key, and whether the list goes on at either end.

    `stopped_at` is where reading stopped, on a page that is not full although the list goes on. `as_of` is when the
    list was read, if it comes from a cache.
    """

    items: Sequence[tuple[Key, Item]]
    has_next: bool = False
    has_previous: bool = False
    stopped_at: Key | None = None
    backward: bool = False
    as_of: datetime | None = None

    @property
    def start(self) -> Key | None:
        """From where the list goes on backward; None on an empty page of a list that does not."""
        return self._edge(0, stopped_here=self.backward)

    @property
    def end(self) -> Key | None:
        """From where the list goes on forward; None on an empty page of a list that does not."""
        return self._edge(-1, stopped_here=not self.backward)

    def _edge(self, index: int, *, stopped_here: bool) -> Key | None:
        if stopped_here and self.stopped_at is not None:
            return self.stopped_at
        return self.items[index][0] if self.items else None


def cut_page(request: PageRequest, items: Sequence[tuple[Key, Item]], *, stopped_at: Key | None = None) -> Page[Item]:
    """Makes a page of items in reading order. The list goes on if there are more than `limit`, or it `stopped_at`.

    A list that was read from a cursor is taken to go on in the other direction, with the cursor's item.
    """
    more, kept = stopped_at is not None or len(items) > request.limit, items[: request.limit]
    if request.backward:
        return Page(kept[::-1], request.before is not None, more, stopped_at, backward=True)
    return Page(kept, more, request.after is not None, stopped_at)


async def fill_page(
    request: PageRequest,
    fetch: Callable[[PageRequest], Awaitable[Page[Item]]],
    load: Callable[[Sequence[Item]], Awaitable[Sequence[Other | None]]],
) -> Page[Other]:
    """A full page of what `load` returns for the items. Where it returns None, more are fetched.

    It looks for one item more than is wanted, so that no list goes on to an empty page. After `MAX_REFILLS` the page
    may be short or empty, but it still says that the list goes on, and from where.
    """
    kept: list[tuple[Key, Other]] = []
    step, page = msgspec.structs.replace(request, limit=request.limit + 1), Page[Item]([])
    for _ in range(MAX_REFILLS):
        page = await fetch(step)
        records = await load([item for _, item in page.items])
        shown = [(key, record) for (key, _), record in zip(page.items, records, strict=True) if record is not None]
        kept += shown[::-1] if request.backward else shown
        more = page.has_previous if request.backward else page.has_next
        if not more or len(kept) > request.limit:
            return cut_page(request, kept)
        bound = {"before" if request.backward else "after": _last_key(request, page)}
        step = msgspec.structs.replace(step, limit=PAGE_SIZE_MAX, **bound)
    return cut_page(request, kept, stopped_at=_last_key(request, page))


def _last_key(request: PageRequest, page: Page[Item]) -> Key:
    return page.items[0][0] if request.backward else page.items[-1][0]
