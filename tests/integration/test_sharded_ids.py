"""Ids that say where documents lie, beside those of an older version, which do not."""

import asyncio
from datetime import UTC, datetime

import pytest
from bson import ObjectId

from datasources.mongo.sharded_ids import COMMENT_KEY, key_in, new_id
from domain.image_formats import SourceFormat
from domain.paging import PageRequest
from domain.records.posts import PostDraft, PostImage
from tests.support.factories import World, items_of, now
from workers.maintenance.checks.ids import KEYS
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk

OLDER = int(datetime(2025, 5, 1, tzinfo=UTC).timestamp())  # before the settings of tests believe what ids say


async def as_of_older_version(world: World, collection: str, id_: ObjectId, at: int = OLDER) -> ObjectId:
    """Gives a document the form in which an older version wrote it; returns its id, which says nothing."""
    documents = world.sources.database[collection]
    document = await documents.find_one_and_delete({"_id": id_})
    assert document is not None
    document.pop(COMMENT_KEY, None)
    document["_id"] = ObjectId(at.to_bytes(4, "big") + ObjectId().binary[4:])
    await documents.insert_one(document)
    return ObjectId(document["_id"])


async def test_what_is_made_lies_with_its_account(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    comment = await world.comment(post, bob)
    upload = await world.sources.uploads.announce(bob.id, SourceFormat.JPEG, 1000, "sum", now())
    await world.follow(bob, ana)
    follow = await world.sources.database["follows"].find_one({"follower_id": bob.id})
    assert follow is not None
    with_ana, with_bob = ana.id.binary[:5], bob.id.binary[:5]
    assert [key_in(id_) for id_ in (post.id, comment.id)] == [with_ana] * 2
    assert [key_in(id_) for id_ in (upload.id, follow["_id"])] == [with_bob] * 2
    stored = await world.sources.database["comments"].find_one({"_id": comment.id})
    assert stored is not None
    assert stored[COMMENT_KEY] == with_ana


async def test_a_follow_that_begins_again_keeps_its_id(world: World) -> None:
    ana, bob = await world.users(2)
    follows = world.sources.database["follows"]
    await world.follow(bob, ana)
    first = await follows.find_one({"follower_id": bob.id})
    await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    await world.follow(bob, ana)
    await world.sources.follows.restart_backfill(bob.id, [ana.id], now())
    again = await follows.find_one({"follower_id": bob.id})
    assert first is not None
    assert again is not None
    assert again["_id"] == first["_id"]


async def test_gone_follows_get_ids_of_their_own(world: World) -> None:
    """Also if ids that other processes made are taken."""
    ana, bob, cid = await world.users(3)
    follows = world.sources.database["follows"]
    last = new_id(bob.id).binary
    second, count = int.from_bytes(last[:4]), int.from_bytes(last[4:7])
    taken = [
        {"_id": ObjectId((second + later).to_bytes(4) + ((count + next_) % 2**24).to_bytes(3) + last[7:])}
        for later in range(10)
        for next_ in (1, 2, 3)
    ]
    await follows.insert_many([{**each, "follower_id": each["_id"], "followee_id": ana.id} for each in taken])
    await world.sources.follows.restart_backfill(bob.id, [ana.id, cid.id], now())
    await follows.delete_many({"_id": {"$in": [each["_id"] for each in taken]}})
    restarted = await follows.find({"follower_id": bob.id}).to_list()
    assert {follow["followee_id"] for follow in restarted} == {ana.id, cid.id}
    assert {key_in(follow["_id"]) for follow in restarted} == {bob.id.binary[:5]}


@pytest.mark.asks_all_shards
async def test_documents_of_an_older_version_are_found_and_changed(world: World) -> None:
    sources = world.sources
    ana, bob = await world.users(2)
    post_id = await as_of_older_version(world, "posts", (await world.post(ana)).id)
    post = await world.stored_post(post_id)
    comment_id = await as_of_older_version(world, "comments", (await world.comment(post, bob, "old")).id)
    await world.follow(bob, ana)
    follow = await sources.database["follows"].find_one({"follower_id": bob.id})
    assert follow is not None
    await as_of_older_version(world, "follows", follow["_id"])

    reply = await world.comment(post, ana, "new", parent_id=comment_id)
    added = await world.comment(post, ana, "new")
    await sources.post_likes.like(post_id, bob.id, now())
    await world.drain()
    shown = await world.stored_post(post_id)
    assert (shown.like_count, shown.comment_count) == (1, 3)
    assert shown.preview_comment_ids == [added.id, comment_id]
    assert items_of(await sources.comments.of_post(post_id, PageRequest(limit=9))) == [added.id, comment_id]
    assert items_of(await sources.comments.replies(comment_id, PageRequest(limit=9))) == [reply.id]
    assert (await world.stored_comment(comment_id)).reply_count == 1
    assert (await world.stored_user(ana.id)).follower_count == 1

    for each in (comment_id, reply.id, added.id):
        target = await sources.targets.comment(each, bob.id)
        assert target is not None
        assert target.is_visible
        assert target.post is not None
    await sources.comments.delete(comment_id, now())
    await world.drain()
    assert (await world.stored_post(post_id)).comment_count == 1
    assert await sources.comments.by_ids([comment_id, reply.id]) == [None, None]
    await sources.posts.delete(post_id, ana.id, now())
    await world.drain()
    assert await sources.posts.by_ids([post_id]) == [None]
    assert await sources.database["comments"].count_documents({"post_id": post_id}) == 0


async def test_an_id_that_is_taken_is_given_once(world: World) -> None:
    sources, ana = world.sources, await world.user()
    post = await world.post(ana)
    first = await world.comment(post, ana, "first")
    others = await asyncio.gather(*(world.comment(post, ana, "other", new_id=first.id) for _ in range(3)))
    assert len({comment.id for comment in (first, *others)}) == 4
    draft = PostDraft(images=[PostImage(upload_id=ObjectId())])
    other = await sources.publishing.create(ana.id, draft, now(), post_id=post.id)
    assert other.id != post.id
    assert [each is not None for each in await sources.posts.by_ids([post.id, other.id])] == [True, True]


async def test_verify_finds_what_an_older_version_made_after_ids_were_believed(own: World) -> None:
    ana, bob = await own.users(2)
    for _ in range(2):
        post = await own.post(ana)
        await own.comment(post, bob)
        await own.sources.uploads.announce(bob.id, SourceFormat.JPEG, 1000, "sum", now())
    await own.follow(bob, ana)
    await own.follow(ana, bob)
    made = {}
    for name in KEYS:
        first, second = await own.sources.database[name].find({}, {"_id": 1}, limit=2).to_list()
        await as_of_older_version(own, name, first["_id"])
        made[f"{name[:-1]}._id"] = str(await as_of_older_version(own, name, second["_id"], int(now().timestamp())))
    report = await verify(Walk(sources=own.sources))
    assert {each.kind: each.id for each in report.findings if each.kind.endswith("._id")} == made
    assert len([each for each in report.findings if each.kind in made]) == len(KEYS)
