"""The files of images in storage: stored, copied to another area, and deleted."""

import asyncio
from collections.abc import Iterable
from itertools import chain

from bson import ObjectId

from datasources.media.images import Move
from datasources.s3.keys import folder_of, is_in_area, media_key, moved, renewed
from datasources.sources import Sources
from domain.records.images import ImageRecord, RenditionRecord
from domain.records.uploads import UploadRecord
from domain.visibility import STRANGERS, Area, can_view_content
from workers.rendering.rendered import RenderedFile

MAX_TRIES = 4  # of a change to an image whose files others move meanwhile


async def store_renditions(
    sources: Sources, area: Area, folder: str, version: int, files: Iterable[RenderedFile]
) -> list[RenditionRecord]:
    """Puts rendered files into storage side by side, and returns their records in the same order. Safe to repeat."""
    records, puts = [], []
    for file in files:
        key = media_key(area, folder, file.data, file.format, file.width, version)
        puts.append(sources.blobs.put_media(key, file.data, file.format.media_type))
        records.append(
            RenditionRecord(key=key, format=file.format, width=file.width, height=file.height, byte_size=len(file.data))
        )
    await asyncio.gather(*puts)
    return records


async def area_of_author(sources: Sources, author_id: ObjectId) -> Area:
    """Where the images of an account's READY posts belong."""
    (author,) = await sources.users.by_ids([author_id])
    return Area.PUBLIC if author is not None and can_view_content(author, STRANGERS) else Area.PRIVATE


def move_to(area: Area, upload: UploadRecord, image: ImageRecord, post_id: ObjectId | None) -> Move:
    """The move of an upload's image into an area, for a post if it is of one.

    If its files are there, it skips a move that was never recorded.
    """
    if not is_in_area(image, area):
        return move_anew(area, upload, image, post_id)
    return Move(image, renewed(image) if upload.is_moving else image)


def move_anew(area: Area, upload: UploadRecord, image: ImageRecord, post_id: ObjectId | None) -> Move:
    """The move of an upload's image to new keys in an area, also if its files are there."""
    placed_for = (upload.placed_for or post_id) if area is Area.PUBLIC else None
    return Move(image, moved(image, area, folder_of(upload.owner_id, upload.id, placed_for)))


async def copy_files(sources: Sources, move: Move) -> bool:
    """Copies an image's files side by side to their new keys; False if they were moved meanwhile. Safe to repeat.

    The upload is marked first: if the move is never recorded, the next one who moves the image deletes the copies.
    """
    both = zip(move.before.renditions, move.after.renditions, strict=True)
    pairs = [(old, new) for old, new in both if old.key != new.key]
    if pairs and not await sources.images.mark_moving(move):
        return False
    copies = [sources.blobs.copy_media(old.key, new.key, new.format.media_type) for old, new in pairs]
    return all(await asyncio.gather(*copies))


async def delete_files(sources: Sources, uploads: Iterable[UploadRecord]) -> None:
    """Deletes all files of these uploads. They are listed by prefix, so a half-made image's are among them."""
    keys_of_uploads = await asyncio.gather(*map(sources.blobs.media_of, uploads))
    await sources.purges.delete_media(chain.from_iterable(keys_of_uploads))
