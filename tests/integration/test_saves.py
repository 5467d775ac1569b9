"""Saved posts: who sees them, what stays of posts that are gone, and that counters are exact."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from datasources.moderation.deciding import Ruling
from datasources.mongo.indexes import SAVES_OF_SAVER
from datasources.mongo.transactions import in_transaction
from datasources.saves import savers
from domain.ids import to_global_id
from domain.records.moderation import ModerationAction, ReportTargetType, Target
from domain.records.posts import PostRecord
from domain.records.users import AccountStanding, UserRecord
from tests.support.factories import World, now
from workers.handlers import clean_up
from workers.maintenance.gc.steps import collect

pytestmark = pytest.mark.own_buckets  # what gc removes here are no files of other tests

SAVED = """query ($first: Int, $after: String, $last: Int, $before: String) {
  viewer { savedPosts(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor postId savedAt note node { id viewerHasSaved } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } }
}"""
SAVE = """mutation ($input: SavePostInput!) {
  savePost(input: $input) { post { id viewerHasSaved viewerCollections { id } } userErrors { code field } }
}"""
UNSAVE = """mutation ($input: UnsavePostInput!) {
  unsavePost(input: $input) { post { id viewerHasSaved } userErrors { code field } }
}"""


def gid(post: PostRecord) -> str:
    return to_global_id("Post", post.id)


async def ask(world: World, document: str, viewer: UserRecord | None, **variables: Any) -> Any:
    result = await world.execute(document, viewer, **variables)
    assert result.errors is None, result.errors
    return result.data


async def saved(world: World, viewer: UserRecord, **page: Any) -> Any:
    return (await ask(world, SAVED, viewer, **page))["viewer"]["savedPosts"]


async def nodes(world: World, viewer: UserRecord) -> list[tuple[str, bool]]:
    """The ids of a viewer's saved posts, and whether each is shown."""
    return [(edge["postId"], edge["node"] is not None) for edge in (await saved(world, viewer))["edges"]]


async def count(world: World, saver: UserRecord) -> tuple[int, int]:
    """How many posts an account has saved, by the counter and by counting."""
    database = world.sources.database
    counter = await database["savers"].find_one({"_id": saver.id}) or {}
    return counter.get("save_count", 0), await database["saves"].count_documents({"saver_id": saver.id})


