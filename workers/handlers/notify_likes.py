"""Likes in notifications: all those of one post or comment are one, for its author ("ana and 12 others").

Every like says whether its target's owner is told of it, so that a handler which runs twice counts it once.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.notifications.notifications import Notice
from datasources.posts.likes import LikeStore
from datasources.sources import Sources
from domain.limits import ACTORS_SHOWN
from domain.records.notifications import NotificationKind
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
    found = await sources.comments.by_ids([ObjectId(key) for key in keys])
    comments = [comment for comment in found if comment is not None and not comment.deleted]
    posts = await sources.posts.by_ids([comment.post_id for comment in comments])
    seen = await are_visible(sources, [(one.author_id, post) for one, post in zip(comments, posts, strict=True)])
    groups = {
        comment.id: Notice(
            recipient_id=comment.author_id,
            group_key=f"COMMENT_LIKED:{comment.id}",
            kind=NotificationKind.COMMENT_LIKED,
            post_id=comment.post_id,
            comment_id=comment.id,
        )
        for comment, is_visible in zip(comments, seen, strict=True)
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
        hearers = await allowed_pairs(sources, pairs)
        notified = {like["_id"] for like, pair in zip(standing, pairs, strict=True) if pair in hearers}
        await likes.set_notified(
            list(notified), [like["_id"] for like in pending if like["_id"] not in notified], session
        )
        said = await _regrouped(sources, likes, groups, pending, notified, session)
        await sources.notifications.write(said, clock.now(), session)
        return pending

    recipients = {group.recipient_id for group in groups.values()}
    async with sources.notifications.lock_recipients(*recipients):
        more = await apply_in_chunks(tools, keys, "target_id", apply)
    await sources.notifications.wake_subscribers(*recipients)
    return more


async def _regrouped(
    sources: Sources,
    likes: LikeStore,
    groups: Mapping[ObjectId, Notice],
    pending: Sequence[Document],
    notified: Collection[ObjectId],
    session: Session,
) -> list[Notice]:
    """What each target's notification says once these likes, in the order of their targets, are told or taken back."""
    concerned = [like for like in pending if like["target_id"] in groups]
    before = await sources.notifications.by_keys({groups[like["target_id"]].key for like in concerned}, session)
    said = []
    for target_id, of_target in groupby(concerned, key=lambda like: like["target_id"]):
        changes, group = list(of_target), groups[target_id]
        there = before.get(group.key)
        new = sorted((like for like in changes if like["_id"] in notified), key=lambda like: like["_id"], reverse=True)
        count = (there.actor_count if there else 0) + len(new) - sum(bool(like.get("notified")) for like in changes)
        gone = {like["user_id"] for like in changes}
        stayed = [actor_id for actor_id in there.actor_ids if actor_id not in gone] if there else []
        actor_ids = [*(like["user_id"] for like in new), *stayed][:ACTORS_SHOWN]
        if len(actor_ids) < min(count, ACTORS_SHOWN):
            actor_ids = await likes.latest_notified(target_id, ACTORS_SHOWN, session)
        said.append(
            msgspec.structs.replace(
                group,
                actor_ids=actor_ids,
                actor_count=count,
                withdrawn=count <= 0,
                is_news=any(not like.get("announced") for like in new),
            )
        )
    return said
