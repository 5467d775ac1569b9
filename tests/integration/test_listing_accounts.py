"""Posts are listed exactly while strangers may see them: accounts that change are gone through in steps."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from bson import ObjectId
from msgspec import ValidationError

from domain.jobs import Job, Task
from domain.records.posts import PostRecord
from domain.records.users import AccountStanding, UserRecord
from domain.topics import hashtag_id
from tests.support.factories import World, now
from tests.support.interruptions import interruption
from tests.support.listed_posts import count, listed, new_name
from workers.handlers import list_posts
from workers.runtime.drain import drain

Change = Callable[[World, PostRecord, UserRecord], Awaitable[Any]]


async def edit(world: World, post: PostRecord, author: UserRecord) -> None:
    await world.sources.posts.update(post.id, author.id, {"caption": "", "hashtags": [], "mention_ids": []}, now())


async def delete(world: World, post: PostRecord, author: UserRecord) -> None:
    await world.sources.posts.delete(post.id, author.id, now())


async def go_private(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.users.update_profile(author.id, {"is_private": True})


async def deactivate(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.account.deactivation.deactivate(author.id, now(), session_id=ObjectId())


async def suspend(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.set_standing(author, AccountStanding.SUSPENDED)


async def delete_account(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.users.delete(author.id, now())


LEAVING: dict[str, Change] = {
    "the caption is edited": edit,
    "the post is deleted": delete,
    "the account turns private": go_private,
    "the account is deactivated": deactivate,
    "the account is suspended": suspend,
    "the account is deleted": delete_account,
}


@pytest.mark.parametrize("change", LEAVING.values(), ids=LEAVING)
async def test_a_post_that_strangers_may_not_see_any_more_is_taken_off(world: World, change: Change) -> None:
    name, author = new_name(), await world.user()
    post, other = await world.post(author, hashtags=[name]), await world.post(await world.user(), hashtags=[name])
    await world.drain()
    await change(world, post, author)
    await world.drain()
    assert await listed(world, name) == [other.id]
    assert await count(world, name) == 1
    assert await world.sources.database["topic_posts"].count_documents({"topic_id": hashtag_id(name)}) == 1


async def go_public(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.users.update_profile(author.id, {"is_private": False})


async def reactivate(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.sources.account.deactivation.reactivate(author.id, now())


async def restore(world: World, _post: PostRecord, author: UserRecord) -> None:
    await world.set_standing(author, AccountStanding.GOOD)


RETURNING = {"public": (go_private, go_public), "active": (deactivate, reactivate), "good": (suspend, restore)}


@pytest.mark.parametrize(("leave", "come_back"), RETURNING.values(), ids=RETURNING)
async def test_the_posts_of_an_account_that_comes_back_are_listed_again(
    world: World, leave: Change, come_back: Change
) -> None:
    name, author = new_name(), await world.user()
    posts = [await world.post(author, hashtags=[name]) for _ in range(3)]
    await world.post(author)
    for change in (leave, come_back):
        await change(world, posts[0], author)
        await world.drain()
    assert await listed(world, name) == [post.id for post in reversed(posts)]
    assert await count(world, name) == 3


async def test_an_account_that_turns_private_while_its_post_is_listed_is_not_listed(world: World) -> None:
    name, author = new_name(), await world.user()
    post = await world.post(author, hashtags=[name])

    async def relist() -> None:
        """Waits for the transaction, which has written the post."""
        await list_posts.list_posts_of_user(world.tools, str(author.id))

    async def turn_private() -> None:
        await go_private(world, post, author)
        tasks.append(asyncio.create_task(relist()))
        await asyncio.sleep(0.1)

    tasks = list[asyncio.Task[None]]()
    with interruption(world.sources.listings.entries, "write", turn_private, after=True):
        await list_posts.list_posts(world.tools, str(post.id))
    await asyncio.gather(*tasks)
    await world.drain()
    assert await listed(world, name) == []
    assert await count(world, name) == 0


@pytest.fixture
def short_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call goes through four posts of an account."""
    monkeypatch.setattr(list_posts, "CHUNK", 2)
    monkeypatch.setattr(list_posts, "CHUNKS", 2)


@pytest.mark.usefixtures("short_calls")
async def test_an_account_that_turns_private_is_taken_off_in_steps_without_a_job_for_each_post(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, author = new_name(), await own.user()
    enqueue, tasks = own.sources.job_queue.enqueue, set[Task]()

    async def note(jobs: Iterable[Job]) -> None:
        jobs = list(jobs)
        tasks.update(job.task for job in jobs)
        await enqueue(jobs)

    posts = [await own.post(author, hashtags=[name]) for _ in range(9)]
    await own.drain()
    await go_private(own, posts[0], author)
    monkeypatch.setattr(own.sources.job_queue, "enqueue", note)
    for left in (5, 1):
        assert await list_posts.list_posts_of_user(own.tools, str(author.id)) == [str(author.id)]
        assert await listed(own, name) == [post.id for post in reversed(posts)][:left]
    assert await list_posts.list_posts_of_user(own.tools, str(author.id)) == ()
    assert tasks == {Task.COUNT}
    assert await listed(own, name) == []
    (account,) = await own.sources.database["users"].find({"_id": author.id}).to_list()
    assert Task.LIST.value not in account.get("outbox", ())
    assert "relisted" not in account


@pytest.mark.usefixtures("short_calls")
async def test_listing_an_account_goes_on_where_a_worker_died_and_anew_after_a_change(own: World) -> None:
    name, author = new_name(), await own.user()
    posts = [await own.post(author, hashtags=[name]) for _ in range(6)]
    await own.drain()
    await go_private(own, posts[0], author)

    async def die() -> None:
        raise asyncio.CancelledError

    calls = 0
    while await listed(own, name) != [posts[5].id, posts[4].id]:
        with (
            pytest.raises(asyncio.CancelledError),
            interruption(own.sources.listings, "note_relisted", die, after=True),
        ):
            await list_posts.list_posts_of_user(own.tools, str(author.id))
        calls += 1
    assert calls == 2
    await go_public(own, posts[0], author)
    await own.drain()
    assert await listed(own, name) == [post.id for post in reversed(posts)]
    assert await count(own, name) == 6


@pytest.mark.usefixtures("short_calls")
async def test_a_post_that_cannot_be_read_keeps_no_other_of_its_account_listed(own: World) -> None:
    name, author = new_name(), await own.user()
    posts = [await own.post(author, hashtags=[name]) for _ in range(5)]
    await own.drain()
    stored = own.sources.database["posts"]
    await stored.update_one({"_id": posts[1].id}, {"$set": {"caption": 5}})
    await go_private(own, posts[0], author)
    failures: dict[Any, Exception] = {}
    await drain(own.tools, failures)
    assert {type(error) for error in failures.values()} == {ValidationError}
    assert await listed(own, name) == [posts[1].id]
    assert await own.sources.database["users"].count_documents({"_id": author.id, "outbox": Task.LIST.value}) == 0
    await stored.update_one({"_id": posts[1].id}, {"$set": {"caption": "again"}})
    await own.drain()
    assert await listed(own, name) == []
