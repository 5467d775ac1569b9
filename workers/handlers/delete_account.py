"""Everything of a deleted account is deleted, by the operations that would undo each act alone.

The task is scheduled again until a final check, when nothing can be running any more (`docs/design/deletion.md`).
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from config import Settings
from datasources.accounts.account_references import find_references
from datasources.accounts.exports import export_prefix
from datasources.accounts.users import DeletedAccount
from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.jobs import LONGEST_CALL_SECONDS
from domain.limits import UPLOAD_LATENESS
from domain.records.notifications import NotificationKind
from workers.handlers.image_files import delete_files
from workers.runtime.handler import RetryLater, Tools

CHUNK = 200  # documents changed in one step
MAX_STEPS = 100  # of one call
SLACK = timedelta(minutes=1)
MIN_PAUSE = timedelta(seconds=30)
_NOTIFIED_BY_LIKES = {NotificationKind.POST_LIKED, NotificationKind.COMMENT_LIKED}

Step = Callable[[Sources, ObjectId], Awaitable[bool]]


async def delete_account(tools: Tools, key: str) -> Collection[str]:
    """Deletes what a deleted account has left, in bounded steps, until nothing more can come.

    Safe to run twice, beside itself, and to stop after any write: each step undoes what is there, an act is undone
    once, and the tasks that follow are pending for the facts themselves.
    """
    sources = tools.sources
    account = await sources.users.deleted_account(ObjectId(key))
    if account is None:
        return ()
    await sources.users.reschedule_deletion(account, clock.now() + MIN_PAUSE)
    await sources.sessions.end_all(account.id)
    if await _has_more(sources, account.id, DELETE_ACTS):
        return [key]
    now, final_check = clock.now(), account.deleted_at + final_check_delay(sources.settings)
    if now < final_check:
        next_check = now + max(now - account.deleted_at, MIN_PAUSE)
        await sources.users.reschedule_deletion(account, min(next_check, final_check))
        raise RetryLater
    if await _has_more(sources, account.id, DELETE_REST):
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


async def _has_more(sources: Sources, user_id: ObjectId, steps: Sequence[Step]) -> bool:
    """Repeats each step until it finds nothing; True if that takes more than one call may do."""
    done = 0
    for step in steps:
        while await step(sources, user_id):
            done += 1
            if done == MAX_STEPS:
                return True
    return False


async def _finish(sources: Sources, account: DeletedAccount, now: datetime) -> None:
    """Marks the deletion done if nothing is left. Raises RetryLater while other tasks have yet to remove something."""
    left = await find_references(sources.database, [account.id])
    if left:
        raise RetryLater(", ".join(left[account.id]))
    await sources.dead_letters.clear_failures_of_user(account.id)
    await sources.users.finish_deletion(account, now)


async def _erase_notifications(sources: Sources, user_id: ObjectId) -> bool:
    """Erases the account's notifications; the facts they are about count one notification less each."""

    async def apply(session: Session) -> bool:
        erased = await sources.notifications.delete_of_recipient(user_id, CHUNK, session)
        counted = [each for each in erased if not each.withdrawn and each.kind not in _NOTIFIED_BY_LIKES]
        comment_ids = [each.comment_id for each in counted if each.comment_id is not None]
        await sources.comments.decrement_notified(comment_ids, session)
        post_ids = [each.post_id for each in counted if each.post_id is not None and each.comment_id is None]
        await sources.posts.decrement_notified(post_ids, session)
        return bool(erased)

    async with sources.notifications.changing([user_id]):
        return await in_transaction(sources.client, apply)


async def _erase_readings(sources: Sources, user_id: ObjectId) -> bool:
    """Erases what serves only the account's own logins and reading, but for feed entries and visits."""
    await sources.factors.identities.erase(user_id)
    await sources.factors.stored.erase(user_id)
    await sources.followed_hashtags.erase(user_id)
    await sources.feed_states.erase(user_id)
    await sources.feed_listeners.erase(user_id)
    await sources.interests.erase(user_id)
    await sources.rankings.erase(user_id)
    await sources.discovery.suggestions.erase(user_id)
    await sources.saved.savers.erase(user_id)
    await sources.discovery.holds.erase(user_id)
    return False


