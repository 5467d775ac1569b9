"""The notification worker: tells people what concerns them, and takes back what was undone.

Every handler here is safe to run twice: a notification is keyed by recipient and group, what it should say is worked
out from the facts as they are now, and it is written in the transaction that pays the effect.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from bson import ObjectId

from datasources.likes import LikeStore
from datasources.mongo import Session, in_transaction
from datasources.notifications import Notice
from datasources.sources import Sources
from domain.events import Effect
from domain.limits import ACTORS_SHOWN
from domain.records import CommentRecord, FollowRecord, FollowState, NotificationKind, PostRecord, PostStatus
from domain.visibility import can_view_post
from workers.work import Tools

BATCH = 500


async def notify_post_likes(tools: Tools, key: str) -> None:
    """Groups a post's likes into one notification for its author."""
    (post,) = await tools.sources.posts.by_ids([ObjectId(key)])
    notice = None
    if post is not None and not post.deleted:
        notice = Notice(
            recipient_id=post.author_id,
            group_key=f"POST_LIKED:{post.id}",
            kind=NotificationKind.POST_LIKED,
            post_id=post.id,
        )
    await _notify_likes(tools.sources, tools.sources.post_likes, ObjectId(key), notice)


async def notify_comment_likes(tools: Tools, key: str) -> None:
    """Groups a comment's likes into one notification for its author."""
    (comment,) = await tools.sources.comments.by_ids([ObjectId(key)])
    notice = None
    if comment is not None and not comment.deleted:
        notice = Notice(
            recipient_id=comment.author_id,
            group_key=f"COMMENT_LIKED:{comment.id}",
            kind=NotificationKind.COMMENT_LIKED,
            post_id=comment.post_id,
            comment_id=comment.id,
        )
    await _notify_likes(tools.sources, tools.sources.comment_likes, ObjectId(key), notice)


async def _notify_likes(sources: Sources, likes: LikeStore, target_id: ObjectId, group: Notice | None) -> None:
    async def settle(session: Session) -> int:
        owed = await likes.owed(Effect.NOTIFY, target_id, session, BATCH)
        standing = [like for like in owed if like["liked"]]
        likers = [like["user_id"] for like in standing]
        heard = set() if group is None else await _heard(sources, group.recipient_id, likers)
        told = {like["_id"] for like in standing if like["user_id"] in heard}
        await likes.set_noticed(list(told), [like["_id"] for like in owed if like["_id"] not in told], session)
        if group is not None and owed:
            notifications = sources.notifications
            delta = len(told) - sum(int(like.get("noticed", False)) for like in owed)
            count = delta + await notifications.actor_count(group.recipient_id, group.group_key, session)
            said = msgspec.structs.replace(
                group,
                actor_ids=await likes.latest_noticed(target_id, ACTORS_SHOWN, session),
                actor_count=count,
                withdrawn=count <= 0,
                is_news=any(like["_id"] in told and not like.get("announced") for like in owed),
            )
            await notifications.write(said, datetime.now(UTC), session)
        return len(owed)

    recipients = () if group is None else (group.recipient_id,)
    async with sources.notifications.in_line(*recipients):
        while await in_transaction(sources.client, settle) == BATCH:
            pass
    await sources.notifications.tell(*recipients)


async def notify_comment(tools: Tools, key: str) -> None:
    """Tells a post's author of a comment, a comment's author of a reply, and people of their being mentioned.

    All that was told about a deleted comment, its likes too, is taken back, whoever was told.
    """
    sources, comment_id = tools.sources, ObjectId(key)
    document = await sources.comments.document(comment_id)
    if document is None:
        return
    comment = CommentRecord.from_document(document)
    notices = [] if comment.deleted else await _about_comment(sources, comment)
    told = {notice.recipient_id for notice in notices}

    async def settle(session: Session) -> None:
        for notice in notices:
            await sources.notifications.write(notice, datetime.now(UTC), session)
        standing = await sources.notifications.about(comment.post_id, session, comment_id) if comment.deleted else []
        for one in standing:
            told.add(one.recipient_id)
            await sources.notifications.withdraw(one, datetime.now(UTC), session)
        await sources.comments.pay(comment_id, Effect.NOTIFY, document.get("version", 0), session)

    async with sources.notifications.in_line(*told):
        await in_transaction(sources.client, settle)
    await sources.notifications.tell(*told)


async def _about_comment(sources: Sources, comment: CommentRecord) -> list[Notice]:
    (post,) = await sources.posts.by_ids([comment.post_id])
    (parent,) = await sources.comments.by_ids([comment.parent_id]) if comment.parent_id else (None,)
    if post is None:
        return []
    kinds = dict.fromkeys(comment.mention_ids, NotificationKind.MENTIONED)
    kinds[post.author_id] = NotificationKind.COMMENTED
    if parent is not None:
        kinds[parent.author_id] = NotificationKind.REPLIED
    kinds.pop(comment.author_id, None)
    reached = await _reached(sources, post, comment.author_id, list(kinds))
    return [
        Notice(
            recipient_id=recipient_id,
            group_key=f"COMMENT:{comment.id}",
            kind=kind,
            actor_ids=[comment.author_id],
            actor_count=1,
            post_id=post.id,
            comment_id=comment.id,
            withdrawn=recipient_id not in reached,
        )
        for recipient_id, kind in kinds.items()
    ]


