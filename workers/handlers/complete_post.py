"""A processing post becomes READY once all its uploads are, or FAILED once one cannot be."""

import asyncio

import msgspec
from bson import ObjectId

from datasources.media.uploads import NOT_ARRIVED
from datasources.mongo import clock
from datasources.sources import Sources
from domain.records.images import ImageRecord
from domain.records.posts import PostRecord, PostStatus
from domain.records.uploads import FailureRecord, UploadRecord, UploadStatus
from workers.handlers.image_files import MAX_TRIES, area_of_author, copy_files, move_to
from workers.runtime.handler import RetryLater, Tools


async def complete_post(tools: Tools, key: str) -> None:
    """Makes a processing post READY once all its uploads are, or FAILED once one of them cannot be.

    By then the files of a public account's post are in the public area. Safe to run twice: one conditional write takes
    a post out of PROCESSING.
    """
    for _ in range(MAX_TRIES):
        if await _complete(tools.sources, ObjectId(key)):
            return
    raise RetryLater


async def _complete(sources: Sources, post_id: ObjectId) -> bool:
    """Completes the post; False if files of its images were moved, or added, since they were read."""
    (post,) = await sources.posts.by_ids([post_id])
    if post is None or post.status is not PostStatus.PROCESSING or post.deleted:
        return True
    uploads = await sources.uploads.by_ids([image.upload_id for image in post.image_inputs])
    failure = next((failure for failure in map(_failure, uploads) if failure is not None), None)
    if failure is not None:
        await sources.publishing.fail(post_id, failure, clock.now())
        return True
    present = [upload for upload in uploads if upload is not None]
    images = _images(post, present)
    if len(images) < len(post.image_inputs):
        await sources.uploads.check_now([upload.id for upload in present if upload.image is None])
        raise RetryLater
    area = await area_of_author(sources, post.author_id)
    moves = [move_to(area, upload, image, post_id) for upload, image in images]
    are_copied = await asyncio.gather(*(copy_files(sources, move) for move in moves))
    return all(are_copied) and await sources.images.publish(post_id, moves, clock.now())


def _failure(upload: UploadRecord | None) -> FailureRecord | None:
    if upload is None or (upload.status is UploadStatus.EXPIRED and upload.failure is None):
        return NOT_ARRIVED
    return upload.failure


def _images(post: PostRecord, uploads: list[UploadRecord]) -> list[tuple[UploadRecord, ImageRecord]]:
    """The post's images in its order, with the author's alt texts and tags, and the uploads they were made of."""
    return [
        (upload, msgspec.structs.replace(upload.image, alt_text=given.alt_text, tagged_users=given.tagged_users))
        for given, upload in zip(post.image_inputs, uploads, strict=True)
        if upload.image is not None
    ]
