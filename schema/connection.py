"""Relay connections over keyset pages."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import strawberry
from bson import ObjectId

from domain.interests import feed_reason
from domain.paging import Key, Page, PageRequest, Place, decode_cursor, encode_cursor, fill_page
from domain.records.posts import PostRecord
from schema.context import Context, Info
from schema.fields import After, Before, First, Last, computed, plain

Item = TypeVar("Item")
Found = TypeVar("Found")


@strawberry.type(description="Where a page lies in the whole list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = plain("Whether items follow the last edge.")
    has_previous_page: bool = plain("Whether items come before the first edge.")
    start_cursor: str | None = plain("Cursor of the first edge, null on an empty page.")
    end_cursor: str | None = plain("Cursor of the last edge, null on an empty page.")


class Edge(msgspec.Struct, frozen=True):
    """What every edge type presents."""

    cursor: str
    node: Any


class Connection(msgspec.Struct, frozen=True):
    """What every connection type presents."""

    edges: list[Edge]
    page_info: PageInfo


class FeedPage(Connection, frozen=True):
    """What a page of the home feed presents."""

    as_of: datetime


def connection(page: Page[Any]) -> Connection:
    """Presents a page."""
    edges = [Edge(encode_cursor(key), item) for key, item in page.items]
    info = PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=None if page.start is None else encode_cursor(page.start),
        end_cursor=None if page.end is None else encode_cursor(page.end),
    )
    return Connection(edges, info)


EMPTY = connection(Page([]))


async def visible_page(
    request: PageRequest,
    fetch: Callable[[PageRequest], Awaitable[Page[Item]]],
    load: Callable[[Sequence[Item]], Awaitable[Sequence[Found | None]]],
) -> Connection:
    """A full page of what the viewer may see: ids from `fetch`, records from `load`, None for what is hidden."""

    async def present(items: Sequence[tuple[Key, Item]]) -> list[tuple[Key, Found]]:
        found = await load([item for _, item in items])
        return [(key, one) for (key, _), one in zip(items, found, strict=True) if one is not None]

    return connection(await fill_page(request, fetch, present))


Skeleton = Callable[[Context, Any, PageRequest], Awaitable[Page[Any]]]


def connected(
    connection_type: Any,
    skeleton: Skeleton,
    *,
    loader: str,
    description: str,
    shown: Callable[[Any, Info], Awaitable[bool]] | None = None,
) -> Any:
    """An edge to a list: pages of ids from `skeleton` of the record, and what `loader` has for each of them.

    The list is empty for whom it is not `shown`. What the loader has nothing for is left out, and the page filled up.
    """

    async def resolve(
        root: strawberry.Parent[Any],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection:
        request = PageRequest.of(first, after, last, before)
        if shown is not None and not await shown(root, info):
            return EMPTY
        fetch = partial(skeleton, info.context, root)
        return await visible_page(request, fetch, getattr(info.context.loaders, loader).load_many)

    return strawberry.field(resolve, graphql_type=connection_type | None, description=description)


_CURSOR = "Opaque position of this item; give it as `after` or `before`."
_NODE = "The item itself."
_EDGES = "The edges of this page, in order."
_PAGE_INFO = "Where this page lies in the whole list."

if TYPE_CHECKING:
    from schema.comment import Comment
    from schema.notification import Notification
    from schema.post import Post
    from schema.user import User

LazyUser = Annotated["User", strawberry.lazy("schema.user")]
LazyPost = Annotated["Post", strawberry.lazy("schema.post")]
LazyComment = Annotated["Comment", strawberry.lazy("schema.comment")]
LazyNotification = Annotated["Notification", strawberry.lazy("schema.notification")]


@strawberry.type(description="One item of a UserConnection and where it stands.")
class UserEdge:
    """Presents an `Edge`."""

    cursor: str = plain(_CURSOR)
    node: LazyUser = plain(_NODE)


@strawberry.type(description="A page of users.")
class UserConnection:
    """Presents a `Connection`."""

    edges: list[UserEdge] = plain(_EDGES)
    page_info: PageInfo = plain(_PAGE_INFO)


@strawberry.type(description="One item of a PostConnection and where it stands.")
class PostEdge:
    """Presents an `Edge`."""

    cursor: str = plain(_CURSOR)
    node: LazyPost = plain(_NODE)


@strawberry.type(description="A page of posts.")
class PostConnection:
    """Presents a `Connection`."""

    edges: list[PostEdge] = plain(_EDGES)
    page_info: PageInfo = plain(_PAGE_INFO)


@strawberry.type(description="One item of a CommentConnection and where it stands.")
class CommentEdge:
    """Presents an `Edge`."""

    cursor: str = plain(_CURSOR)
    node: LazyComment = plain(_NODE)


@strawberry.type(description="A page of comments.")
class CommentConnection:
    """Presents a `Connection`."""

    edges: list[CommentEdge] = plain(_EDGES)
    page_info: PageInfo = plain(_PAGE_INFO)


@strawberry.type(description="One item of a FeedConnection and where it stands.")
class FeedEdge:
    """Presents an `Edge`; the cursors of a ranked feed are places."""

    cursor: str = plain(_CURSOR)
    node: LazyPost = plain(_NODE)

    @computed(str | None, "Why it is here, in words, when the feed is ranked.")
    def reason(root: strawberry.Parent[Edge], info: Info) -> Any:
        return _reason(root.node, info) if isinstance(decode_cursor(root.cursor), Place) else None


async def _reason(post: PostRecord, info: Info) -> str | None:
    loaders = info.context.loaders
    author = await loaders.user_by_id.load(post.author_id)
    if author is None:
        return None
    interest = await loaders.interest_by_author.load(post.author_id)
    is_own = post.author_id == info.context.viewer_id
    return feed_reason(author.username, interest, like_count=post.like_count, is_own=is_own)


@strawberry.type(description="A page of the home feed.")
class FeedConnection:
    """Presents a `FeedPage`."""

    edges: list[FeedEdge] = plain(_EDGES)
    page_info: PageInfo = plain(_PAGE_INFO)
    as_of: datetime = plain(
        "When the list was read or, if ranked, put in order. What has changed in it since is in it, but for the order; "
        "words and counts are as of now."
    )


@strawberry.type(description="One item of a NotificationConnection and where it stands.")
class NotificationEdge:
    """Presents an `Edge`."""

    cursor: str = plain(_CURSOR)
    node: LazyNotification = plain(_NODE)


@strawberry.type(description="A page of notifications.")
class NotificationConnection:
    """Presents a `Connection`."""

    edges: list[NotificationEdge] = plain(_EDGES)
    page_info: PageInfo = plain(_PAGE_INFO)


@strawberry.type(description="One item of a FollowRequestConnection and where it stands.")
class FollowRequestEdge:
    """Presents an `Edge`; a request's cursor holds its id, and that when it was made."""

    cursor: str = plain(_CURSOR)
    node: LazyUser = plain(_NODE)

    @computed(datetime, "When they asked.")
    def requested_at(root: strawberry.Parent[Edge]) -> datetime:
        key = decode_cursor(root.cursor)
        return key.generation_time if isinstance(key, ObjectId) else datetime.fromtimestamp(0, UTC)


@strawberry.type(description="A page of users who ask to follow the viewer.")
class FollowRequestConnection:
    """Presents a `Connection`."""

    edges: list[FollowRequestEdge] = plain(_EDGES)
    page_info: PageInfo = plain(_PAGE_INFO)
