"""Cursors, page requests and the filling of pages, against a list in memory."""

import base64
from collections.abc import Sequence

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import BadInput
from domain.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from domain.paging import (
    MAX_REFILLS,
    Key,
    Page,
    PageRequest,
    Place,
    Ranked,
    cut_page,
    decode_cursor,
    encode_cursor,
    fill_page,
)


class Listed:
    """A list of numbers, largest first, paged as a store pages; it counts how often it is asked."""

    def __init__(self, keys: Sequence[int], hidden: Sequence[int] = ()) -> None:
        self._keys = sorted(keys, reverse=True)
        self._hidden = {f"item {key}" for key in hidden}
        self.asked = 0
        self.scanned = 0

    async def fetch(self, request: PageRequest) -> Page[str]:
        self.asked += 1
        keys = [key for key in self._keys if self._between(request, key)]
        walked = keys[::-1] if request.backward else keys
        self.scanned += len(walked[: request.limit + 1])
        return cut_page(request, [(key, f"item {key}") for key in walked[: request.limit + 1]])

    async def load(self, items: Sequence[str]) -> list[str | None]:
        return [None if item in self._hidden else item for item in items]

    async def page(self, **arguments: object) -> Page[str]:
        return await fill_page(PageRequest.of(**arguments), self.fetch, self.load)  # type: ignore[arg-type]

    @staticmethod
    def _between(request: PageRequest, key: int) -> bool:
        after, before = request.after, request.before
        assert after is None or isinstance(after, int)
        assert before is None or isinstance(before, int)
        return (after is None or key < after) and (before is None or key > before)


def keys_of(page: Page[str]) -> list[Key]:
    return [key for key, _ in page.items]


async def walk(listed: Listed, size: int, *, backward: bool) -> list[Key]:
    """All keys as a Relay client reads them: page by page, by the cursors of each page."""
    seen: list[Key] = []
    cursor: str | None = None
    for _ in range(10_000):
        page = await (listed.page(last=size, before=cursor) if backward else listed.page(first=size, after=cursor))
        assert len(page.items) <= size
        seen = keys_of(page) + seen if backward else seen + keys_of(page)
        if not (page.has_previous if backward else page.has_next):
            return seen
        edge = page.start if backward else page.end
        assert edge is not None, "a page that goes on has a cursor to go on from"
        cursor = encode_cursor(edge)
    raise AssertionError("the walk does not end")


@pytest.mark.parametrize(
    "key",
    [
        ObjectId(),
        ObjectId("0" * 24),
        0,
        1,
        2**63 - 1,
        Ranked(0, ObjectId()),
        Ranked(2**63 - 1, ObjectId()),
        Place(ObjectId(), ObjectId(), 0),
        Place(ObjectId(), ObjectId(), 2**16 - 1),
    ],
)
def test_a_cursor_is_decoded_to_its_key(key: Key) -> None:
    assert decode_cursor(encode_cursor(key)) == key


