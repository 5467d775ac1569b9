"""The notification worker: tells people what concerns them, and takes back what was undone.

Every handler here is safe to run twice: a notification is keyed by recipient and group, what it should say is worked
out from the facts that owe the telling as they are now, and it is written in the transaction that pays the effect. So
who mutes or blocks keeps what they were told before, however often a ring comes again.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

import msgspec
from bson import ObjectId

from datasources.likes import LikeStore
from datasources.mongo import Document, Session, in_transaction
from datasources.notifications import Notice
from datasources.sources import Sources
from domain.events import Effect
from domain.limits import ACTORS_SHOWN
from domain.records import CommentRecord, FollowRecord, FollowState, NotificationKind, PostRecord, PostStatus
from domain.visibility import can_view_post
from workers.turns import FACTS, in_turns
from workers.work import Tools

BATCH = 100  # targets, comments or follows of one call


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
    visible = await _visible(sources, [(one.author_id, post) for one, post in zip(comments, posts, strict=True)])
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

    async def settle(target_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        owed = await likes.owed_notices(target_ids, session, FACTS)
        standing = [like for like in owed if like["liked"] and like["target_id"] in groups]
        pairs = [(groups[like["target_id"]].recipient_id, like["user_id"]) for like in standing]
        heard = await _heard(sources, pairs)
        told = {like["_id"] for like, pair in zip(standing, pairs, strict=True) if pair in heard}
        await likes.set_noticed(list(told), [like["_id"] for like in owed if like["_id"] not in told], session)
        said = await _regrouped(sources, likes, groups, owed, told, session)
        await sources.notifications.write(said, datetime.now(UTC), session)
        return owed

    recipients = {group.recipient_id for group in groups.values()}
    async with sources.notifications.in_line(*recipients):
        more = await in_turns(tools, keys, "target_id", settle)
    await sources.notifications.tell(*recipients)
    return more


async def _regrouped(
    sources: Sources,
    likes: LikeStore,
    groups: Mapping[ObjectId, Notice],
    owed: Sequence[Document],
    told: Collection[ObjectId],
    session: Session,
) -> list[Notice]:
    """What each target's notification says once these likes, in the order of their targets, are told or taken back."""
    concerned = [like for like in owed if like["target_id"] in groups]
    before = await sources.notifications.standing({groups[like["target_id"]].key for like in concerned}, session)
    said = []
    for target_id, of_target in groupby(concerned, key=lambda like: like["target_id"]):
        changes, group = list(of_target), groups[target_id]
        there = before.get(group.key)
        new = sorted((like for like in changes if like["_id"] in told), key=lambda like: like["_id"], reverse=True)
        count = (there.actor_count if there else 0) + len(new) - sum(bool(like.get("noticed")) for like in changes)
        gone = {like["user_id"] for like in changes}
        stayed = [actor_id for actor_id in there.actor_ids if actor_id not in gone] if there else []
        actor_ids = [*(like["user_id"] for like in new), *stayed][:ACTORS_SHOWN]
        if len(actor_ids) < min(count, ACTORS_SHOWN):
            actor_ids = await likes.latest_noticed(target_id, ACTORS_SHOWN, session)
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


async def notify_comments(tools: Tools, *keys: str) -> None:
    """Tells a post's author of a comment, a comment's author of a reply, and people of their being mentioned.

    All that was told about a deleted comment, its likes too, is taken back, whoever was told; of a hidden one, all that
    was told to others than its author.
    """
    sources = tools.sources
    found = await sources.comments.documents([ObjectId(key) for key in keys])
    documents = [one for one in found if Effect.NOTIFY.value in one.get("outbox", ())]
    comments = [CommentRecord.from_document(document) for document in documents]
    notices = await _about_comments(sources, [comment for comment in comments if comment.is_shown])
    told = {notice.recipient_id for notice in notices}
    unaware = {(comment.id, comment.author_id) for comment in comments if not comment.deleted}

    async def settle(session: Session) -> None:
        now = datetime.now(UTC)
        await sources.notifications.write(notices, now, session)
        about = await sources.notifications.about_comments([one for one in comments if not one.is_shown], session)
        gone = [one for one in about if (one.comment_id, one.recipient_id) not in unaware]
        told.update(notification.recipient_id for notification in gone)
        await sources.notifications.withdraw(gone, now, session)
        await sources.comments.pay(documents, Effect.NOTIFY, session)

    async with sources.notifications.in_line(*told):
        await in_transaction(sources.client, settle)
    await sources.notifications.tell(*told)


async def _about_comments(sources: Sources, comments: Sequence[CommentRecord]) -> list[Notice]:
    posts = {post.id: post for post in await sources.posts.by_ids([one.post_id for one in comments]) if post}
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
    reached = await _reached(sources, notices, posts)
    return [msgspec.structs.replace(notice, withdrawn=notice.key not in reached) for notice in notices]


async def notify_follows(tools: Tools, *keys: str) -> None:
    """Tells of following, of a request, and of a request accepted; takes back what no longer holds."""
    sources = tools.sources
    follows = await sources.graph.owing(Effect.NOTIFY, [ObjectId(key) for key in keys])
    pairs = [(follow.followee_id, follow.follower_id) for follow in follows]
    heard = await _heard(sources, [*pairs, *((follower, followee) for followee, follower in pairs)])
    notices = [notice for follow in follows for notice in _about_follow(follow, heard)]

    async def settle(session: Session) -> None:
        await sources.notifications.write(notices, datetime.now(UTC), session)
        await sources.graph.pay(follows, Effect.NOTIFY, session)

    told = {notice.recipient_id for notice in notices}
    async with sources.notifications.in_line(*told):
        await in_transaction(sources.client, settle)
    await sources.notifications.tell(*told)


