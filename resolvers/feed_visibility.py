"""Which posts the viewer may see in their home feed now. Feed stores and snapshots may name posts that are hidden."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from domain.records.posts import PostRecord
from domain.topics import hashtag_id
from schema.context import Info


async def shown_in_feed(info: Info, post_ids: Sequence[ObjectId]) -> list[PostRecord | None]:
    """These posts in order; None for a post that the viewer may not see, or that does not belong to their feed."""
    posts = await info.context.loaders.visible_post_by_id.load_many(post_ids)
    return await by_followed(info, posts)


async def by_followed(info: Info, posts: Sequence[Any]) -> list[Any]:
    """These posts in order; None unless a post is the viewer's, or its author or a hashtag of it is followed.

    Posts of people whom the viewer has muted are left out.
    """
    there = [post for post in posts if post is not None]
    relations = await info.context.loaders.relation_by_user.load_many([post.author_id for post in there])
    heard = [(post, relation) for post, relation in zip(there, relations, strict=True) if not relation.has_muted]
    shown = {post.id for post, relation in heard if relation.reaches_feed}
    shown |= await _with_followed_hashtags(info, [post for post, relation in heard if not relation.reaches_feed])
    return [post if post is not None and post.id in shown else None for post in posts]


async def _with_followed_hashtags(info: Info, posts: Sequence[Any]) -> set[ObjectId]:
    """The ids of those of these posts that have a hashtag which the viewer follows."""
    topic_ids = {hashtag_id(name) for post in posts for name in post.hashtags}
    if not topic_ids:
        return set()
    follows = await info.context.loaders.viewer_follows_topic.load_many(list(topic_ids))
    followed = {topic_id for topic_id, is_followed in zip(topic_ids, follows, strict=True) if is_followed}
    return {post.id for post in posts if any(hashtag_id(name) in followed for name in post.hashtags)}
