"""A search for what is left of an account, which knows nothing of how it is deleted: it reads everything."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from datasources.accounts.cached_users import USER_SECONDS
from domain.ids import to_global_id
from tests.support.factories import World

RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)


async def account_references(world: World, user_id: ObjectId) -> dict[str, list[Any]]:
    """The ids, by collection, of all documents that have an account's id anywhere in them, as an id or as text.

    As text it is hexadecimal, or the id of the GraphQL API.
    """
    forms = user_id.binary, str(user_id).encode(), to_global_id("User", user_id).encode()
    references: dict[str, list[Any]] = {}
    for name in await world.sources.database.list_collection_names():
        async for document in world.sources.database[name].with_options(RAW).find():
            if any(form in document.raw for form in forms):
                references.setdefault(name, []).append(document["_id"])
    return references


async def stored_objects(world: World, upload_ids: Sequence[ObjectId]) -> list[str]:
    """The keys in both buckets of these uploads, whose incoming keys are their ids."""
    blobs = world.sources.blobs
    keys = [blob.key async for blob in blobs.list_media()] + [blob.key async for blob in blobs.list_incoming()]
    return [key for key in keys if any(str(upload_id) in key for upload_id in upload_ids)]


async def lasting_keys(world: World, user_id: ObjectId) -> list[bytes]:
    """The Redis keys that name an account and stay longer than a cached value does."""
    left = []
    for key in await world.redis_keys(f"*{user_id}*"):
        redis = world.redis_of(key)
        if not 0 <= await redis.pttl(key) <= USER_SECONDS * 1000 and await redis.exists(key):
            left.append(key)
    return left
