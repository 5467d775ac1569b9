"""The janitor: what hangs on something deleted, refused or blocked goes too. Every handler is safe to run twice."""

from bson import ObjectId

from datasources.mongo import clock
from domain.jobs import Task
from workers.handlers.image_files import delete_files, delete_leftovers
from workers.runtime.handler import RetryLater, Tools

CHUNK = 500


async def clean_upload(tools: Tools, key: str) -> None:
    """Deletes what a client sent, once it is rendered or refused, and files left by killed workers and by moves.

    Addresses of private files that were made public stay good until they would have expired. While somebody renders
    the upload, or owes to, the source stays, and what they leave behind is looked for again. A setting keeps the source
    of an image, in the area that nobody may fetch from.

    The address that a client was given cannot be taken back: it stores a file again for as long as it is good. An
    upload that failed has given its quota back, so nothing else bounds how many do: it is cleaned again, and only then
    has paid, once its address is over. What comes after other uploads, which keep their quota, is left to `gc`.
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
    await delete_leftovers(sources, upload)
    if is_worked_on:
        raise RetryLater
    if upload.failure is not None and now < upload.last_arrival:
        await sources.uploads.postpone_clean_up(upload.id, upload.last_arrival)
        raise RetryLater
    await sources.uploads.mark_cleaned(upload)


async def clean_comment(tools: Tools, key: str) -> None:
    """Deletes a deleted comment's likes and hides its replies, which then owe their own effects."""
    comment_id = ObjectId(key)
    documents = await tools.sources.comments.documents([comment_id])
    if documents:
        await tools.sources.comments.delete_replies(comment_id, clock.now())
        await tools.sources.comment_likes.erase_target(comment_id)
        await tools.sources.comments.mark_done(documents, Task.CLEAN_UP)


async def clean_post(tools: Tools, key: str) -> None:
    """Deletes a deleted post's likes, comments, files and, when nothing else is owed, the post itself.

    A comment that comes in while this runs, or after, is taken away by its own screening.
    """
    sources, post_id = tools.sources, ObjectId(key)
    document = await sources.posts.document(post_id)
    if document is None or Task.CLEAN_UP.value not in document.get("outbox", ()):
        return
    await sources.post_likes.erase_target(post_id)
    while comment_ids := await sources.comments.ids_of_post(post_id, CHUNK):
        for comment_id in comment_ids:
            await sources.comment_likes.erase_target(comment_id)
        await sources.comments.erase(comment_ids)
    await _delete_files(tools, document.get("upload_ids", []))
    if not await sources.posts.erase(post_id):
        raise RetryLater


async def _delete_files(tools: Tools, upload_ids: list[ObjectId]) -> None:
    """The renditions of a post's uploads, found by their prefix, so that those of a half-made post go as well.

    One that is or was an avatar too is left to `gc`, which knows whether it still is.
    """
    uploads = await tools.sources.uploads.by_ids(upload_ids)
    avatars = {upload.id for upload in uploads if upload is not None and upload.used_as_avatar}
    files = [upload_id for upload_id in upload_ids if upload_id not in avatars]
    await delete_files(tools.sources, files)
    await tools.sources.uploads.expire(files)