@given(st.one_of(st.text(max_size=40), st.binary(max_size=20).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_anything_else_is_refused_as_a_cursor(text: str) -> None:
    try:
        key = decode_cursor(text)
    except BadInput:
        return
    assert encode_cursor(key) == text


def test_a_cursor_beyond_what_the_database_can_compare_is_refused() -> None:
    raw = b"i" + (2**63).to_bytes(8, "big")
    with pytest.raises(BadInput):
        decode_cursor(base64.urlsafe_b64encode(raw).decode().rstrip("="))


def test_a_request_without_arguments_is_the_first_page() -> None:
    assert PageRequest.of() == PageRequest(limit=PAGE_SIZE_DEFAULT)


def test_a_request_from_the_end_walks_backward() -> None:
    before = ObjectId()
    expected = PageRequest(limit=3, before=before, backward=True)
    assert PageRequest.of(last=3, before=encode_cursor(before)) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": 0},
        {"first": -1},
        {"first": PAGE_SIZE_MAX + 1},
        {"last": 0},
        {"last": PAGE_SIZE_MAX + 1},
        {"first": 1, "last": 1},
        {"first": 1, "after": "nonsense"},
        {"last": 1, "before": ""},
    ],
)
def test_arguments_that_make_no_sense_are_bad_input(arguments: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        PageRequest.of(**arguments)  # type: ignore[arg-type]


def test_a_cursor_of_another_list_is_bad_input() -> None:
    request = PageRequest.of(first=1, after=encode_cursor(7))
    assert request.expects(int) is request
    with pytest.raises(BadInput):
        request.expects(ObjectId)


async def test_the_first_page_goes_on_and_has_nothing_before() -> None:
    page = await Listed(range(5)).page(first=2)
    assert (keys_of(page), page.has_next, page.has_previous) == ([4, 3], True, False)


async def test_a_page_in_the_middle_has_both_neighbours() -> None:
    page = await Listed(range(5)).page(first=2, after=encode_cursor(4))
    assert (keys_of(page), page.has_next, page.has_previous) == ([3, 2], True, True)


async def test_the_last_page_does_not_go_on() -> None:
    page = await Listed(range(4)).page(first=2, after=encode_cursor(2))
    assert (keys_of(page), page.has_next, page.has_previous) == ([1, 0], False, True)


async def test_a_page_from_the_end_is_still_in_the_order_of_the_list() -> None:
    page = await Listed(range(5)).page(last=2)
    assert (keys_of(page), page.has_next, page.has_previous) == ([1, 0], False, True)


async def test_a_page_before_a_cursor_knows_that_the_list_goes_on() -> None:
    page = await Listed(range(5)).page(last=9, before=encode_cursor(2))
    assert (keys_of(page), page.has_next, page.has_previous) == ([4, 3], True, False)


async def test_both_bounds_hold_in_both_directions() -> None:
    listed, bounds = Listed(range(9)), {"after": encode_cursor(7), "before": encode_cursor(2)}
    assert keys_of(await listed.page(first=3, **bounds)) == [6, 5, 4]
    assert keys_of(await listed.page(last=3, **bounds)) == [5, 4, 3]
    assert keys_of(await listed.page(first=9, **bounds)) == [6, 5, 4, 3]


async def test_bounds_with_nothing_between_give_an_empty_page() -> None:
    page = await Listed(range(5)).page(first=5, after=encode_cursor(2), before=encode_cursor(3))
    assert (keys_of(page), page.start, page.end) == ([], None, None)


async def test_an_empty_list_is_an_empty_page() -> None:
    page = await Listed([]).page()
    assert (page.items, page.has_next, page.has_previous) == ([], False, False)


async def test_a_page_is_refilled_where_items_are_hidden() -> None:
    page = await Listed(range(10), hidden=[9, 8, 6]).page(first=3)
    assert (keys_of(page), page.has_next) == ([7, 5, 4], True)


async def test_a_page_from_the_end_is_refilled_as_well() -> None:
    page = await Listed(range(10), hidden=[0, 1, 3]).page(last=3)
    assert (keys_of(page), page.has_previous, page.has_next) == ([5, 4, 2], True, False)


async def test_a_full_page_asks_once() -> None:
    listed = Listed(range(100))
    await listed.page(first=10)
    assert listed.asked == 1


async def test_refilling_is_bounded_and_the_page_says_where_to_go_on() -> None:
    listed = Listed(range(2_000), hidden=range(1, 2_000))
    page = await listed.page(first=2)
    assert listed.asked == MAX_REFILLS
    assert listed.scanned <= MAX_REFILLS * (PAGE_SIZE_MAX + 1)
    assert (keys_of(page), page.has_next) == ([], True)
    assert await walk(listed, 2, backward=False) == [0]


async def test_pages_of_one_item_pass_any_number_of_hidden_ones() -> None:
    listed = Listed(range(600), hidden=range(1, 599))
    assert await walk(listed, 1, backward=False) == [599, 0]
    assert await walk(listed, 1, backward=True) == [599, 0]


@settings(deadline=None)
@given(
    keys=st.sets(st.integers(0, 200), max_size=60),
    hidden=st.sets(st.integers(0, 200), max_size=150),
    size=st.integers(1, 7),
    backward=st.booleans(),
)
async def test_walking_all_pages_gives_exactly_the_list(
    keys: set[int], hidden: set[int], size: int, backward: bool
) -> None:
    listed = Listed(list(keys), list(hidden))
    assert await walk(listed, size, backward=backward) == sorted(keys - hidden, reverse=True)
