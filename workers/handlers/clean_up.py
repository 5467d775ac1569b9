"""What belongs to something deleted or refused is deleted too. Every handler is safe to run twice."""

from collections.abc import Collection

from bson import ObjectId

from datasources.mongo import clock
from datasources.s3.keys import leftovers
from domain.jobs import Task
from workers.handlers.image_files import delete_files
from workers.runtime.handler import RetryLater, Tools

CHUNK = 500  # comments erased in one step
SAVES_CHUNK = 50  # saves removed in one transaction: some five writes for each
SAVES_STEPS = 100  # such transactions of one call


async def clean_upload(tools: Tools, key: str) -> None:
    """Deletes the source file of an upload that is rendered or refused, and files that its image does not use.

    Private files that were made public are deleted at `clean_up_at`, when their signed addresses have expired. While
    the upload is being rendered, or that is pending, the source stays, and the task is tried again.

    The address for sending the file cannot be revoked, and a failed upload gave its quota back: its task is done only
    after the address has expired. Late files of other uploads are left to `gc`.
    """
    sources, now = tools.sources, clock.now()
    is_worked_on = await sources.uploads.is_worked_on(ObjectId(key), now)
    (upload,) = await sources.uploads.by_ids([ObjectId(key)])
    if upload is None:
        return
    if not is_worked_on:
        if sources.settings.keep_originals and upload.image is not None:
            await sources.blobs.keep_original(upload)
        await sources.blobs.delete_incoming([upload.key])
    if upload.clean_up_at is not None and now < upload.clean_up_at:
        await sources.uploads.postpone_clean_up(upload.id, upload.clean_up_at)
        raise RetryLater
    await sources.purges.delete_media(leftovers(upload.image, await sources.blobs.media_of(upload)))
    if is_worked_on:
        raise RetryLater
    if upload.failure is not None and now < upload.last_arrival:
        await sources.uploads.postpone_clean_up(upload.id, upload.last_arrival)
        raise RetryLater
    await sources.uploads.mark_cleaned(upload)


async def clean_comment(tools: Tools, key: str) -> None:
    """Deletes a deleted comment's likes and its replies, for which their own tasks are pending then."""
    comment_id = ObjectId(key)
    documents = await tools.sources.comments.pending(Task.CLEAN_UP, [comment_id])
    if documents:
        await tools.sources.comments.delete_replies(comment_id, clock.now())
        await tools.sources.comment_likes.delete_by_target(comment_id)
        await tools.sources.comments.mark_done(documents, Task.CLEAN_UP)


async def clean_post(tools: Tools, key: str) -> Collection[str]:
    """Deletes a deleted post's likes, saves, comments and files and, when nothing else is pending, the post itself.

    A post that very many have saved takes several calls, so that others get their turn.
    A comment that is added during or after this is deleted by `screen_comments`.
    """
    sources, post_id = tools.sources, ObjectId(key)
    documents = await sources.posts.pending(Task.CLEAN_UP, [post_id])
    if not documents:
        return ()
    await sources.listings.take_off(post_id)
    await sources.listings.captions.erase_of_post(post_id, documents[0]["author_id"])
    await sources.post_likes.delete_by_target(post_id)
    await sources.discovery.holds.erase(post_id)
    steps = 0
    while await sources.saved.posts.remove_of_post(post_id, SAVES_CHUNK):
        steps += 1
        if steps == SAVES_STEPS:
            return [key]
    while comment_ids := await sources.comments.ids_of_post(post_id, CHUNK):
        for comment_id in comment_ids:
            await sources.comment_likes.delete_by_target(comment_id)
        await sources.comments.delete_documents(comment_ids)
    await _delete_files_of_post(tools, documents[0].get("upload_ids", []))
    if not await sources.posts.delete_document(documents[0]):
        raise RetryLater
    return ()


async def _delete_files_of_post(tools: Tools, upload_ids: list[ObjectId]) -> None:
    """Deletes all files of a post's uploads. One that is or was an avatar too is left to `gc`, which knows which."""
    uploads = [upload for upload in await tools.sources.uploads.by_ids(upload_ids) if upload is not None]
    others = [upload for upload in uploads if not upload.used_as_avatar]
    await delete_files(tools.sources, others)
    await tools.sources.uploads.expire([upload.id for upload in others])
