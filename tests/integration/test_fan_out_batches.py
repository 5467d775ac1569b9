"""Posts of many authors fanned out by one call: few operations, and each post as if it had been alone."""

import itertools

import bson
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError

from datasources.feed.entries import Delivery
from datasources.mongo.upserts import insert_absent
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.auditing import audit
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now
from tests.support.fan_outs import (
    begin_fan_out,
    create_followed_author,
    feeds_with,
    ids_of,
    is_fan_out_pending,
    open_chunk_ids,
)
from tests.support.operation_counter import OperationCounter
from workers.handlers import fan_out as fan_out_module
from workers.handlers.fan_out import fan_out, fan_out_chunk
from workers.runtime.handler import RetryLater

CHUNK = 4


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out_module, "CHUNK", CHUNK)
    monkeypatch.setattr(fan_out_module, "STEP", CHUNK)


def keys(posts: list[PostRecord]) -> list[str]:
    """The keys of the jobs of these posts."""
    return [str(post.id) for post in posts]


@pytest.mark.parametrize("authors", [2, 8])
async def test_a_call_takes_as_many_operations_for_many_authors_as_for_few(
    counted: World, operations: OperationCounter, monkeypatch: pytest.MonkeyPatch, authors: int
) -> None:
    monkeypatch.setattr(fan_out_module, "CHUNK", 100)
    people = [await create_followed_author(counted, 2) for _ in range(authors)]
    await counted.drain()
    posts = [await counted.post(author) for author, _ in people]
    operations.counts.clear()
    await fan_out(counted.tools, *keys(posts))
    assert operations.counts == {
        "find posts": 3,  # the pending ones; those to be shown, before and after
        "find users": 1,
        "find followers": 1,
        "find feeds": 1,
        "insert feed_entries": 1,
        "update posts": 1,
    }
    for post, (_, fans) in zip(posts, people, strict=True):
        assert await feeds_with(counted, post.id) == ids_of(fans)
        assert not await is_fan_out_pending(counted, post.id)


async def mixed_posts(world: World) -> dict[ObjectId, list[UserRecord]]:
    """Posts and who must have them: few, many, no or miscounted followers, a deleted post, a pulled author."""
    people = [await create_followed_author(world, count) for count in (1, 2, CHUNK + 1, 0, CHUNK, CHUNK + 3, 2, 2)]
    await world.drain()
    (miscounted, _), (deleting, fans), (pulled, _) = people[-3:]
    popular = {"pulled": True, "follower_count": world.sources.push_pull.limit}
    for author, values in ((miscounted, {"follower_count": 1}), (pulled, popular)):
        await world.sources.database["users"].update_one({"_id": author.id}, {"$set": values})
    wanted = {(await world.post(author)).id: fans for author, fans in people[:-2]}
    gone = await world.post(deleting)
    await world.sources.feed_entries.push(Delivery(gone.id, deleting.id, [fan.id for fan in fans]))
    await world.sources.posts.delete(gone.id, deleting.id, now())
    return wanted | {gone.id: [], (await world.post(pulled)).id: []}


async def test_a_call_for_posts_of_all_kinds_treats_each_as_if_it_were_alone(counted: World) -> None:
    wanted = await mixed_posts(counted)
    await fan_out(counted.tools, *map(str, wanted))
    left = [post_id for post_id in wanted if await is_fan_out_pending(counted, post_id)]
    assert len(left) == 2  # those that are split
    with pytest.raises(RetryLater):
        await fan_out(counted.tools, *map(str, wanted))
    await counted.drain()
    for post_id, fans in wanted.items():
        assert await feeds_with(counted, post_id) == ids_of(fans)


@pytest.mark.parametrize("count", [0, 2, CHUNK + 1])
async def test_a_follower_count_that_is_too_high_delays_nothing(counted: World, count: int) -> None:
    author, fans = await create_followed_author(counted, count)
    await counted.drain()
    miscounted = {"$set": {"follower_count": 3 * CHUNK}}
    await counted.sources.database["users"].update_one({"_id": author.id}, miscounted)
    post = await counted.post(author)
    await begin_fan_out(counted, post.id)
    for chunk_id in await open_chunk_ids(counted, post.id):
        await fan_out_chunk(counted.tools, chunk_id)
    assert await feeds_with(counted, post.id) == ids_of(fans)
    assert not await is_fan_out_pending(counted, post.id)


async def test_every_feed_is_right_in_the_end_whatever_write_a_call_dies_before(counted: World) -> None:
    for before in itertools.count():
        people = [await create_followed_author(counted, count) for count in (1, 2, CHUNK + 1)]
        await counted.drain()
        posts = [await counted.post(author) for author, _ in people]
        died = await dies_before_write(lambda posts=posts: fan_out(counted.tools, *keys(posts)), before)  # type: ignore[misc]
        assert await counted.drain() == set()
        for post, (_, fans) in zip(posts, people, strict=True):
            assert await feeds_with(counted, post.id) == ids_of(fans)
        if not died:
            break
    assert before > 2
    await audit(counted, seconds=0, has_files=False)


async def test_one_entry_that_cannot_be_inserted_is_reported_and_the_others_are_stored(counted: World) -> None:
    entries, entry_ids = counted.sources.database["feed_entries"], [ObjectId() for _ in range(3)]
    there, new, more = (RawBSONDocument(bson.encode({"_id": entry_id})) for entry_id in entry_ids)
    impossible = RawBSONDocument(bson.encode({"_id": [1]}))
    await insert_absent(entries, [there])
    await insert_absent(entries, [there, new])
    with pytest.raises(BulkWriteError) as raised:
        await insert_absent(entries, [there, impossible, more])
    assert [error["index"] for error in raised.value.details["writeErrors"]] == [1]
    assert [row["_id"] async for row in entries.find({"_id": {"$in": entry_ids}}, sort=[("_id", 1)])] == entry_ids
