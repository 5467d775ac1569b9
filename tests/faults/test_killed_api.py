"""The API killed during creating mutations, which the client sends again with their idempotency keys."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import httpx2

from datasources.sources import Sources
from deploy.local.process import Process
from domain.ids import to_global_id
from domain.limits import IMAGES_PER_DAY
from domain.paging import PageRequest
from domain.records.posts import PostStatus
from domain.records.users import UserRecord
from tests.support.auditing import audit, store_files
from tests.support.client import Person, small_jpeg
from tests.support.factories import World, items_of, now
from tests.support.stack import Stack
from tests.support.waiting import eventually

PATIENCE = 120.0
CREATED = {"createPost": "posts", "addComment": "comments"}

Record = Callable[[str, object], None]
Call = Callable[[], Awaitable[str]]


async def log_in(sources: Sources, http: httpx2.AsyncClient, user: UserRecord) -> Person:
    """Opens a session for a user, without the seconds that hashing a password takes."""
    _, tokens = await sources.sessions.open(user.id, None, now())
    return Person(http, tokens.access_token)


def calls(author: Person, commenter: Person, upload_id: str, post_id: str, key: str) -> dict[str, Call]:
    """One call of each creating mutation, to be sent any number of times. Each returns the id of what it made."""

    async def create_post() -> str:
        return await author.create_post(upload_id, caption=key, idempotencyKey=key)

    async def add_comment() -> str:
        given = {"postId": post_id, "text": key, "idempotencyKey": key}
        payload = await commenter.done("addComment", "commentEdge { node { id } }", **given)
        return str(payload["commentEdge"]["node"]["id"])

    return {"createPost": create_post, "addComment": add_comment}


async def answer(call: Call) -> str | None:
    """The id that a call returns, or None if the API goes away before it answers."""
    try:
        return await call()
    except httpx2.TransportError:
        return None


async def retry(call: Call) -> str:
    """Sends a call until it is answered. Returns the id."""
    return str(await eventually(lambda: answer(call), seconds=PATIENCE))


class Killer:
    """Kills the API during calls and sends them again. Records what was made and at which moment each kill came."""

    def __init__(self, world: World, stack: Stack, rng: Random) -> None:
        self._world, self._stack, self._rng = world, stack, rng
        self._longest = 0.05  # seconds until a kill; more or less of them, as kills come too early or too late
        self.created: dict[str, list[str]] = {name: [] for name in CREATED}
        self.moments = Counter[str]()

    async def round(self, api: Process, sent: dict[str, Call], key: str) -> Process:
        """Sends the calls, kills the API while they run, and sends them again. Returns the new API process."""
        sending = asyncio.gather(*map(answer, sent.values()))
        await asyncio.sleep(self._rng.uniform(0, self._longest))
        api.kill()
        first = dict(zip(sent, await sending, strict=True))
        moments = [await self._moment(name, key, first[name]) for name in sent]
        self.moments.update(moments)
        if set(moments) == {"before the write"}:
            self._longest *= 1.5
        elif set(moments) == {"after the answer"}:
            self._longest *= 0.7
        api = await self._stack.api()
        for name, call in sent.items():
            self.created[name].append(await retry(call))
            assert first[name] in (None, self.created[name][-1])
        assert [await call() for call in sent.values()] == [ids[-1] for ids in self.created.values()]
        return api

    async def _moment(self, name: str, key: str, first: str | None) -> str:
        if first is not None:
            return "after the answer"
        query = {"idempotency_key": f"{name}:{key}"}
        is_written = await self._world.sources.database[CREATED[name]].find_one(query) is not None
        return "between write and answer" if is_written else "before the write"


async def test_a_killed_api_creates_once_what_is_sent_again_with_its_key(
    world: World, stack: Stack, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills, began = 50 if full_size else 3, time.monotonic()
    follower, host, *authors = await world.users(2 + kills // IMAGES_PER_DAY + 1)
    for author in authors:
        await world.follow(follower, author)
    party = await world.post(host)
    await store_files(world, party)
    _, api = await asyncio.gather(stack.workers(), stack.api())
    killer = Killer(world, stack, rng)
    async with httpx2.AsyncClient(base_url=stack.url, timeout=20) as http:
        commenter = await log_in(world.sources, http, follower)
        people = [await log_in(world.sources, http, author) for author in authors]
        for n in range(kills):
            person, key = people[n % len(people)], f"round {n}"
            upload_id = await person.upload(small_jpeg())
            sent = calls(person, commenter, upload_id, to_global_id("Post", party.id), key)
            api = await killer.round(api, sent, key)
    await audit(world, seconds=PATIENCE)
    record_property("kills", kills)
    record_property("moments", dict(killer.moments))
    record_property("posts", len(set(killer.created["createPost"])))
    record_property("comments", len(set(killer.created["addComment"])))
    record_property("seconds", f"{time.monotonic() - began:.0f}")
    await assert_created_once(world, killer.created, follower, authors)
    assert killer.moments["between write and answer"] or not full_size, "no kill came between write and answer"


async def assert_created_once(
    world: World, created: dict[str, list[str]], follower: UserRecord, authors: Sequence[UserRecord]
) -> None:
    """Only what was answered is stored. Every post is READY and stands once in the follower's feed."""
    database = world.sources.database
    by_authors = {"author_id": {"$in": [author.id for author in authors]}}
    posts = await database["posts"].find(by_authors).to_list()
    comments = await database["comments"].find().to_list()
    assert sorted(to_global_id("Post", post["_id"]) for post in posts) == sorted(created["createPost"])
    assert sorted(to_global_id("Comment", comment["_id"]) for comment in comments) == sorted(created["addComment"])
    assert {post["status"] for post in posts} == {PostStatus.READY.value}
    page = await world.sources.home_feed.page(follower.id, PageRequest(limit=len(posts) + 1))
    assert items_of(page) == sorted((post["_id"] for post in posts), reverse=True)
