"""Idempotency keys of comments are claims, written with their comments and freed after them."""

import itertools
from datetime import timedelta

import pytest
from bson import ObjectId
from pymongo import ASCENDING

from datasources.jobs.claimed_keys import SHOWN_WITHIN, claims_by_author
from datasources.jobs.idempotency import Idempotency
from datasources.mongo.client import Document
from datasources.mongo.sharded_ids import new_id
from domain.errors import Refusal, UserErrorCode
from domain.limits import IDEMPOTENCY_HOURS
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now
from tests.support.operation_counter import OperationCounter

KEY = Idempotency.of("k", "addComment", {"text": "nice"})


async def claims(world: World, author_id: ObjectId) -> list[Document]:
    """The claims of an account's keys."""
    return await world.sources.database["claims"].find(claims_by_author(author_id)).to_list()


async def test_a_comment_that_dies_before_any_write_leaves_its_key_free(own: World) -> None:
    ana = await own.user()
    post = await own.post(ana)
    comments = own.sources.database["comments"]
    for before in itertools.count():

        async def add() -> None:
            await own.comment(post, ana, idempotency=KEY)

        died = await dies_before_write(add, before)
        made = await comments.find({"author_id": ana.id}, {"_id": 1}).to_list()
        assert [claim["fact_id"] for claim in await claims(own, ana.id)] == [comment["_id"] for comment in made]
        comment = await own.comment(post, ana, idempotency=KEY)
        assert await comments.count_documents({"author_id": ana.id}) == 1
        if not died:
            return
        await own.sources.comments.delete_documents([comment.id])
        await own.sources.database["claims"].delete_many(claims_by_author(ana.id))


@pytest.mark.parametrize("with_post", [False, True], ids=["the comment", "its post"])
async def test_a_claim_ends_a_day_after_a_comment_that_is_deleted(world: World, *, with_post: bool) -> None:
    ana = await world.user()
    post = await world.post(ana)
    comment = await world.comment(post, ana, idempotency=KEY)
    await world.comment(post, ana)
    await world.drain()
    (claim,) = await claims(world, ana.id)
    assert "expires_at" not in claim
    if with_post:
        await world.sources.posts.delete(post.id, ana.id, now())
    else:
        await world.sources.comments.delete(comment.id, now())
    await world.drain()
    (claim,) = await claims(world, ana.id)
    assert claim["expires_at"] == comment.id.generation_time + timedelta(hours=IDEMPOTENCY_HOURS)
    indexes = await world.sources.database["claims"].index_information()
    assert indexes["expires_at_1"]["expireAfterSeconds"] == 0
    with pytest.raises(Refusal) as refused:
        await world.comment(post, ana, idempotency=KEY)
    assert refused.value.code is UserErrorCode.NOT_FOUND


async def test_a_key_that_the_version_before_took_adds_nothing(own: World) -> None:
    """That version has a unique index of keys, which a new database lacks, and makes no claims."""
    where = {"idempotency_key": {"$exists": True}}
    index = [("author_id", ASCENDING), ("idempotency_key", ASCENDING)]
    await own.sources.database["comments"].create_index(index, unique=True, partialFilterExpression=where)
    ana = await own.user()
    post = await own.post(ana)
    first = await own.comment(post, ana, idempotency=KEY)
    await own.sources.database["claims"].delete_many(claims_by_author(ana.id))
    assert (await own.comment(post, ana, idempotency=KEY)).id == first.id
    assert await claims(own, ana.id) == []
    with pytest.raises(Refusal) as refused:
        await own.comment(post, ana, idempotency=Idempotency.of("k", "addComment", {"text": "other"}))
    assert refused.value.code is UserErrorCode.IDEMPOTENCY_KEY_REUSED


async def test_a_comment_that_is_not_seen_yet_is_not_said_to_be_deleted(world: World) -> None:
    """As in a cluster, where a claim may be seen before its comment."""
    ana = await world.user()
    post = await world.post(ana)
    codes = []
    for age in (timedelta(), 2 * SHOWN_WITHIN):
        comment = await world.comment(post, ana, idempotency=KEY, new_id=new_id(ana.id, now() - age))
        await world.sources.database["comments"].delete_one({"_id": comment.id})
        with pytest.raises(Refusal) as refused:
            await world.sources.commenting.added_earlier(ana.id, KEY)
        codes.append(refused.value.code)
        await world.sources.database["claims"].delete_many(claims_by_author(ana.id))
    assert codes == [UserErrorCode.IN_PROGRESS, UserErrorCode.NOT_FOUND]


async def test_a_transaction_that_meets_another_comment_is_not_tried_again(
    counted: World, operations: OperationCounter
) -> None:
    ana = await counted.user()
    post = await counted.post(ana)
    taken = await counted.comment(post, ana, idempotency=KEY)
    operations.counts.clear()
    other = Idempotency.of("other", "addComment", {"text": "nice"})
    added = await counted.comment(post, ana, idempotency=other, new_id=taken.id)
    assert added.id != taken.id
    assert operations.counts["insert comments"] == 2
    assert {claim["fact_id"] for claim in await claims(counted, ana.id)} == {taken.id, added.id}


async def test_the_version_before_finds_the_keys_of_this_one(world: World) -> None:
    ana = await world.user()
    comment = await world.comment(await world.post(ana), ana, idempotency=KEY)
    assert KEY is not None
    stored = await world.sources.database["comments"].find_one({"author_id": ana.id, "idempotency_key": KEY.key})
    assert stored is not None
    assert (stored["_id"], stored["idempotency_digest"]) == (comment.id, KEY.digest)
