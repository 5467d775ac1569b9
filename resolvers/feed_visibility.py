"""Which posts the viewer may see in their home feed now. Feed stores and snapshots may name posts that are hidden."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from domain.records.posts import PostRecord
from domain.visibility import Relation
from schema.context import Info


async def shown_in_feed(info: Info, post_ids: Sequence[ObjectId]) -> list[PostRecord | None]:
    """These posts in order; None for a post that the viewer may not see, or that does not belong to their feed."""
    posts = await info.context.loaders.visible_post_by_id.load_many(post_ids)
    return await by_followed(info, posts)


async def by_followed(info: Info, posts: Sequence[Any]) -> list[Any]:
    """These posts in order; None unless the author is the viewer, or somebody they follow and have not muted."""
    author_ids = [post.author_id for post in posts if post is not None]
    relations = iter(await info.context.loaders.relation_by_user.load_many(author_ids))
    return [post if post is not None and _belongs(next(relations)) else None for post in posts]


def _belongs(relation: Relation) -> bool:
    return relation.is_self or (relation.is_following and not relation.has_muted)
