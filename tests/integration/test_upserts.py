"""Writes by a bare command are sent once more when the connection breaks."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from config import Settings
from datasources.mongo.client import open_mongo
from datasources.mongo.upserts import insert_each, update_each
from tests.support.toxic_proxy import Proxy, Toxic, proxied

SAME = ("key", "at")


@pytest.fixture
async def proxy(settings: Settings) -> AsyncIterator[Proxy]:
    async with proxied(settings.mongo_url) as standing:
        yield standing


async def test_an_update_survives_a_broken_connection(settings: Settings, proxy: Proxy) -> None:
    url = proxy.url.replace("replicaSet=photogram", "directConnection=true")
    async with open_mongo(settings.model_copy(update={"mongo_url": url})) as client:
        collection = client[settings.mongo_database]["upserts"]
        update = {"q": {"_id": ObjectId()}, "u": {"$set": {"liked": True}}, "upsert": True}
        assert await update_each(collection, [update])
        proxy.become(Toxic.NONE)  # drops the open connections
        assert not await update_each(collection, [update])  # it was applied already
        proxy.become(Toxic.NONE)
        with pytest.raises(AutoReconnect):  # the same connections are broken for a command that is sent once
            await collection.database.command({"find": collection.name})


async def test_an_insert_whose_answer_is_lost_is_no_duplicate(settings: Settings, proxy: Proxy) -> None:
    url = proxy.url.replace("replicaSet=photogram", "directConnection=true")
    async with open_mongo(settings.model_copy(update={"mongo_url": url})) as client:
        collection = client[settings.mongo_database]["inserts"]
        await collection.create_index("key", unique=True)
        first = {"_id": ObjectId(), "key": 1, "at": datetime.now(UTC), "text": "written"}
        assert not await insert_each(collection, [first], SAME)
        assert (await insert_each(collection, [first], SAME))[0]["keyPattern"] == {"_id": 1}  # it was there before
        proxy.become(Toxic.NONE)  # drops the open connections, so the next command is sent twice
        assert not await insert_each(collection, [first], SAME)
        proxy.become(Toxic.NONE)
        others = [{"_id": ObjectId(), "key": key, "at": datetime.now(UTC)} for key in (1, 2)]
        refused = await insert_each(collection, others, SAME)
        assert {number: failure["keyPattern"] for number, failure in refused.items()} == {0: {"key": 1}}
        assert await collection.count_documents({}) == 2


async def test_an_id_that_another_document_has_is_taken_also_when_an_answer_is_lost(
    settings: Settings, proxy: Proxy
) -> None:
    url = proxy.url.replace("replicaSet=photogram", "directConnection=true")
    async with open_mongo(settings.model_copy(update={"mongo_url": url})) as client:
        collection = client[settings.mongo_database]["taken"]
        theirs, ours = ({"_id": ObjectId(), "key": key, "at": datetime.now(UTC), "text": ""} for key in (1, 2))
        assert not await insert_each(collection, [theirs, ours], SAME)
        await collection.update_one({"_id": ours["_id"]}, {"$set": {"text": "changed since"}})
        proxy.become(Toxic.NONE)
        other = {**theirs, "key": 3}
        assert list(await insert_each(collection, [ours, other], SAME)) == [1]
