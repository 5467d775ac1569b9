"""Posts are listed under their hashtags, best and newest first, and counted exactly."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from datasources.moderation.deciding import Ruling
from domain.jobs import Task
from domain.records.moderation import ModerationAction, ReportTargetType, Target
from domain.records.posts import PostRecord
from domain.topics import hashtag_id, top_score
from tests.support.factories import World, now
from tests.support.full_account import remove_final_check_delay
from tests.support.interruptions import interruption
from tests.support.listed_posts import count, listed, new_name, stored, walk
from workers.handlers import list_posts
from workers.handlers.aggregate_counters import count_post_likes


async def test_a_ready_post_is_listed_under_each_of_its_hashtags(world: World) -> None:
    names = [new_name(), new_name()]
    posts = [await world.post(await world.user(), hashtags=names) for _ in range(5)]
    await world.draft(await world.user(), hashtags=names)
    await world.drain()
    for name in names:
        assert await listed(world, name) == [post.id for post in reversed(posts)]
        assert await count(world, name) == 5


async def test_a_post_that_an_older_version_deleted_is_taken_off(world: World) -> None:
    name, author = new_name(), await world.user()
    post = await world.post(author, hashtags=[name])
    await world.drain()
    await world.sources.posts.delete(post.id, author.id, now())
    await world.sources.database["posts"].update_one({"_id": post.id}, {"$pull": {"outbox": Task.LIST.value}})
    await world.drain()
    assert await listed(world, name) == []
    assert await count(world, name) == 0
    assert await world.sources.database["topic_posts"].find_one({"post_id": post.id}) is None
    assert await world.sources.database["posts"].find_one({"_id": post.id}) is None


@pytest.mark.parametrize("deleted", ["the post", "the account"])
async def test_words_that_an_older_version_left_behind_go_in_the_end(
    own: World, monkeypatch: pytest.MonkeyPatch, deleted: str
) -> None:
    author, words = await own.user(), own.sources.database["caption_terms"]
    post = await own.post(author, caption="only words")
    await own.drain()
    left = await words.find_one({"_id": post.id})
    assert left is not None
    await own.sources.posts.delete(post.id, author.id, now())
    if deleted == "the post":
        await own.sources.database["posts"].update_one({"_id": post.id}, {"$pull": {"outbox": Task.LIST.value}})
        await own.drain()
    else:
        await own.drain()
        await words.insert_one(left)
        remove_final_check_delay(monkeypatch)
        await own.sources.users.delete(author.id, now())
        await own.drain()
        assert await own.sources.users.deleted_account(author.id) is None
    assert await words.find_one({"_id": post.id}) is None


async def test_topics_that_were_lost_are_counted_again(world: World) -> None:
    names, author = [new_name() for _ in range(4)], await world.user()
    for number in range(3):
        await world.post(author, hashtags=names[: number + 1])
    await world.drain()
    await world.sources.database["topics"].delete_many({"_id": {"$in": [hashtag_id(name) for name in names]}})
    await world.post(author, hashtags=names)
    await world.drain()
    assert [await count(world, name) for name in names] == [4, 3, 2, 1]


async def test_a_post_with_many_new_hashtags_asks_as_often_as_one_with_few(own: World) -> None:
    author, asked = await own.user(), []
    for number in (2, 30):
        post = await own.post(author, hashtags=[new_name() for _ in range(number)])
        await own.sources.database.command("profile", 2)
        await list_posts.list_posts(own.tools, str(post.id))
        await own.sources.database.command("profile", 0)
        asked.append(
            await own.sources.database["system.profile"].count_documents({"op": {"$in": ["query", "command"]}})
        )
        await own.sources.database["system.profile"].drop()
    assert asked[0] == asked[1] > 0


async def test_an_edited_caption_moves_the_post(world: World) -> None:
    before, kept, after = new_name(), new_name(), new_name()
    author = await world.user()
    post = await world.post(author, hashtags=[before, kept])
    await world.drain()
    changes = {"caption": "new", "hashtags": [kept, after], "mention_ids": []}
    await world.sources.posts.update(post.id, author.id, changes, now())
    await world.drain()
    assert [await listed(world, name) for name in (before, kept, after)] == [[], [post.id], [post.id]]
    assert [await count(world, name) for name in (before, kept, after)] == [0, 1, 1]


async def test_a_hashtag_that_no_post_has_any_more_expires_with_its_name(world: World) -> None:
    name, author = new_name(), await world.user()
    post = await world.post(author, hashtags=[name])
    await world.drain()
    assert "expires_at" not in (await stored(world, name) or {})
    await world.sources.posts.delete(post.id, author.id, now())
    await world.drain()
    topic = await stored(world, name)
    assert topic is not None
    assert now() + timedelta(minutes=50) < topic["expires_at"].replace(tzinfo=now().tzinfo)
    await world.post(author, hashtags=[name])
    await world.drain()
    assert "expires_at" not in (await stored(world, name) or {})
    assert await count(world, name) == 1


async def test_concurrent_duplicates_list_a_post_once(world: World) -> None:
    names = [new_name() for _ in range(3)]
    authors = await world.users(4)
    posts = [await world.post(author, hashtags=names) for author in authors for _ in range(3)]
    keys = [str(post.id) for post in posts]
    await asyncio.gather(*(list_posts.list_posts(world.tools, *keys[start:]) for start in range(0, 12, 3)))
    await world.drain()
    for name in names:
        assert sorted(await listed(world, name)) == sorted(post.id for post in posts)
        assert await count(world, name) == len(posts)


async def test_a_worker_that_dies_leaves_the_rest_to_another(world: World) -> None:
    name, author = new_name(), await world.user()
    post = await world.post(author, hashtags=[name])

    class Died(Exception):
        pass

    async def die() -> None:
        raise Died

    for store, method in (("entries", "write"), ("topics", "ensure")):
        with (
            pytest.raises(Died),
            interruption(getattr(world.sources.listings, store), method, die, after=True),
        ):
            await list_posts.list_posts(world.tools, str(post.id))
        assert await listed(world, name) == []
    await world.drain()
    assert await listed(world, name) == [post.id]


async def test_the_best_posts_come_first_and_the_pages_go_to_the_end(world: World) -> None:
    name, fans = new_name(), await world.users(8)
    posts = [await world.post(await world.user(), hashtags=[name]) for _ in range(6)]
    await world.drain()
    for post, likes in zip(posts, (3, 0, 8, 1, 0, 3), strict=True):
        for fan in fans[:likes]:
            await world.sources.post_likes.like(post.id, fan.id, now())
    await world.drain()
    await world.drain()
    expected = sorted(posts, key=lambda post: (score(post, posts), post.id), reverse=True)
    assert expected[0].id == posts[2].id
    top = world.sources.listings.entries.top
    for size in (1, 2, 5, 6, 7):
        for backward in (False, True):
            assert await walk(top, name, size, backward=backward) == [post.id for post in expected]


def score(post: PostRecord, posts: Sequence[PostRecord]) -> int:
    likes = dict(zip((each.id for each in posts), (3, 0, 8, 1, 0, 3), strict=True))
    return top_score(post.created_at, likes[post.id], 0)


async def test_likes_and_comments_move_a_post_only_when_they_are_worth_a_step(world: World) -> None:
    name, (author, *fans) = new_name(), await world.users(6)
    post = await world.post(author, hashtags=[name])
    await world.drain()

    async def pending() -> bool:
        found = await world.sources.database["posts"].find_one({"_id": post.id})
        return Task.LIST.value in (found or {}).get("outbox", ())

    moved = []
    for fan in fans:
        await world.sources.post_likes.like(post.id, fan.id, now())
        await count_post_likes(world.tools, str(post.id))
        moved.append(await pending())
        await world.drain()
    assert moved == [True, True, True, False, True]
    await world.comment(post, author)
    await world.drain()
    entry = await world.sources.database["topic_posts"].find_one({"topic_id": hashtag_id(name)})
    assert entry is not None
    assert entry["score"] == top_score(post.created_at, 5, 1)


async def test_moderators_take_posts_off_and_put_them_back(world: World) -> None:
    name, author = new_name(), await world.user()
    post = await world.post(author, hashtags=[name])
    await world.drain()
    target = Target(id=post.id, type=ReportTargetType.POST, subject_id=author.id)
    for action, expected in ((ModerationAction.HIDE, []), (ModerationAction.RESTORE, [post.id])):
        await world.sources.moderation.deciding.decide(
            Ruling(target=target, action=action, statement="not here"), now()
        )
        await world.drain()
        assert await listed(world, name) == expected
        assert await count(world, name) == len(expected)