async def test_saving_is_a_state_of_the_pair(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    for _ in range(2):
        payload = (await ask(world, SAVE, bob, input={"postId": gid(post)}))["savePost"]
        assert payload == {"post": {"id": gid(post), "viewerHasSaved": True, "viewerCollections": []}, "userErrors": []}
        assert await count(world, bob) == (1, 1)
    assert await nodes(world, bob) == [(gid(post), True)]
    assert await nodes(world, ana) == []
    for _ in range(2):
        payload = (await ask(world, UNSAVE, bob, input={"postId": gid(post)}))["unsavePost"]
        assert payload == {"post": {"id": gid(post), "viewerHasSaved": False}, "userErrors": []}
        assert await count(world, bob) == (0, 0)


async def test_nobody_else_is_told(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    before = await world.stored_post(post.id), await world.inbox(ana)
    await world.sources.saved.posts.save(bob.id, post.id, now())
    await world.drain()
    assert (await world.stored_post(post.id), await world.inbox(ana)) == before
    shown = await ask(world, "query ($id: ID!) { post(id: $id) { viewerHasSaved } }", ana, id=gid(post))
    assert shown == {"post": {"viewerHasSaved": False}}
    assert (await ask(world, "query ($id: ID!) { post(id: $id) { viewerHasSaved } }", None, id=gid(post))) == shown


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_the_list_is_paged_to_both_ends(world: World, size: int) -> None:
    ana, bob = await world.users(2)
    posts = [await world.post(ana) for _ in range(5)]
    for post in posts:
        await world.sources.saved.posts.save(bob.id, post.id, now())
    newest_first = [gid(post) for post in reversed(posts)]
    walked: list[str] = []
    page: dict[str, Any] = {"pageInfo": {"endCursor": None, "hasNextPage": True}}
    while page["pageInfo"]["hasNextPage"]:
        page = await saved(world, bob, first=size, after=page["pageInfo"]["endCursor"])
        walked += [edge["postId"] for edge in page["edges"]]
        if len(walked) == size:  # saved while the list is read: it is on top, and shifts nothing
            await world.sources.saved.posts.save(bob.id, (await world.post(ana)).id, now())
    assert walked == newest_first
    backward: list[str] = []
    page = {"pageInfo": {"startCursor": None, "hasPreviousPage": True}}
    while page["pageInfo"]["hasPreviousPage"]:
        page = await saved(world, bob, last=size, before=page["pageInfo"]["startCursor"])
        backward = [edge["postId"] for edge in page["edges"]] + backward
    assert backward[1:] == newest_first


@pytest.mark.parametrize("why", ["blocked", "private", "suspended", "deactivated", "hidden"])
async def test_a_post_that_became_invisible_leaves_its_place_and_comes_back(world: World, why: str) -> None:
    ana, bob = await world.users(2)
    post, other = await world.post(ana), await world.post(await world.user())
    for each in (post, other):
        await world.sources.saved.posts.save(bob.id, each.id, now())
    await _hide(world, why, ana, bob, post)
    assert await nodes(world, bob) == [(gid(other), True), (gid(post), False)]
    assert (await ask(world, SAVE, bob, input={"postId": gid(post)}))["savePost"] == {
        "post": None,
        "userErrors": [{"code": "NOT_FOUND", "field": ["postId"]}],
    }
    if why == "blocked":
        await world.sources.blocks.unblock(ana.id, bob.id, now=now())
        assert (gid(post), True) in await nodes(world, bob)
        return
    payload = (await ask(world, UNSAVE, bob, input={"postId": gid(post)}))["unsavePost"]
    assert payload == {"post": None, "userErrors": []}
    assert await nodes(world, bob) == [(gid(other), True)]


async def _hide(world: World, why: str, author: UserRecord, viewer: UserRecord, post: PostRecord) -> None:
    sources = world.sources
    match why:
        case "blocked":
            await sources.blocks.block(author.id, viewer.id, now=now())
        case "private":
            await sources.users.update_profile(author.id, {"is_private": True})
        case "suspended":
            await world.set_standing(author, AccountStanding.SUSPENDED)
        case "deactivated":
            await sources.account.deactivation.deactivate(author.id, now(), session_id=ObjectId())
        case "hidden":
            target = Target(id=post.id, type=ReportTargetType.POST, subject_id=author.id)
            ruling = Ruling(target=target, action=ModerationAction.HIDE, statement="not here")
            await sources.moderation.deciding.decide(ruling, now())


async def test_a_deleted_post_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_up, "SAVES_CHUNK", 2)
    ana = await world.user()
    fans = await world.users(5)
    post, kept = await world.post(ana), await world.post(ana)
    for fan in fans:
        for each in (post, kept):
            await world.sources.saved.posts.save(fan.id, each.id, now())
    await world.drain()
    await world.sources.posts.delete(post.id, ana.id, now())
    assert await nodes(world, fans[0]) == [(gid(kept), True), (gid(post), False)]
    await world.drain()
    for fan in fans:
        assert await nodes(world, fan) == [(gid(kept), True)]
        assert await count(world, fan) == (1, 1)


async def test_the_saves_of_a_popular_post_are_removed_in_several_calls(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_up, "SAVES_CHUNK", 1)
    monkeypatch.setattr(clean_up, "SAVES_STEPS", 2)
    ana, post = await world.user(), await world.post(await world.user())
    for fan in (ana, *(await world.users(2))):
        await world.sources.saved.posts.save(fan.id, post.id, now())
    await world.drain()
    await world.sources.posts.delete(post.id, post.author_id, now())
    key, saves = str(post.id), world.sources.database["saves"]
    assert await clean_up.clean_post(world.tools, key) == [key]
    assert await saves.count_documents({"post_id": post.id}) == 1
    await world.drain()
    assert await saves.count_documents({"post_id": post.id}) == 0
    assert await world.sources.database["posts"].count_documents({"_id": post.id}) == 0


async def test_a_save_that_a_deletion_overtakes_is_taken_back(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    await world.sources.saved.posts.save(bob.id, post.id, now())  # by a request that saw the post before
    assert await count(world, bob) == (0, 0)


async def test_concurrent_saves_and_unsaves_leave_an_exact_count(world: World) -> None:
    ana, bob = await world.users(2)
    posts = [await world.post(ana) for _ in range(3)]
    store = world.sources.saved.posts
    calls = [
        store.save(bob.id, post.id, now()) if turn % 2 == 0 else store.unsave(bob.id, post.id)
        for turn in range(6)
        for post in posts
    ]
    await asyncio.gather(*calls)
    number, counted = await count(world, bob)
    assert number == counted
    await asyncio.gather(*(store.save(bob.id, post.id, now()) for post in posts for _ in range(4)))
    assert await count(world, bob) == (3, 3)
    await asyncio.gather(*(store.unsave(bob.id, post.id) for post in posts for _ in range(4)))
    assert await count(world, bob) == (0, 0)


async def test_the_limit_of_saves_is_exact_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savers, "SAVES_MAX", 3)
    ana, bob = await world.users(2)
    posts = [await world.post(ana) for _ in range(6)]
    inputs = [{"postId": gid(post)} for post in posts]
    answers = await asyncio.gather(*(ask(world, SAVE, bob, input=given) for given in inputs))
    errors = [error for answer in answers for error in answer["savePost"]["userErrors"]]
    assert errors == [{"code": "TOO_MANY_SAVES", "field": ["postId"]}] * 3
    assert await count(world, bob) == (3, 3)


async def test_a_save_that_fails_half_way_changes_nothing(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    missing = to_global_id("Collection", ObjectId())
    payload = (await ask(world, SAVE, bob, input={"postId": gid(post), "collectionIds": [missing]}))["savePost"]
    assert payload == {"post": None, "userErrors": [{"code": "NOT_FOUND", "field": ["collectionIds"]}]}
    assert await count(world, bob) == (0, 0)


async def test_a_suspended_viewer_reads_and_unsaves_but_does_not_save(world: World) -> None:
    ana, bob = await world.users(2)
    post, other = await world.post(ana), await world.post(ana)
    await world.sources.saved.posts.save(bob.id, post.id, now())
    bob = await world.set_standing(bob, AccountStanding.SUSPENDED)
    assert await nodes(world, bob) == [(gid(post), True)]
    errors = (await ask(world, SAVE, bob, input={"postId": gid(other)}))["savePost"]["userErrors"]
    assert [error["code"] for error in errors] == ["ACCOUNT_SUSPENDED"]
    await ask(world, UNSAVE, bob, input={"postId": gid(post)})
    assert await nodes(world, bob) == []


async def test_pages_and_states_are_read_from_indexes_alone(world: World) -> None:
    saver, post = ObjectId(), ObjectId()
    of_saver = {"find": "saves", "filter": {"saver_id": saver}, "sort": {"_id": -1}, "hint": dict(SAVES_OF_SAVER)}
    finds: list[dict[str, Any]] = [
        of_saver,
        {**of_saver, "filter": {"saver_id": saver, "_id": {"$lt": ObjectId()}}},
        {"find": "saves", "filter": {"saver_id": saver, "post_id": {"$in": [post]}}},
        {"find": "saves", "filter": {"post_id": post}, "limit": 100},
    ]
    for find in finds:
        plan = str((await world.sources.database.command("explain", find, verbosity="queryPlanner"))["queryPlanner"])
        assert "IXSCAN" in plan, find
        assert "COLLSCAN" not in plan, find
        assert "'SORT'" not in plan, find


async def test_a_save_that_cannot_be_read_hides_no_other(world: World) -> None:
    ana, bob = await world.users(2)
    posts = [await world.post(ana) for _ in range(3)]
    for post in posts:
        await world.sources.saved.posts.save(bob.id, post.id, now())
    broken = {"saver_id": bob.id, "post_id": posts[1].id}
    await world.sources.database["saves"].update_one(broken, {"$set": {"saved_at": "yesterday"}})
    assert await nodes(world, bob) == [(gid(post), True) for post in reversed(posts)]
    await world.sources.database["saves"].delete_one(broken)
    await world.sources.database["savers"].update_one({"_id": bob.id}, {"$inc": {"save_count": -1}})


async def test_gc_removes_saves_of_lost_posts_with_their_counts(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.sources.saved.posts.save(bob.id, post.id, now())
    await own.sources.database["posts"].delete_one({"_id": post.id})
    assert (await collect(own.sources, min_age=timedelta(0))).removed["saves"] == 1
    assert await count(own, bob) == (0, 0)


async def test_the_pieces_of_a_save_are_one_transaction(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)

    async def fail(session: Any) -> None:
        await world.sources.saved.savers.add_save(bob.id, session)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_transaction(world.sources.client, fail)
    assert await count(world, bob) == (0, 0)
    await world.sources.saved.posts.save(bob.id, post.id, now())
    assert await count(world, bob) == (1, 1)
