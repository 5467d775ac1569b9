"""All likes of one post or comment make one notification for its author ("ana and 12 others").

Every like records whether its target's author is notified of it, so that a handler that runs twice counts it once.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.notifications.notification_log import Key, Notice
from datasources.posts.likes import LikeStore
from domain.limits import ACTORS_SHOWN
from domain.records.notifications import NotificationKind, NotificationRecord
from workers.handlers.apply_in_chunks import MAX_FACTS, apply_in_chunks
from workers.handlers.notification_audience import allowed_pairs, are_visible
from workers.runtime.handler import Tools


async def notify_post_likes(tools: Tools, *keys: str) -> Collection[str]:
    """Groups each post's likes into one notification for its author."""
    posts = await tools.sources.posts.by_ids([ObjectId(key) for key in keys])
    groups = {
        post.id: Notice(
            recipient_id=post.author_id,
            group_key=f"POST_LIKED:{post.id}",
            kind=NotificationKind.POST_LIKED,
            post_id=post.id,
        )
        for post in posts
        if post is not None and not post.deleted
    }
    return await _notify_likes(tools, tools.sources.post_likes, groups, keys)


async def notify_comment_likes(tools: Tools, *keys: str) -> Collection[str]:
    """Groups each comment's likes into one notification for its author."""
    sources = tools.sources
    all_comments = await sources.comments.by_ids([ObjectId(key) for key in keys])
    comments = [comment for comment in all_comments if comment is not None and not comment.deleted]
    posts = await sources.posts.by_ids([comment.post_id for comment in comments])
    authors = [comment.author_id for comment in comments]
    visible = await are_visible(sources, list(zip(authors, posts, strict=True)))
    groups = {
        comment.id: Notice(
            recipient_id=comment.author_id,
            group_key=f"COMMENT_LIKED:{comment.id}",
            kind=NotificationKind.COMMENT_LIKED,
            post_id=comment.post_id,
            comment_id=comment.id,
        )
        for comment, is_visible in zip(comments, visible, strict=True)
        if is_visible
    }
    return await _notify_likes(tools, tools.sources.comment_likes, groups, keys)


async def _notify_likes(
    tools: Tools, likes: LikeStore, groups: Mapping[ObjectId, Notice], keys: Sequence[str]
) -> Collection[str]:
    sources = tools.sources

    async def apply(target_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        pending = await likes.pending_notifications(target_ids, session, MAX_FACTS)
        standing = [like for like in pending if like["liked"] and like["target_id"] in groups]
        pairs = [(groups[like["target_id"]].recipient_id, like["user_id"]) for like in standing]
        allowed = await allowed_pairs(sources, pairs)
        notified = {like["_id"] for like, pair in zip(standing, pairs, strict=True) if pair in allowed}
        shown = [like for like in pending if like["_id"] in notified]
        await likes.set_notified(shown, [like for like in pending if like["_id"] not in notified], session)
        concerned = [like for like in pending if like["target_id"] in groups]
        before = await sources.notifications.by_keys({groups[like["target_id"]].key for like in concerned}, session)
        notices = await _updated_notices(likes, groups, concerned, notified, before, session)
        await sources.notifications.write(notices, clock.now(), session, before)
        return pending

    recipients = {group.recipient_id for group in groups.values()}
    async with sources.notifications.changing(recipients):
        return await apply_in_chunks(tools, keys, "target_id", apply)


async def _updated_notices(
    likes: LikeStore,
    groups: Mapping[ObjectId, Notice],
    concerned: Sequence[Document],
    notified: Collection[ObjectId],
    before: Mapping[Key, NotificationRecord],
    session: Session,
) -> list[Notice]:
    """Each target's notification after these pending likes, which are ordered by target, are added or withdrawn."""
    notices = []
    for target_id, of_target in groupby(concerned, key=lambda like: like["target_id"]):
        changes, group = list(of_target), groups[target_id]
        current = before.get(group.key)
        new = sorted((like for like in changes if like["_id"] in notified), key=lambda like: like["_id"], reverse=True)
        count = (current.actor_count if current else 0) + len(new) - sum(bool(like.get("notified")) for like in changes)
        changed = {like["user_id"] for like in changes}
        unchanged = [actor_id for actor_id in current.actor_ids if actor_id not in changed] if current else []
        actor_ids = [*(like["user_id"] for like in new), *unchanged][:ACTORS_SHOWN]
        if len(actor_ids) < min(count, ACTORS_SHOWN):
            actor_ids = await likes.latest_notified(target_id, ACTORS_SHOWN, session)
        notices.append(
            msgspec.structs.replace(
                group,
                actor_ids=actor_ids,
                actor_count=count,
                withdrawn=count <= 0,
                is_news=any(not like.get("announced") for like in new),
            )
        )
    return notices
