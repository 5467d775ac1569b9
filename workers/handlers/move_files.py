"""Placing: files come to lie in the public area while strangers may see their images, and in the private one else.

What is public is decided anew after every move, and an account or a post owes this again whenever the answer may have
changed. So whoever is last, an account that turns private or a post that is published, finds the other's work and sets
it right.
"""

import asyncio
from collections.abc import Sequence

from bson import ObjectId

from datasources.media.images import Move
from datasources.s3.keys import moved
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.images import ImageRecord
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.visibility import area_of
from workers.handlers.image_files import MAX_TRIES, copy_files, move_to
from workers.runtime.handler import RetryLater, Tools

CHUNK = 200
AT_ONCE = 8


async def move_files_of_user(tools: Tools, key: str) -> None:
    """Moves all files of an account where they belong, a chunk at a time.

    Safe to run twice, and to stop half way: what lies right is passed over. If the account changes meanwhile it is owed
    still, and begins anew.
    """
    sources, owner_id, after = tools.sources, ObjectId(key), None
    (owner,) = await sources.users.by_ids([owner_id])
    if owner is None:
        return
    while chunk := await sources.images.ids_of_owner(owner_id, after, CHUNK):
        await move_files(sources, owner_id, chunk)
        after = chunk[-1]
    if not await sources.users.mark_files_moved(owner):
        raise RetryLater


async def move_files_of_post(tools: Tools, key: str) -> None:
    """Moves the files of a post where they belong, should its account have changed while it was published.

    Safe to run twice: what lies right is passed over.
    """
    sources, post_id = tools.sources, ObjectId(key)
    document = await sources.posts.document(post_id)
    if document is not None and Task.MOVE_FILES.value in document.get("outbox", ()):
        await move_files(sources, document["author_id"], document.get("upload_ids", []))
        await sources.posts.mark_done(post_id, Task.MOVE_FILES, version=document["version"])


async def move_files(sources: Sources, owner_id: ObjectId, upload_ids: Sequence[ObjectId]) -> None:
    """Moves the files of these uploads of one account until all lie where they belong, by a look after the last move.

    Raises NotYet if others move them too, again and again.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def carry_out(move: Move) -> None:
        async with slots:
            if await copy_files(sources, move):
                await sources.images.move(owner_id, move)

    for _ in range(MAX_TRIES):
        moves = await _due(sources, owner_id, upload_ids)
        if not moves:
            return
        await asyncio.gather(*map(carry_out, moves))
    raise RetryLater


async def _due(sources: Sources, owner_id: ObjectId, upload_ids: Sequence[ObjectId]) -> list[Move]:
    uploads = [upload for upload in await sources.uploads.by_ids(upload_ids) if upload is not None]
    post_ids = list({upload.post_id for upload in uploads if upload.post_id is not None})
    # The account is read last: whoever changes it later finds what is moved now.
    posts = {post.id: post for post in await sources.posts.by_ids(post_ids) if post is not None}
    (owner,) = await sources.users.by_ids([owner_id])
    if owner is None:
        return []
    moves = []
    for upload in uploads:
        if upload.image is not None:
            post = posts.get(upload.post_id) if upload.post_id is not None else None
            area = area_of(upload, owner, post)
            lags = _lags(upload.image, owner, post)
            moves.append(Move(upload.image, moved(upload.image, area)) if lags else move_to(area, upload, upload.image))
    return [move for move in moves if move.after is not move.before]


def _lags(image: ImageRecord, owner: UserRecord, post: PostRecord | None) -> bool:
    """Whether a profile or a post names files that the image has left: it was read before a move and written after."""
    shown = [*(post.images if post is not None else ()), *([owner.avatar] if owner.avatar is not None else ())]
    return any(one.id == image.id and one.version != image.version for one in shown)