async def _erase_export(sources: Sources, user_id: ObjectId) -> bool:
    """Deletes the export and every archive; one that is being made is deleted by who makes it, or by the next look."""
    await sources.blobs.exports.delete(export_prefix(user_id))
    export = await sources.account.exports.find(user_id)
    if export is not None:
        await sources.account.exports.erase(export)
    return False


async def _erase_strangers_reports(sources: Sources, user_id: ObjectId) -> bool:
    await sources.moderation.strangers_reports.erase(user_id)
    return False


async def _erase_tombstones(sources: Sources, user_id: ObjectId) -> bool:
    await sources.comments.delete_tombstones(user_id)
    await sources.posts.delete_tombstones(user_id)
    return False


async def _erase_uploads(sources: Sources, user_id: ObjectId) -> bool:
    """Erases the uploads, after deleting files that came after they were cleaned."""
    uploads = await sources.uploads.expired_of_owner(user_id, CHUNK)
    await sources.blobs.delete_incoming([upload.key for upload in uploads])
    await delete_files(sources, uploads)
    await sources.uploads.erase([upload.id for upload in uploads])
    return bool(uploads)


# First what others could use or fetch. Notifications come after what they are about, so that none is left.
DELETE_ACTS: Sequence[Step] = (
    lambda sources, user_id: sources.posts.delete_by_author(user_id, clock.now(), CHUNK),
    lambda sources, user_id: sources.uploads.expire_of_owner(user_id, CHUNK),
    lambda sources, user_id: sources.comments.delete_by_author(user_id, clock.now(), CHUNK),
    lambda sources, user_id: sources.account_relations.end_follows(user_id, clock.now(), CHUNK),
    lambda sources, user_id: sources.account_relations.delete_blocks(user_id, CHUNK),
    lambda sources, user_id: sources.account_relations.delete_mutes(user_id, CHUNK),
    lambda sources, user_id: sources.post_likes.unlike_by_user(user_id, clock.now(), CHUNK),
    lambda sources, user_id: sources.comment_likes.unlike_by_user(user_id, clock.now(), CHUNK),
    lambda sources, user_id: sources.saved.collection_posts.erase(user_id, CHUNK),
    lambda sources, user_id: sources.saved.collections.erase(user_id, CHUNK),
    lambda sources, user_id: sources.saved.posts.erase(user_id, CHUNK),
    lambda sources, user_id: sources.tagged_posts.erase(user_id, CHUNK),
    lambda sources, user_id: sources.posts.remove_mentions(user_id, CHUNK),
    lambda sources, user_id: sources.comments.remove_mentions(user_id, CHUNK),
    _erase_export,
    _erase_notifications,
    _erase_readings,
    lambda sources, user_id: sources.mails.delete_of_account(user_id),
    lambda sources, user_id: sources.mail_tokens.delete_of_account(user_id),
    lambda sources, user_id: sources.feed_entries.erase(user_id, CHUNK),
    lambda sources, user_id: sources.visits.erase(user_id, CHUNK),
    lambda sources, user_id: sources.discovery.dismissals.erase(user_id, CHUNK),
)
# What is kept of acts that are over: idempotency keys, likes taken back, names in others' notifications, uploads, and
# last what moderators did, for whose log a pseudonym takes the account's place.
DELETE_REST: Sequence[Step] = (
    _erase_export,
    lambda sources, user_id: sources.listings.captions.erase_of_author(user_id, CHUNK),
    _erase_tombstones,
    lambda sources, user_id: sources.post_likes.delete_taken_back(user_id, CHUNK),
    lambda sources, user_id: sources.comment_likes.delete_taken_back(user_id, CHUNK),
    lambda sources, user_id: sources.notifications.anonymize_withdrawn(user_id, CHUNK),
    _erase_uploads,
    _erase_strangers_reports,
    lambda sources, user_id: sources.moderation.pseudonyms.erase(user_id, CHUNK),
)
