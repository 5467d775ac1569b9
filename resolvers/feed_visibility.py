"""Which posts are in the viewer's home feed, by what is true now: what stores and snapshots name may be older."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from domain.records.posts import PostRecord
from domain.visibility import Relation
from schema.context import Info


async def shown_in_feed(info: Info, post_ids: Sequence[ObjectId]) -> list[PostRecord | None]:
    """These posts in their order, None for one that the viewer may not see or that is in no feed of theirs."""
    posts = await info.context.loaders.visible_post_by_id.load_many(post_ids)
    return await by_followed(info, posts)


async def by_followed(info: Info, posts: Sequence[Any]) -> list[Any]:
    """Only what the viewer, or somebody they follow and have not muted, is the author of; None for the others."""
    relation_of = info.context.loaders.relation_by_user
    authors = list({post.author_id for post in posts if post is not None})
    relations = dict(zip(authors, await relation_of.load_many(authors), strict=True))
    return [post if post is not None and _belongs(relations[post.author_id]) else None for post in posts]


def _belongs(relation: Relation) -> bool:
    return relation.is_self or (relation.is_following and not relation.has_muted)