def _about_follow(follow: FollowRecord, heard: Collection[tuple[ObjectId, ObjectId]]) -> list[Notice]:
    def notice(kind: NotificationKind, recipient_id: ObjectId, actor_id: ObjectId, *, stands: bool) -> Notice:
        return Notice(
            recipient_id=recipient_id,
            group_key=f"{kind.value}:{actor_id}",
            kind=kind,
            actor_ids=[actor_id],
            actor_count=1,
            withdrawn=not stands or (recipient_id, actor_id) not in heard,
        )

    follower, followee = follow.follower_id, follow.followee_id
    follows, asked = follow.state is FollowState.FOLLOWING, follow.state is FollowState.REQUESTED
    return [
        notice(NotificationKind.FOLLOWED, followee, follower, stands=follows and not follow.accepted),
        notice(NotificationKind.FOLLOW_REQUESTED, followee, follower, stands=asked),
        notice(NotificationKind.FOLLOW_ACCEPTED, follower, followee, stands=follows and follow.accepted),
    ]


async def notify_post(tools: Tools, key: str) -> None:
    """Tells the author that a post is ready or failed, and people that they are in it; takes back a deleted one's."""
    sources, post_id = tools.sources, ObjectId(key)
    document = await sources.posts.document(post_id)
    if document is None or Effect.NOTIFY.value not in document.get("outbox", ()):
        return
    post = PostRecord.from_document(document)
    notices = [] if post.deleted else await _about_post(sources, post)
    told = {notice.recipient_id for notice in notices}

    async def settle(session: Session) -> None:
        now = datetime.now(UTC)
        await sources.notifications.write(notices, now, session)
        gone = await sources.notifications.about_post(post_id, session) if post.deleted else []
        told.update(notification.recipient_id for notification in gone)
        await sources.notifications.withdraw(gone, now, session)
        await sources.posts.pay(post_id, Effect.NOTIFY, version=document["version"], session=session)

    async with sources.notifications.in_line(*told):
        await in_transaction(sources.client, settle)
    await sources.notifications.tell(*told)


async def _about_post(sources: Sources, post: PostRecord) -> list[Notice]:
    if post.status is PostStatus.PROCESSING:
        return []
    is_ready = post.status is PostStatus.READY
    kind = NotificationKind.POST_READY if is_ready else NotificationKind.POST_FAILED
    own = Notice(recipient_id=post.author_id, group_key=f"POST:{post.id}", kind=kind, post_id=post.id)
    kinds: dict[ObjectId, NotificationKind] = {}
    if is_ready:
        kinds |= dict.fromkeys(post.mention_ids, NotificationKind.MENTIONED)
        tagged = [tag.user_id for image in post.images for tag in image.tagged_users]
        kinds |= dict.fromkeys(tagged, NotificationKind.TAGGED)
        kinds.pop(post.author_id, None)
    others = [
        msgspec.structs.replace(own, recipient_id=recipient_id, kind=told_as, actor_ids=[post.author_id], actor_count=1)
        for recipient_id, told_as in kinds.items()
    ]
    reached = await _reached(sources, others, {post.id: post})
    return [own, *(notice for notice in others if notice.key in reached)]


async def _heard(sources: Sources, pairs: Sequence[tuple[ObjectId, ObjectId]]) -> set[tuple[ObjectId, ObjectId]]:
    """The pairs of recipient and actor whose recipient is told: not of oneself, of those muted or behind a block."""
    relations = await sources.graph.relations_between(pairs)
    return {
        pair
        for pair, to in zip(pairs, relations, strict=True)
        if not (to.is_self or to.has_muted or to.has_blocked or to.is_blocked)
    }


async def _reached(
    sources: Sources, notices: Sequence[Notice], posts: Mapping[ObjectId, PostRecord]
) -> set[tuple[ObjectId, str]]:
    """The keys of the notices, each of one actor and about one of these posts, that the recipient may be told of.

    They hear the actor and may see the post.
    """
    about = [(notice, posts[notice.post_id]) for notice in notices if notice.post_id is not None]
    heard = await _heard(sources, [(notice.recipient_id, notice.actor_ids[0]) for notice, _ in about])
    visible = await _visible(sources, [(notice.recipient_id, post) for notice, post in about])
    return {
        notice.key
        for (notice, _), is_visible in zip(about, visible, strict=True)
        if is_visible and (notice.recipient_id, notice.actor_ids[0]) in heard
    }


async def _visible(sources: Sources, pairs: Sequence[tuple[ObjectId, PostRecord | None]]) -> list[bool]:
    """Whether each recipient may see the post."""
    there = [(recipient_id, post.author_id) for recipient_id, post in pairs if post is not None]
    authors = {one.id: one for one in await sources.users.by_ids(list({pair[1] for pair in there})) if one}
    relations = dict(zip(there, await sources.graph.relations_between(there), strict=True))
    return [
        post is not None
        and post.author_id in authors
        and can_view_post(post, authors[post.author_id], relations[recipient_id, post.author_id])
        for recipient_id, post in pairs
    ]
