"""Posts against the files in storage."""

import asyncio
from collections.abc import Sequence

from bson import ObjectId

from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.records.posts import PostStatus
from workers.maintenance.checks.check import Finding

FILES = "post.images"
AT_ONCE = 16


async def missing_files(sources: Sources, ids: Sequence[ObjectId]) -> list[Finding]:
    """The ready posts among these of which storage lacks renditions; one listing for each image.

    A post that is deleted meanwhile, or whose files are moved, is passed over.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def missing(post: Document) -> list[str]:
        wanted = _named(post)
        for prefix in {key.rpartition("/")[0] for key in wanted}:
            async with slots:
                wanted -= {blob.key async for blob in sources.blobs.list_media(f"{prefix}/")}
        return sorted(wanted)

    posts = await _shown(sources, ids)
    lacking = dict(zip(posts, await asyncio.gather(*map(missing, posts.values())), strict=True))
    lacking = {post_id: keys for post_id, keys in lacking.items() if keys}
    still = await _shown(sources, list(lacking)) if lacking else {}
    why = "storage lacks files of a ready post"
    return [
        Finding(kind=FILES, id=str(post_id), expected=keys, found=[], why=why)
        for post_id, keys in lacking.items()
        if post_id in still and _named(still[post_id]).issuperset(keys)
    ]


def _named(post: Document) -> set[str]:
    return {rendition["key"] for image in post.get("images", ()) for rendition in image["renditions"]}


async def _shown(sources: Sources, ids: Sequence[ObjectId]) -> dict[ObjectId, Document]:
    query = {"_id": {"$in": list(ids)}, "status": PostStatus.READY.value, "deleted": False}
    posts = sources.database["posts"].find(query, {"images.renditions.key": 1})
    return {post["_id"]: post async for post in posts}