async def notify_follow(tools: Tools, key: str) -> None:
    """Tells of following, of a request, and of a request accepted; takes back what no longer holds."""
    sources = tools.sources
    follow = await sources.graph.by_id(ObjectId(key))
    if follow is None:
        return
    heard = await _heard(sources, follow.followee_id, [follow.follower_id])
    notices = _about_follow(follow, is_heard=follow.follower_id in heard)

    async def settle(session: Session) -> None:
        for notice in notices:
            await sources.notifications.write(notice, datetime.now(UTC), session)
        await sources.graph.pay(follow, Effect.NOTIFY, session)

    told = {notice.recipient_id for notice in notices}
    async with sources.notifications.in_line(*told):
        await in_transaction(sources.client, settle)
    await sources.notifications.tell(*told)


def _about_follow(follow: FollowRecord, *, is_heard: bool) -> list[Notice]:
    follows = follow.state is FollowState.FOLLOWING

    def notice(kind: NotificationKind, recipient_id: ObjectId, actor_id: ObjectId, *, stands: bool) -> Notice:
        return Notice(
            recipient_id=recipient_id,
            group_key=f"{kind.value}:{actor_id}",
            kind=kind,
            actor_ids=[actor_id],
            actor_count=1,
            withdrawn=not stands,
        )

    follower, followee = follow.follower_id, follow.followee_id
    asked = follow.state is FollowState.REQUESTED
    return [
        notice(NotificationKind.FOLLOWED, followee, follower, stands=follows and not follow.accepted and is_heard),
        notice(NotificationKind.FOLLOW_REQUESTED, followee, follower, stands=asked and is_heard),
        notice(NotificationKind.FOLLOW_ACCEPTED, follower, followee, stands=follows and follow.accepted),
    ]


async def notify_post(tools: Tools, key: str) -> None:
    """Tells the author that a post is ready or failed, and people that they are in it; takes back a deleted one's."""
    sources, post_id = tools.sources, ObjectId(key)
    document = await sources.posts.document(post_id)
    if document is None:
        return
    post = PostRecord.from_document(document)
    notices = [] if post.deleted else await _about_post(sources, post)
    told = {notice.recipient_id for notice in notices}

    async def settle(session: Session) -> None:
        for notice in notices:
            await sources.notifications.write(notice, datetime.now(UTC), session)
        for standing in await sources.notifications.about(post_id, session) if post.deleted else ():
            told.add(standing.recipient_id)
            await sources.notifications.withdraw(standing, datetime.now(UTC), session)
        await sources.posts.pay(post_id, Effect.NOTIFY, version=document["version"], session=session)

    async with sources.notifications.in_line(*told):
        await in_transaction(sources.client, settle)
    await sources.notifications.tell(*told)


async def _about_post(sources: Sources, post: PostRecord) -> list[Notice]:
    if post.status is PostStatus.PROCESSING:
        return []
    is_ready = post.status is PostStatus.READY
    kind = NotificationKind.POST_READY if is_ready else NotificationKind.POST_FAILED
    kinds: dict[ObjectId, NotificationKind] = {}
    if is_ready:
        kinds |= dict.fromkeys(post.mention_ids, NotificationKind.MENTIONED)
        tagged = [tag.user_id for image in post.images for tag in image.tagged_users]
        kinds |= dict.fromkeys(tagged, NotificationKind.TAGGED)
        kinds.pop(post.author_id, None)
    reached = await _reached(sources, post, post.author_id, list(kinds))
    own = Notice(recipient_id=post.author_id, group_key=f"POST:{post.id}", kind=kind, post_id=post.id)
    others = [
        Notice(
            recipient_id=recipient_id,
            group_key=f"POST:{post.id}",
            kind=kinds[recipient_id],
            actor_ids=[post.author_id],
            actor_count=1,
            post_id=post.id,
        )
        for recipient_id in reached
    ]
    return [own, *others]


async def _heard(sources: Sources, recipient_id: ObjectId, actor_ids: Sequence[ObjectId]) -> set[ObjectId]:
    """The actors whose acts the recipient is told of: not oneself, nor those muted or behind a block."""
    if not actor_ids:
        return set()
    relations = await sources.graph.relations(recipient_id, actor_ids)
    return {
        actor_id
        for actor_id, to in zip(actor_ids, relations, strict=True)
        if not (to.is_self or to.has_muted or to.has_blocked or to.is_blocked)
    }


async def _reached(
    sources: Sources, post: PostRecord, actor_id: ObjectId, recipient_ids: Sequence[ObjectId]
) -> set[ObjectId]:
    """The recipients who hear the actor and may see the post; there are at most a few dozen."""
    (author,) = await sources.users.by_ids([post.author_id])
    reached = set()
    for recipient_id in recipient_ids:
        (to_author,) = await sources.graph.relations(recipient_id, [post.author_id])
        visible = author is not None and can_view_post(post, author, to_author)
        if visible and actor_id in await _heard(sources, recipient_id, [actor_id]):
            reached.add(recipient_id)
    return reached
