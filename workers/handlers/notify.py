"""People are notified of comments, follows and posts that concern them; what was undone is withdrawn.

Every handler here is safe to run twice: a notification is keyed by recipient and group, its content is computed from
the facts as they are now, and it is written in the transaction that marks the task done. So muting or blocking leaves
earlier notifications alone, however often a job comes again. A fact records how many were `notified` of it, by which
`verify` finds a missing notification.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.mongo.transactions import in_transaction
from datasources.notifications.notification_log import Notice
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.comments import CommentRecord
from domain.records.follows import FollowRecord, FollowState
from domain.records.notifications import NotificationKind
from domain.records.posts import PostRecord, PostStatus
from workers.handlers.notification_audience import allowed_notices, allowed_pairs
from workers.runtime.handler import Tools


async def notify_comments(tools: Tools, *keys: str) -> None:
    """Notifies a post's author of a comment, a comment's author of a reply, and people who are mentioned.

    Withdraws every notification about a deleted comment, those of its likes too; about a hidden comment, all but its
    author's.
    """
    sources = tools.sources
    documents = await sources.comments.pending(Task.NOTIFY, [ObjectId(key) for key in keys])
    comments = [CommentRecord.from_document(document) for document in documents]
    notices = await _about_comments(sources, [comment for comment in comments if comment.is_shown])
    notified = {notice.recipient_id for notice in notices}
    kept = {(comment.id, comment.author_id) for comment in comments if not comment.deleted}  # of hidden ones

    async def apply(session: Session) -> None:
        now = clock.now()
        await sources.notifications.write(notices, now, session)
        not_shown = [comment for comment in comments if not comment.is_shown]
        about = await sources.notifications.about_comments(not_shown, session)
        outdated = [each for each in about if (each.comment_id, each.recipient_id) not in kept]
        notified.update(notification.recipient_id for notification in outdated)
        await sources.notifications.withdraw(outdated, now, session)
        notified_about = Counter(notice.comment_id for notice in notices if not notice.withdrawn)
        await sources.comments.set_notified({comment.id: notified_about[comment.id] for comment in comments}, session)
        await sources.comments.mark_done(documents, Task.NOTIFY, session)

    async with sources.notifications.changing(notified):
        await in_transaction(sources.client, apply)


async def _about_comments(sources: Sources, comments: Sequence[CommentRecord]) -> list[Notice]:
    post_ids = [comment.post_id for comment in comments]
    posts = {post.id: post for post in await sources.posts.by_ids(post_ids) if post}
    parent_ids = [comment.parent_id for comment in comments if comment.parent_id is not None]
    parents = {parent.id: parent for parent in await sources.comments.by_ids(parent_ids) if parent}
    notices = []
    for comment in comments:
        if (post := posts.get(comment.post_id)) is None:
            continue
        kinds = dict.fromkeys(comment.mention_ids, NotificationKind.MENTIONED)
        kinds[post.author_id] = NotificationKind.COMMENTED
        if comment.parent_id in parents:
            kinds[parents[comment.parent_id].author_id] = NotificationKind.REPLIED
        kinds.pop(comment.author_id, None)
        notices += [
            Notice(
                recipient_id=recipient_id,
                group_key=f"COMMENT:{comment.id}",
                kind=kind,
                actor_ids=[comment.author_id],
                actor_count=1,
                post_id=post.id,
                comment_id=comment.id,
            )
            for recipient_id, kind in kinds.items()
        ]
    allowed = await allowed_notices(sources, notices, posts)
    return [msgspec.structs.replace(notice, withdrawn=notice.key not in allowed) for notice in notices]


async def notify_follows(tools: Tools, *keys: str) -> None:
    """Notifies of a follow, of a request, and of its acceptance; withdraws what no longer holds."""
    sources = tools.sources
    follows = await sources.follows.pending(Task.NOTIFY, [ObjectId(key) for key in keys])
    pairs = [(follow.followee_id, follow.follower_id) for follow in follows]
    allowed = await allowed_pairs(sources, [*pairs, *((follower, followee) for followee, follower in pairs)])
    about = {follow.id: _about_follow(follow, allowed) for follow in follows}
    notices = [notice for group in about.values() for notice in group]

    async def apply(session: Session) -> None:
        await sources.notifications.write(notices, clock.now(), session)
        counts = {follow_id: sum(not notice.withdrawn for notice in group) for follow_id, group in about.items()}
        await sources.follows.set_notified(counts, session)
        await sources.follows.mark_done(follows, Task.NOTIFY, session)

    notified = {notice.recipient_id for notice in notices}
    async with sources.notifications.changing(notified):
        await in_transaction(sources.client, apply)


def _about_follow(follow: FollowRecord, allowed: Collection[tuple[ObjectId, ObjectId]]) -> list[Notice]:
    def notice(kind: NotificationKind, recipient_id: ObjectId, actor_id: ObjectId, *, holds: bool) -> Notice:
        return Notice(
            recipient_id=recipient_id,
            group_key=f"{kind.value}:{actor_id}",
            kind=kind,
            actor_ids=[actor_id],
            actor_count=1,
            withdrawn=not holds or (recipient_id, actor_id) not in allowed,
        )

    follower, followee = follow.follower_id, follow.followee_id
    is_following, is_requested = follow.state is FollowState.FOLLOWING, follow.state is FollowState.REQUESTED
    return [
        notice(NotificationKind.FOLLOWED, followee, follower, holds=is_following and not follow.accepted),
        notice(NotificationKind.FOLLOW_REQUESTED, followee, follower, holds=is_requested),
        notice(NotificationKind.FOLLOW_ACCEPTED, follower, followee, holds=is_following and follow.accepted),
    ]


async def notify_post(tools: Tools, key: str) -> None:
    """Notifies the author that a post is READY or FAILED, and people who are mentioned or tagged in it; keeps the lists
    of posts in which people are tagged.

    Withdraws every notification about a deleted post, and those of people whom the post no longer mentions or tags, or
    from whom moderators have hidden it. The outbox is updated first in the transaction: if the post has changed since
    it was read, nothing is written.
    """
    sources, post_id = tools.sources, ObjectId(key)
    documents = await sources.posts.pending(Task.NOTIFY, [post_id])
    if not documents:
        return
    post = PostRecord.from_document(documents[0])
    about = sources.notifications
    notices = [] if post.deleted else await _about_post(sources, post)
    notified = {notice.recipient_id for notice in notices}

    async def apply(session: Session) -> None:
        now = clock.now()
        if not await sources.posts.mark_done(documents[0], Task.NOTIFY, session):
            return  # the post has changed since it was read, and NOTIFY is still pending
        before = await (about.about_post if post.deleted else about.mentions_and_tags)(post_id, session)
        named = {*post.mention_ids, *post.tagged_ids} if post.status is PostStatus.READY else set()
        outdated = [each for each in before if post.deleted or each.recipient_id not in named]
        told = {each.recipient_id for each in before if each.kind is NotificationKind.TAGGED}
        due = [msgspec.structs.replace(notice, is_news=notice.recipient_id not in told) for notice in notices]
        await about.write(due, now, session)
        notified.update(notification.recipient_id for notification in outdated)
        await about.withdraw(outdated, now, session)
        tagged = set() if post.deleted else set(post.tagged_ids)
        await sources.tagged_posts.set_of_post(post_id, tagged, documents[0].get("listed_tags", ()), session)
        await sources.posts.set_notified(documents[0], len(notices), sorted(tagged), session)

    async with sources.notifications.changing(notified):
        await in_transaction(sources.client, apply)


async def _about_post(sources: Sources, post: PostRecord) -> list[Notice]:
    if post.status is PostStatus.PROCESSING:
        return []
    is_ready, is_failed = post.status is PostStatus.READY, post.status is PostStatus.FAILED
    kind = NotificationKind.POST_FAILED if is_failed else NotificationKind.POST_READY
    own = Notice(recipient_id=post.author_id, group_key=f"POST:{post.id}", kind=kind, post_id=post.id)
    kinds: dict[ObjectId, NotificationKind] = {}
    if is_ready:
        kinds |= dict.fromkeys(post.mention_ids, NotificationKind.MENTIONED)
        kinds |= dict.fromkeys(post.tagged_ids, NotificationKind.TAGGED)
        kinds.pop(post.author_id, None)
    others = [
        msgspec.structs.replace(
            own, recipient_id=recipient_id, kind=kind_of_recipient, actor_ids=[post.author_id], actor_count=1
        )
        for recipient_id, kind_of_recipient in kinds.items()
    ]
    allowed = await allowed_notices(sources, others, {post.id: post})
    return [own, *(notice for notice in others if notice.key in allowed)]
