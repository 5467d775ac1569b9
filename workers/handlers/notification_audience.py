"""Who may be notified of whom: not of oneself, the muted or the blocked, nor about posts that one may not see."""

from collections.abc import Mapping, Sequence

from bson import ObjectId

from datasources.notifications.notification_log import Notice
from datasources.sources import Sources
from domain.records.posts import PostRecord
from domain.visibility import as_returned, can_view_post


async def allowed_pairs(sources: Sources, pairs: Sequence[tuple[ObjectId, ObjectId]]) -> set[tuple[ObjectId, ObjectId]]:
    """The pairs of recipient and actor whose recipient may be notified of what the actor does."""
    return {
        pair
        for pair, relation in zip(pairs, await sources.relations.by_pairs(pairs), strict=True)
        if not (relation.is_self or relation.has_muted or relation.has_blocked or relation.is_blocked)
    }


async def allowed_notices(
    sources: Sources, notices: Sequence[Notice], posts: Mapping[ObjectId, PostRecord]
) -> set[tuple[ObjectId, str]]:
    """The keys of those notices, each of one actor and about one of these posts, whose recipients may get them."""
    about = [(notice, posts[notice.post_id]) for notice in notices if notice.post_id is not None]
    allowed = await allowed_pairs(sources, [(notice.recipient_id, notice.actor_ids[0]) for notice, _ in about])
    visible = await are_visible(sources, [(notice.recipient_id, post) for notice, post in about])
    return {
        notice.key
        for (notice, _), is_visible in zip(about, visible, strict=True)
        if is_visible and (notice.recipient_id, notice.actor_ids[0]) in allowed
    }


async def are_visible(sources: Sources, pairs: Sequence[tuple[ObjectId, PostRecord | None]]) -> list[bool]:
    """Whether each recipient may see the post, in the order of `pairs`; of deactivated authors, once they are back."""
    existing = [(recipient_id, post.author_id) for recipient_id, post in pairs if post is not None]
    users = await sources.users.by_ids(list({author_id for _, author_id in existing}))
    authors = {author.id: author for author in users if author is not None}
    relations = dict(zip(existing, await sources.relations.by_pairs(existing), strict=True))
    return [
        post is not None
        and post.author_id in authors
        and can_view_post(post, as_returned(authors[post.author_id]), relations[recipient_id, post.author_id])
        for recipient_id, post in pairs
    ]
