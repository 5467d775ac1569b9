"""Posts against the files in storage."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.concurrency.tasks import run_all
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.records.posts import PostStatus
from workers.maintenance.checks.check import BY_HAND, Check, Finding

MISSING_FILES = "post.images"
CONCURRENCY = 16


async def _find_missing(sources: Sources, ids: Sequence[ObjectId]) -> list[Finding]:
    """The ready posts of which storage lacks renditions; one listing for each image.

    A post that is deleted meanwhile, or whose files are moved, is passed over.
    """

    async def missing_keys(post: Document) -> list[str]:
        missing = _keys_of(post)
        for prefix in {key.rpartition("/")[0] for key in missing}:
            missing -= {blob.key async for blob in sources.blobs.list_media(f"{prefix}/")}
        return sorted(missing)

    posts = await _find_ready(sources, ids)
    missing = dict(zip(posts, await run_all(CONCURRENCY, missing_keys, posts.values()), strict=True))
    missing = {post_id: keys for post_id, keys in missing.items() if keys}
    still = await _find_ready(sources, list(missing)) if missing else {}
    return [
        Finding(kind=MISSING_FILES, id=str(post_id), expected=keys, found=[], why="storage lacks files of a ready post")
        for post_id, keys in missing.items()
        if post_id in still and _keys_of(still[post_id]).issuperset(keys)
    ]


def _keys_of(post: Document) -> set[str]:
    return {rendition["key"] for image in post.get("images", ()) for rendition in image["renditions"]}


async def _find_ready(sources: Sources, ids: Sequence[ObjectId]) -> dict[ObjectId, Document]:
    query = {"_id": {"$in": list(ids)}, "status": PostStatus.READY.value, "deleted": False}
    posts = sources.database["posts"].find(query, {"images.renditions.key": 1})
    return {post["_id"]: post async for post in posts}


FILES = Check(collection="posts", stage="files", find=_find_missing, repairs={MISSING_FILES: BY_HAND})
