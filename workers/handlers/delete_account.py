"""Leaving: everything that a deleted account has left is taken away, by the verbs that would undo each act alone.

Whose act it was is hidden from the moment the account is deleted; here it goes, with what it counted for, told of and
pushed into feeds. What was being done at that moment may be written afterwards: so it is looked again and again, at
last when nothing can be under way any more, and only a last look that finds nothing pays.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from config import Settings
from datasources.accounts.account_references import find_references
from datasources.accounts.users import DeletedAccount
from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.jobs import LONGEST_CALL_SECONDS
from domain.limits import UPLOAD_LATENESS
from domain.records.notifications import NotificationKind, NotificationRecord
from workers.handlers.image_files import delete_files
from workers.runtime.handler import RetryLater, Tools

CHUNK = 200  # things taken away in one step
STEPS = 100  # of one call
SLACK = timedelta(minutes=1)
SOON = timedelta(seconds=30)
_NOTIFIED_BY_LIKES = {NotificationKind.POST_LIKED, NotificationKind.COMMENT_LIKED}

Part = Callable[[Sources, ObjectId], Awaitable[bool]]


async def delete_account(tools: Tools, key: str) -> Collection[str]:
    """Takes away what a deleted account has left, in bounded steps, and looks until nothing more can come.

    Safe to run twice, beside itself and to stop after any write: every part undoes what stands, by verbs that undo a
    thing once, and what they owe is owed by the facts themselves. A request that was past its authentication when the
    account was deleted ends within its time, and so does the handler that it woke; an address that it gave out for a
    file expires. The last look comes after all that.
    """
    sources = tools.sources
    account = await sources.users.deleted_account(ObjectId(key))
    if account is None:
        return ()
    await sources.users.reschedule_deletion(account, clock.now() + SOON)
    if await _is_more(sources, account.id, STANDING):
        return [key]
    now, final_check = clock.now(), account.deleted_at + final_check_delay(sources.settings)
    if now < final_check:
        again = now + max(now - account.deleted_at, SOON)
        await sources.users.reschedule_deletion(account, min(again, final_check))
        raise RetryLater
    if await _is_more(sources, account.id, REMAINING):
        return [key]
    await _finish(sources, account, now)
    return ()


def final_check_delay(settings: Settings) -> timedelta:
    """How long after a deletion something that began before it may still be written, or sent to storage."""
    return (
        settings.longest_file_request
        + max(timedelta(seconds=LONGEST_CALL_SECONDS), timedelta(seconds=settings.upload_ttl) + UPLOAD_LATENESS)
        + SLACK
    )


async def _is_more(sources: Sources, user_id: ObjectId, parts: Sequence[Part]) -> bool:
    """Takes away what there is, part after part; True if the steps of one call were not enough."""
    steps = 0
    for part in parts:
        while await part(sources, user_id):
            steps += 1
            if steps == STEPS:
                return True
    return False


async def _finish(sources: Sources, account: DeletedAccount, now: datetime) -> None:
    """Pays, if nothing is left. Raises NotYet while something still owes what ends it."""
    left = await find_references(sources.database, [account.id])
    if left:
        raise RetryLater(", ".join(left[account.id]))
    await sources.dead_letters.clear_failures_of_user(account.id)
    await sources.users.finish_deletion(account, now)


async def _sessions(sources: Sources, user_id: ObjectId) -> bool:
    await sources.sessions.end_all(user_id)
    return False


async def _likes(sources: Sources, user_id: ObjectId) -> bool:
    now = clock.now()
    likes = sources.post_likes, sources.comment_likes
    return any([await one.unlike_by_user(user_id, now, CHUNK) for one in likes])


async def _comments(sources: Sources, user_id: ObjectId) -> bool:
    return await sources.comments.delete_by_author(user_id, clock.now(), CHUNK)


async def _posts(sources: Sources, user_id: ObjectId) -> bool:
    return await sources.posts.delete_by_author(user_id, clock.now(), CHUNK)


async def _uploads(sources: Sources, user_id: ObjectId) -> bool:
    return await sources.uploads.expire_of_owner(user_id, CHUNK)


async def _follows(sources: Sources, user_id: ObjectId) -> bool:
    return await sources.account_relations.end_follows(user_id, clock.now(), CHUNK)


async def _walls(sources: Sources, user_id: ObjectId) -> bool:
    return any(
        [
            await sources.account_relations.delete_blocks(user_id, CHUNK),
            await sources.account_relations.delete_mutes(user_id, CHUNK),
        ]
    )


async def _mentions(sources: Sources, user_id: ObjectId) -> bool:
    return any(
        [await sources.posts.remove_mentions(user_id, CHUNK), await sources.comments.remove_mentions(user_id, CHUNK)]
    )


async def _notices(sources: Sources, user_id: ObjectId) -> bool:
    """The account's notifications, of which the facts they tell of are told less from then on."""

    async def apply(session: Session) -> bool:
        gone = await sources.notifications.delete_of_recipient(user_id, CHUNK, session)
        notified = [one for one in gone if not one.withdrawn and one.kind not in _NOTIFIED_BY_LIKES]
        await sources.comments.decrement_notified(
            [one.comment_id for one in notified if one.comment_id is not None], session
        )
        await sources.posts.decrement_notified(_posts_alone(notified), session)
        return bool(gone)

    async with sources.notifications.lock_recipients(user_id):
        return await in_transaction(sources.client, apply)


def _posts_alone(notified: Sequence[NotificationRecord]) -> list[ObjectId]:
    return [one.post_id for one in notified if one.post_id is not None and one.comment_id is None]


async def _own_records(sources: Sources, user_id: ObjectId) -> bool:
    """What is kept for the account's own reading."""
    await sources.feed_states.erase(user_id)
    await sources.feed_listeners.erase(user_id)
    await sources.interests.erase(user_id)
    await sources.rankings.erase(user_id)
    return any([await sources.feeds.erase(user_id, CHUNK), await sources.visits.erase(user_id, CHUNK)])


async def _memories(sources: Sources, user_id: ObjectId) -> bool:
    """What is kept of acts that are over: likes taken back, the keys of retries, who followed."""
    await sources.comments.delete_tombstones(user_id)
    await sources.posts.delete_tombstones(user_id)
    likes = sources.post_likes, sources.comment_likes
    return any([
        *[await one.delete_taken_back(user_id, CHUNK) for one in likes],
        await sources.notifications.anonymize_withdrawn(user_id, CHUNK),
    ])  # fmt: skip


async def _objects(sources: Sources, user_id: ObjectId) -> bool:
    """The uploads themselves, after a last look for objects that came after they were cleaned."""
    uploads = await sources.uploads.expired_of_owner(user_id, CHUNK)
    await sources.blobs.delete_incoming([one.key for one in uploads])
    await delete_files(sources, [one.id for one in uploads])
    await sources.uploads.erase([one.id for one in uploads])
    return bool(uploads)


# In this order: first what others could use or fetch; what tells of a thing after it, so that no telling is missing.
STANDING: Sequence[Part] = (
    _sessions,
    _posts,
    _uploads,
    _comments,
    _follows,
    _walls,
    _likes,
    _mentions,
    _notices,
    _own_records,
)
REMAINING: Sequence[Part] = (_memories, _objects)
