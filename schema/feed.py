"""The home feed: its pages, and news about it."""

from datetime import datetime
from typing import Any

import strawberry

from domain.interests import feed_reason
from domain.limits import NEW_POSTS_COUNTED_MAX
from domain.paging import Place, decode_cursor
from domain.records.posts import PostRecord
from domain.records.topics import HashtagRecord
from domain.suggesting import suggestion_reason
from domain.topics import hashtag_id
from schema.connection import EDGES, PAGE_INFO, ConnectionData, Edge, EdgeData, PageInfo
from schema.context import Info
from schema.fields import computed, plain
from schema.hashtag import Hashtag
from schema.post import Post


@strawberry.type(description="One item of a FeedConnection and where it stands.")
class FeedEdge(Edge[Post]):
    """Presents an `EdgeData`; only cursors of a ranked feed are places."""

    @computed(
        Hashtag | None, "The followed hashtag because of which it is here; null if the viewer follows its author."
    )
    async def hashtag(root: strawberry.Parent[EdgeData], info: Info) -> HashtagRecord | None:
        name = await _followed_hashtag(root.node, info)
        return None if name is None else await info.context.loaders.hashtag_by_name.load(name)

    @computed(str | None, "Why it is here, in words, when the feed is ranked.")
    def reason(root: strawberry.Parent[EdgeData], info: Info) -> Any:
        return _reason(root.node, info) if isinstance(decode_cursor(root.cursor), Place) else None

    @computed(
        bool,
        "Whether it is suggested: neither its author nor a hashtag of it is followed. Only a ranked feed goes on with "
        "suggested posts, after all others; see showsSuggestedPosts of updatePreferences.",
    )
    async def is_suggested(root: strawberry.Parent[EdgeData], info: Info) -> bool:
        return isinstance(decode_cursor(root.cursor), Place) and await _is_suggested(root.node, info)


async def _is_suggested(post: PostRecord, info: Info) -> bool:
    is_followed = (await info.context.loaders.relation_by_user.load(post.author_id)).reaches_feed
    return not is_followed and await _followed_hashtag(post, info) is None


async def _reason(post: PostRecord, info: Info) -> str | None:
    loaders = info.context.loaders
    author = await loaders.user_by_id.load(post.author_id)
    if author is None:
        return None
    hashtag = await _followed_hashtag(post, info)
    if hashtag is not None:
        return f"You follow #{hashtag}."
    interest = await loaders.interest_by_author.load(post.author_id)
    if not (await loaders.relation_by_user.load(post.author_id)).reaches_feed:
        return suggestion_reason(author.username, interest, like_count=post.like_count)
    is_own = post.author_id == info.context.viewer_id
    return feed_reason(author.username, interest, like_count=post.like_count, is_own=is_own)


async def _followed_hashtag(post: PostRecord, info: Info) -> str | None:
    """The first of its hashtags that the viewer follows; None if the post is here because of its author."""
    loaders = info.context.loaders
    if (await loaders.relation_by_user.load(post.author_id)).reaches_feed:
        return None
    follows = await loaders.viewer_follows_topic.load_many([hashtag_id(name) for name in post.hashtags])
    return next((name for name, is_followed in zip(post.hashtags, follows, strict=True) if is_followed), None)


@strawberry.type(description="A page of the home feed.")
class FeedConnection:
    """Presents a `FeedData`."""

    edges: list[FeedEdge] = plain(EDGES)
    page_info: PageInfo = plain(PAGE_INFO)
    as_of: datetime = plain(
        "When the list was read or, if ranked, put in order. What has changed in it since is in it, but for the order; "
        "words and counts are as of now."
    )


class FeedData(ConnectionData, frozen=True):
    """What a `FeedConnection` presents."""

    as_of: datetime


@strawberry.type(description="News about the home feed.")
class FeedEvent:
    """Built for each event."""

    new_post_count: int = plain(
        f"How many posts are newer than what the viewer last read; at most {NEW_POSTS_COUNTED_MAX}."
    )
