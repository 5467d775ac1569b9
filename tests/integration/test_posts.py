"""Posts: created once, published once, deleted completely."""

import asyncio
import random
from collections import Counter

import pytest
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from datasources.media.images import Move
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import from_global_id, to_global_id
from domain.paging import PageRequest
from domain.records.posts import PostDraft, PostImage, PostRecord, PostStatus
from domain.records.uploads import FailureRecord
from domain.records.users import UserRecord
from tests.support.factories import World, image, items_of, now

FAILURE = FailureRecord(code=UserErrorCode.IMAGE_CORRUPT, message="No picture.")


def draft(*upload_ids: ObjectId, **rest: object) -> PostDraft:
    """A post of these uploads."""
    return PostDraft(images=[PostImage(upload_id=upload_id) for upload_id in upload_ids], **rest)  # type: ignore[arg-type]


async def create(world: World, author: UserRecord, *upload_ids: ObjectId, key: Idempotency | None = None) -> PostRecord:
    """As `createPost`."""
    return await world.sources.publishing.create(author.id, draft(*upload_ids), now(), key)


async def outcome(world: World, author: UserRecord, *upload_ids: ObjectId, key: Idempotency | None = None) -> object:
    """The post's id, or why there is none."""
    try:
        return (await create(world, author, *upload_ids, key=key)).id
    except Refusal as refusal:
        return refusal.code


async def test_fifty_concurrent_duplicates_with_one_key_make_one_post(world: World) -> None:
    ana, upload_id, key = await world.user(), ObjectId(), Idempotency.of("k", "createPost", {"caption": "hi"})
    outcomes = await asyncio.gather(*(outcome(world, ana, upload_id, key=key) for _ in range(50)))
    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], ObjectId)
    assert await world.sources.database["posts"].count_documents({"author_id": ana.id}) == 1


async def test_a_key_with_other_input_is_an_error(world: World) -> None:
    ana = await world.user()
    await create(world, ana, ObjectId(), key=Idempotency.of("k", "createPost", {"caption": "a"}))
    other = Idempotency.of("k", "createPost", {"caption": "b"})
    assert await outcome(world, ana, ObjectId(), key=other) is UserErrorCode.IDEMPOTENCY_KEY_REUSED
    with pytest.raises(Refusal):
        await world.sources.publishing.created_earlier(ana.id, other)


async def test_of_twenty_concurrent_posts_of_one_upload_one_is_created(world: World) -> None:
    ana, shared = await world.user(), ObjectId()
    outcomes = await asyncio.gather(*(outcome(world, ana, ObjectId(), shared) for _ in range(20)))
    assert Counter(outcomes)[UserErrorCode.UPLOAD_USED] == 19


async def test_a_post_is_published_once(world: World) -> None:
    ana, upload_id = await world.user(), ObjectId()
    created = await create(world, ana, upload_id)
    assert (created.status, created.images) == (PostStatus.PROCESSING, [])
    publish, shown = world.sources.images.publish, Move(image(upload_id), image(upload_id))
    await asyncio.gather(*(publish(created.id, [shown], now()) for _ in range(10)))
    await world.drain()
    await publish(created.id, [shown], now())
    await world.sources.publishing.fail(created.id, FAILURE, now())
    assert await world.drain() == set()
    post = await world.stored_post(created.id)
    assert (post.status, post.images, post.failure) == (PostStatus.READY, [image(upload_id)], None)
    assert (await world.stored_user(ana.id)).post_count == 1


async def test_a_failed_post_is_not_counted_and_frees_its_uploads(world: World) -> None:
    ana, good = await world.user(), ObjectId()
    created = await create(world, ana, good, ObjectId())
    await world.sources.publishing.fail(created.id, FAILURE, now())
    await world.drain()
    assert (await world.stored_post(created.id)).failure == FAILURE
    assert (await world.stored_user(ana.id)).post_count == 0
    assert isinstance(await outcome(world, ana, good), ObjectId)


async def test_a_deleted_post_is_removed_with_all_that_belongs_to_it(world: World) -> None:
    ana, bob = await world.users(2)
    await world.open_feeds(bob)
    await world.follow(bob, ana)
    post = await world.post(ana, caption="bye", mention_ids=[bob.id])
    comment = await world.comment(post, bob)
    await world.comment(post, ana, parent_id=comment.id)
    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.sources.comment_likes.like(comment.id, ana.id, now())
    await world.drain()
    for _ in range(2):
        await world.sources.posts.delete(post.id, ana.id, now())
    hidden = await world.stored_post(post.id)
    assert hidden.deleted
    assert await world.drain() == set()
    database = world.sources.database
    assert await database["posts"].find_one({"_id": post.id}) is None
    assert await database["comments"].count_documents({"post_id": post.id}) == 0
    assert await database["post_likes"].count_documents({"target_id": post.id}) == 0
    assert await database["comment_likes"].count_documents({"target_id": comment.id}) == 0
    assert await database["feed_entries"].count_documents({"_id": {"o": bob.id, "p": post.id}}) == 0
    assert [notice for notice in await world.inbox(bob) if notice.post_id == post.id] == []
    assert (await world.stored_user(ana.id)).post_count == 0


