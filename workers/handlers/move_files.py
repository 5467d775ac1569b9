"""Image files are moved to the public area while strangers may see the image, and to the private area otherwise.

Whether they may is decided again after every move, and the task becomes pending again whenever the answer may have
changed. So of an account that turns private and a post that is published at once, the later one sees the other's work.
"""

import asyncio
from collections.abc import Sequence

from bson import ObjectId

from datasources.media.images import Move
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.images import ImageRecord
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.visibility import area_of
from workers.handlers.image_files import MAX_TRIES, copy_files, move_anew, move_to
from workers.runtime.handler import RetryLater, Tools

CHUNK = 200  # uploads of an account in one step
MAX_CONCURRENT_MOVES = 8


async def move_files_of_user(tools: Tools, key: str) -> None:
    """Moves all files of an account to the right area, a chunk at a time.

    Safe to run twice, and to stop half way: files that are in the right area stay. Raises RetryLater if the account
    changes meanwhile; then it begins anew.
    """
    sources, owner_id, after = tools.sources, ObjectId(key), None
    (owner,) = await sources.users.by_ids([owner_id])
    if owner is None:
        return
    while chunk := await sources.images.ids_of_owner(owner_id, after, CHUNK):
        await move_files(sources, owner_id, chunk)
        after = chunk[-1]
    if not await sources.users.mark_done(owner, Task.MOVE_FILES):
        raise RetryLater


async def move_files_of_post(tools: Tools, key: str) -> None:
    """Moves a post's files to the right area, if its account changed while it was published. Safe to run twice."""
    sources, post_id = tools.sources, ObjectId(key)
    for document in await sources.posts.pending(Task.MOVE_FILES, [post_id]):
        await move_files(sources, document["author_id"], document.get("upload_ids", []))
        await sources.posts.mark_done(document, Task.MOVE_FILES)


async def move_files(sources: Sources, owner_id: ObjectId, upload_ids: Sequence[ObjectId]) -> None:
    """Moves the files of these uploads of one account until a check after the last move finds all in the right area.

    Raises RetryLater if others keep moving them too.
    """
    slots = asyncio.Semaphore(MAX_CONCURRENT_MOVES)

    async def carry_out(move: Move) -> None:
        async with slots:
            if await copy_files(sources, move):
                await sources.images.move(owner_id, move)

    for _ in range(MAX_TRIES):
        moves = await _needed_moves(sources, owner_id, upload_ids)
        if not moves:
            return
        await asyncio.gather(*map(carry_out, moves))
    raise RetryLater


async def _needed_moves(sources: Sources, owner_id: ObjectId, upload_ids: Sequence[ObjectId]) -> list[Move]:
    uploads = [upload for upload in await sources.uploads.by_ids(upload_ids) if upload is not None]
    post_ids = list({upload.post_id for upload in uploads if upload.post_id is not None})
    # The account is read last: who changes it later finds the files that are moved now.
    posts = {post.id: post for post in await sources.posts.by_ids(post_ids) if post is not None}
    (owner,) = await sources.users.by_ids([owner_id])
    if owner is None:
        return []
    moves = []
    for upload in uploads:
        if upload.image is not None:
            post = posts.get(upload.post_id) if upload.post_id is not None else None
            area = area_of(upload, owner, post)
            if _is_outdated(upload.image, owner, post):
                moves.append(move_anew(area, upload, upload.image, upload.post_id))
            else:
                moves.append(move_to(area, upload, upload.image, upload.post_id))
    return [move for move in moves if move.after is not move.before]


def _is_outdated(image: ImageRecord, owner: UserRecord, post: PostRecord | None) -> bool:
    """Whether the profile or the post names old files: its image was read before a move and written after it."""
    shown = [*(post.images if post is not None else ()), *([owner.avatar] if owner.avatar is not None else ())]
    return any(each.id == image.id and each.version != image.version for each in shown)
