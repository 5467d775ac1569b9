"""Keyset paging in both directions: a cursor says where, not how many (after Relay's cursor connections).

A list is ordered by one key, largest first; `Page` holds its items in that order whichever way it was walked.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec
from bson import ObjectId

from domain.errors import BadInput
from domain.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

Key = ObjectId | int
Item = TypeVar("Item")
Other = TypeVar("Other")

MAX_REFILLS = 10  # as bsky's fillPage: a page that rules keep emptying stops somewhere


def encode_cursor(key: Key) -> str:
    """An opaque cursor for a position; its first byte tells the key's kind."""
    raw = b"o" + key.binary if isinstance(key, ObjectId) else b"i" + key.to_bytes(8, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(cursor: str) -> Key:
    """The position a cursor names. Raises BadInput for what `encode_cursor` cannot have made."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeError, binascii.Error):
        raw = b""
    if len(raw) == 13 and raw[:1] == b"o":
        return ObjectId(raw[1:])
    if len(raw) == 9 and raw[:1] == b"i":
        return int.from_bytes(raw[1:], "big")
    raise BadInput("That is not a cursor of this list.")


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

    def expects(self, kind: type[Key]) -> "PageRequest":
        """This request, once its cursors are known to be of the list's kind of key. Raises BadInput if not."""
        if any(bound is not None and not isinstance(bound, kind) for bound in (self.after, self.before)):
            raise BadInput("That is not a cursor of this list.")
        return self


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Some items of a list, each with its key, and whether the list goes on at either end."""

    items: Sequence[tuple[Key, Item]]
    has_next: bool = False
    has_previous: bool = False

    def with_items(self, items: Sequence[tuple[Key, Other]]) -> "Page[Other]":
        """The same place in the list with other items on it."""
        return Page(items, self.has_next, self.has_previous)


def cut_page(request: PageRequest, found: Sequence[tuple[Key, Item]]) -> Page[Item]:
    """Makes a page of what a store found: up to `limit + 1` items in walking order, the one too many telling of more.

    The end one came from is taken to hold the item the cursor was made of.
    """
    more, kept = len(found) > request.limit, found[: request.limit]
    if request.backward:
        return Page(kept[::-1], has_next=request.before is not None, has_previous=more)
    return Page(kept, has_next=more, has_previous=request.after is not None)


async def fill_page(
    request: PageRequest,
    fetch: Callable[[PageRequest], Awaitable[Page[Item]]],
    present: Callable[[Sequence[tuple[Key, Item]]], Awaitable[Sequence[tuple[Key, Other]]]],
) -> Page[Other]:
    """A full page of what `present` lets through, fetching on (a bounded number of times) where it drops items.

    When the bound is met the page may be short, but it still says that the list goes on.
    """
    kept: list[tuple[Key, Other]] = []
    step, page = request, Page[Item]([])
    for _ in range(MAX_REFILLS):
        page = await fetch(step)
        shown = list(await present(page.items))
        kept = shown + kept if request.backward else kept + shown
        more = page.has_previous if request.backward else page.has_next
        if not more or len(kept) >= request.limit:
            break
        edge = page.items[0][0] if request.backward else page.items[-1][0]
        step = msgspec.structs.replace(step, **{"before" if request.backward else "after": edge})
    return _trim(request, kept, page)


def _trim(request: PageRequest, kept: list[tuple[Key, Other]], last_page: Page[Item]) -> Page[Other]:
    overfull = len(kept) > request.limit
    if request.backward:
        return Page(kept[-request.limit :], request.before is not None, overfull or last_page.has_previous)
    return Page(kept[: request.limit], overfull or last_page.has_next, request.after is not None)