async def test_a_post_deleted_before_its_jobs_run_never_counts(world: World) -> None:
    ana = await world.user()
    post = await world.post(ana)
    await world.sources.posts.delete(post.id, ana.id, now())
    assert await world.drain() == set()
    assert (await world.stored_user(ana.id)).post_count == 0
    assert await world.inbox(ana) == []


async def test_a_post_is_deleted_while_its_jobs_run(world: World) -> None:
    for _ in range(5):
        ana, bob = await world.users(2)
        await world.follow(bob, ana)
        post = await world.post(ana)
        await asyncio.gather(world.drain(), world.sources.posts.delete(post.id, ana.id, now()), world.drain())
        assert await world.drain() == set()
        assert (await world.stored_user(ana.id)).post_count == 0
        assert await world.sources.database["posts"].find_one({"_id": post.id}) is None


async def test_nobody_deletes_somebody_elses_post(world: World) -> None:
    ana, eve = await world.users(2)
    post = await world.post(ana)
    for post_id, viewer in ((post.id, eve), (ObjectId(), ana)):
        with pytest.raises(NotFound):
            await world.sources.posts.delete(post_id, viewer.id, now())
    assert await world.stored_post(post.id) == post


async def test_a_profile_lists_ready_posts_newest_first_and_its_owner_sees_the_others_too(world: World) -> None:
    ana = await world.user()
    first, second = await world.post(ana), await world.post(ana)
    waiting = await create(world, ana, ObjectId())
    deleted = await world.post(ana)
    await world.sources.posts.delete(deleted.id, ana.id, now())
    by_author = world.sources.posts.by_author
    assert items_of(await by_author(ana.id, PageRequest(limit=9), every_status=False)) == [second.id, first.id]
    own = await by_author(ana.id, PageRequest(limit=9), every_status=True)
    assert items_of(own) == [waiting.id, second.id, first.id]


async def test_only_its_owner_finds_the_post_of_an_upload(world: World) -> None:
    ana, upload_id = await world.user(), ObjectId()
    created = await create(world, ana, upload_id)
    assert await world.sources.publishing.of_upload(ana.id, upload_id) == created
    assert await world.sources.publishing.of_upload(ObjectId(), upload_id) is None


async def test_a_page_of_a_thousand_authors_takes_two_finds_and_reads_little_else(world: World) -> None:
    authors, database = [ObjectId() for _ in range(1_000)], world.sources.database
    shown = {"status": "READY", "deleted": False}
    newest = sorted((ObjectId() for _ in range(10_000)), reverse=True)
    written_by = zip(newest, random.sample(authors * 10, 10_000), strict=True)
    await database["posts"].insert_many(
        {"_id": post_id, "author_id": author_id, **shown} for post_id, author_id in written_by
    )
    below, above = (
        PageRequest(limit=20, after=newest[5_000]),
        PageRequest(limit=20, before=newest[5_000], backward=True),
    )
    await database.command("profile", 2)
    pages = [await world.sources.posts.shown_by_authors(authors, request) for request in (below, above)]
    await database.command("profile", 0)
    ids = [[post["_id"] for post in page] for page in pages]
    assert ids == [newest[5_001:5_022], newest[4_979:5_000][::-1]]
    finds = await database["system.profile"].find({"command.find": "posts"}).to_list()
    await database["system.profile"].drop()
    assert (len(finds), sum(find["docsExamined"] for find in finds)) == (4, 0)
    assert sum(find["keysExamined"] for find in finds) < 2 * 2.5 * len(authors)
    large_page = await world.sources.posts.shown_by_authors(authors, PageRequest(limit=3_000, after=newest[5_000]))
    assert [post["_id"] for post in large_page] == newest[5_001:8_002]


async def test_an_unready_post_is_on_its_authors_profile_until_they_dismiss_it_and_in_no_feed(world: World) -> None:
    ana, bob = await world.users(2)
    ready, waiting, failed = await world.post(ana), await world.draft(ana), await world.draft(ana)
    await world.sources.publishing.fail(failed.id, FAILURE, now())
    assert await own_pages(world, ana, ana) == ([failed.id, waiting.id, ready.id], [ready.id])
    assert (await own_pages(world, bob, ana))[0] == [ready.id]
    document = "mutation ($id: ID!) { deletePost(input: {postId: $id}) { deletedPostId userErrors { code } } }"
    gid = to_global_id("Post", failed.id)
    result = await world.execute(document, ana, id=gid)
    assert result.data == {"deletePost": {"deletedPostId": gid, "userErrors": []}}
    assert await own_pages(world, ana, ana) == ([waiting.id, ready.id], [ready.id])


async def own_pages(world: World, viewer: UserRecord, owner: UserRecord) -> tuple[list[ObjectId], list[ObjectId]]:
    """The posts on somebody's profile, and in the viewer's feed."""
    posts = "edges { node { id } }"
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on User {{ posts {{ {posts} }} }} }} feed {{ {posts} }} }}"
    result = await world.execute(document, viewer, id=to_global_id("User", owner.id))
    assert result.data is not None, result.errors
    pages = result.data["node"]["posts"], result.data["feed"]
    profile, feed = ([from_global_id(edge["node"]["id"])[1] for edge in page["edges"]] for page in pages)
    return profile, feed
