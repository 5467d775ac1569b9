"""The home feed: skeleton, hydration, rules, presentation."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from domain.paging import PageRequest
from domain.records import PostRecord
from resolvers.roots import query
from schema.connection import Connection, FeedConnection, visible_page
from schema.context import Info
from schema.fields import After, Before, First, Last


@query(FeedConnection | None, "The home feed, newest first: posts of the people the viewer follows, and their own.")
async def feed(
    info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Connection:
    viewer_id = info.context.require_viewer()

    async def skeleton(step: PageRequest) -> Any:
        return await info.context.sources.feeds.home(viewer_id, step)

    async def hydrated(post_ids: Sequence[ObjectId]) -> Sequence[PostRecord | None]:
        posts = await info.context.loaders.visible_post_by_id.load_many(post_ids)
        return await _followed(info, posts)

    return await visible_page(PageRequest.of(first, after, last, before), skeleton, hydrated)


async def _followed(info: Info, posts: Sequence[PostRecord | None]) -> list[PostRecord | None]:
    """Only posts of the viewer and of people they follow and have not muted; an entry may be older than the truth."""
    relation_of = info.context.loaders.relation_by_user
    authors = list({post.author_id for post in posts if post is not None})
    relations = dict(zip(authors, await relation_of.load_many(authors), strict=True))
    return [post if post is not None and _belongs(relations[post.author_id]) else None for post in posts]


def _belongs(relation: Any) -> bool:
    return relation.is_self or (relation.is_following and not relation.has_muted)
