"""Who is told: people hear of others whom they neither muted nor are behind a block from, in posts they may see."""

from collections.abc import Mapping, Sequence

from bson import ObjectId

from datasources.notifications.notifications import Notice
from datasources.sources import Sources
from domain.records.posts import PostRecord
from domain.visibility import can_view_post


async def allowed_pairs(sources: Sources, pairs: Sequence[tuple[ObjectId, ObjectId]]) -> set[tuple[ObjectId, ObjectId]]:
    """The pairs of recipient and actor whose recipient is told: not of oneself, of those muted or behind a block."""
    relations = await sources.relations.by_pairs(pairs)
    return {
        pair
        for pair, to in zip(pairs, relations, strict=True)
        if not (to.is_self or to.has_muted or to.has_blocked or to.is_blocked)
    }


async def allowed_notices(
    sources: Sources, notices: Sequence[Notice], posts: Mapping[ObjectId, PostRecord]
) -> set[tuple[ObjectId, str]]:
    """The keys of the notices, each of one actor and about one of these posts, that the recipient may be told of.

    They hear the actor and may see the post.
    """
    about = [(notice, posts[notice.post_id]) for notice in notices if notice.post_id is not None]
    hearers = await allowed_pairs(sources, [(notice.recipient_id, notice.actor_ids[0]) for notice, _ in about])
    seen = await are_visible(sources, [(notice.recipient_id, post) for notice, post in about])
    return {
        notice.key
        for (notice, _), is_visible in zip(about, seen, strict=True)
        if is_visible and (notice.recipient_id, notice.actor_ids[0]) in hearers
    }


async def are_visible(sources: Sources, pairs: Sequence[tuple[ObjectId, PostRecord | None]]) -> list[bool]:
    """Whether each recipient may see the post."""
    there = [(recipient_id, post.author_id) for recipient_id, post in pairs if post is not None]
    authors = {one.id: one for one in await sources.users.by_ids(list({pair[1] for pair in there})) if one}
    relations = dict(zip(there, await sources.relations.by_pairs(there), strict=True))
    return [
        post is not None
        and post.author_id in authors
        and can_view_post(post, authors[post.author_id], relations[recipient_id, post.author_id])
        for recipient_id, post in pairs
    ]
