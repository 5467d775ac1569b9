"""Relay connections over keyset pages."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
import strawberry

from domain.paging import Page, PageRequest, encode_cursor, fill_page
from schema.context import Context, Info
from schema.field_metadata import bounded, priced
from schema.fields import After, Before, First, Last, plain
from schema.lazy_types import LazyCollection, LazyComment, LazyPost, LazyUser

Item = TypeVar("Item")
Shown = TypeVar("Shown")
Node = TypeVar("Node")


@strawberry.type(description="Where a page lies in the whole list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = plain("Whether items follow the last edge.")
    has_previous_page: bool = plain("Whether items come before the first edge.")
    start_cursor: str | None = plain("Cursor of the first edge, null on an empty page.")
    end_cursor: str | None = plain("Cursor of the last edge, null on an empty page.")


PAGE_INFO = "Where this page lies in the whole list."
EDGES = "The edges of this page, in order."


@strawberry.type(description="One item of a list, and its place in it.")
class Edge(Generic[Node]):
    """Presents an `EdgeData`. `Edge[User]` is the API's `UserEdge`."""

    cursor: str = plain("Opaque position of this item; give it as `after` or `before`.")
    node: Node = plain("The item itself.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    """Presents a `ConnectionData`. `Connection[User]` is the API's `UserConnection`."""

    edges: list[Edge[Node]] = plain(EDGES)
    page_info: PageInfo = plain(PAGE_INFO)


UserConnection = Connection[LazyUser]
PostConnection = Connection[LazyPost]
CollectionConnection = Connection[LazyCollection]
CommentConnection = Connection[LazyComment]
CommentEdge = Edge[LazyComment]


class EdgeData(msgspec.Struct, frozen=True):
    """What every edge type presents."""

    cursor: str
    node: Any


class ConnectionData(msgspec.Struct, frozen=True):
    """What every connection type presents."""

    edges: list[EdgeData]
    page_info: PageInfo


def to_connection(page: Page[Any], edge: Callable[[str, Any], EdgeData] = EdgeData) -> ConnectionData:
    """A page as connection types present it; `edge` makes an edge of a cursor and an item."""
    edges = [edge(encode_cursor(key), item) for key, item in page.items]
    info = PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=None if page.start is None else encode_cursor(page.start),
        end_cursor=None if page.end is None else encode_cursor(page.end),
    )
    return ConnectionData(edges, info)


EMPTY = to_connection(Page([]))


async def visible_page(
    request: PageRequest,
    fetch: Callable[[PageRequest], Awaitable[Page[Item]]],
    load: Callable[[Sequence[Item]], Awaitable[Sequence[Shown | None]]],
) -> ConnectionData:
    """A full page of what the viewer may see: ids from `fetch`, records from `load`, None for what is hidden."""
    return to_connection(await fill_page(request, fetch, load))


FetchPage = Callable[[Context, Any, PageRequest], Awaitable[Page[Any]]]


def connected(
    connection_type: Any,
    fetch_page: FetchPage,
    *,
    loader: str,
    description: str,
    is_visible: Callable[[Any, Info], Awaitable[bool]] | None = None,
    price: int = 0,
) -> Any:
    """A list that belongs to a record: `fetch_page` reads pages of its ids, and `loader` loads the items.

    The list is empty where it is not `is_visible`. Items that the loader returns None for are left out, and the page is
    filled up.
    """

    async def resolve(
        root: strawberry.Parent[Any],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ConnectionData:
        request = PageRequest.of(first, after, last, before)
        if is_visible is not None and not await is_visible(root, info):
            return EMPTY
        fetch = partial(fetch_page, info.context, root)
        return await visible_page(request, fetch, getattr(info.context.loaders, loader).load_many)

    return strawberry.field(resolve, graphql_type=connection_type | None, **priced(bounded(description, None), price))
