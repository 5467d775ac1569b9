"""`verify` finds whatever is wrong or stuck, and gives no false alarm beside a working system."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from datasources.jobs.queue import JobQueue
from datasources.jobs.redis_queue import RedisTransport
from datasources.redis.roles import open_roles
from domain.jobs import Fact, Job, Task
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.auditing import store_files
from tests.support.breaks import BREAKS, counter
from tests.support.factories import World, changed_sources, now
from tests.support.handlers import ATTEMPTS
from tests.support.maintenance import Scene, find_faults
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk


async def test_a_system_with_nothing_pending_has_no_findings(own: World) -> None:
    await Scene.applied(own)
    report = await verify(Walk(sources=own.sources))
    assert report.findings == []
    assert report.checked == {
        "posts": 1, "comments": 2, "users": 2, "claims": 4, "notifications": 6, "feed_entries": 1, "post_likes": 1,
        "comment_likes": 1, "follows": 1, "followers": 1, "topics": 1, "topic_posts": 1, "caption_terms": 1,
        "lists of followers": 1, "feeds, as records": 2, "feed modes": 2, "feeds": 2, "feed pages": 2, "files": 1
    }  # fmt: skip
    assert sum(report.pending.facts.values()) == 0


@pytest.mark.parametrize("name", BREAKS)
async def test_every_fault_is_found(own: World, name: str) -> None:
    scene = await Scene.applied(own)
    do_break, kinds = BREAKS[name]
    await do_break(own, scene)
    assert {finding.kind for finding in await find_faults(own)} == kinds


async def test_a_finding_says_what_was_expected_and_found(own: World) -> None:
    scene = await Scene.applied(own)
    await counter("posts", "like_count")(own, scene)
    finding = next(finding for finding in await find_faults(own) if finding.kind == "post.like_count")
    assert (finding.kind, finding.id, finding.expected, finding.found) == (
        "post.like_count",
        str(scene.post.id),
        1,
        8,
    )


async def test_pending_work_is_no_finding(own: World) -> None:
    scene = await Scene.applied(own)
    await own.sources.post_likes.unlike(scene.post.id, scene.bob.id, now())
    await own.sources.comments.delete(scene.comment_id, now())
    await own.sources.follows.unfollow(scene.bob.id, scene.ana.id, now=now())
    await own.sources.posts.delete(scene.post.id, scene.ana.id, now())
    report = await verify(Walk(sources=own.sources))
    assert report.findings == []
    assert {kind for kind, number in report.pending.facts.items() if number} == {
        "post_like",
        "comment",
        "follow",
        "post",
    }
    assert report.pending.oldest_seconds < 60


async def test_dead_lettered_facts_and_their_dead_letters_are_listed(own: World) -> None:
    scene = await Scene.applied(own)
    await own.sources.post_likes.unlike(scene.post.id, scene.bob.id, now())
    like = await own.sources.database["post_likes"].find_one({"outbox": "count"})
    assert like is not None
    for task in (Task.COUNT, Task.NOTIFY):
        for _ in range(ATTEMPTS):
            job = Job(task, Fact.POST_LIKE, str(scene.post.id))
            await own.sources.dead_letters.count_failure(job, "so it is", now())
    dead_lettered, *letters = sorted(await find_faults(own), key=lambda finding: finding.kind, reverse=True)
    assert (dead_lettered.kind, dead_lettered.id, dead_lettered.found) == (
        "post_like.dead_lettered",
        str(like["_id"]),
        ["count", "notify"],
    )
    assert {(letter.kind, letter.id, letter.why) for letter in letters} == {
        ("dead_letter", f"{task} post_like {scene.post.id}", "so it is") for task in ("count", "notify")
    }


async def test_facts_whose_job_is_overdue_are_listed(own: World) -> None:
    scene = await Scene.applied(own)
    await own.sources.post_likes.unlike(scene.post.id, scene.bob.id, now() - timedelta(minutes=2))
    report = await verify(Walk(sources=own.sources))
    assert [finding.kind for finding in report.findings] == ["post_like.never_enqueued"]
    assert report.pending.oldest_seconds == pytest.approx(120, abs=10)


async def test_facts_enqueued_in_vain_are_listed(own: World) -> None:
    scene = await Scene.applied(own)
    await own.sources.post_likes.unlike(scene.post.id, scene.bob.id, now())
    await own.sources.database["post_likes"].update_many({}, {"$set": {"enqueues": 9}})
    report = await verify(Walk(sources=own.sources))
    assert [finding.kind for finding in report.findings] == ["post_like.unfinished"]


async def test_a_post_with_a_long_fan_out_is_not_listed_but_an_unfinished_chunk_is(own: World) -> None:
    scene = await Scene.applied(own)
    pending = {"outbox": ["fan_out"], "pending_since": now(), "due_at": now(), "enqueues": 9, "split": 1, "version": 1}
    await own.sources.database["posts"].update_one({"_id": scene.post.id}, {"$set": pending})
    chunk = {"post_id": scene.post.id, "author_id": scene.ana.id, "version": 1, "after": None, "upto": None}
    chunk |= {"outbox": ["fan_out_chunk"], "pending_since": now(), "due_at": now(), "enqueues": 9}
    await own.sources.database["fan_outs"].insert_one(chunk)
    report = await verify(Walk(sources=own.sources))
    assert [finding.kind for finding in report.findings] == ["fan_out.unfinished"]
    await own.drain()
    assert (await verify(Walk(sources=own.sources))).findings == []


async def test_a_sample_checks_no_more_than_its_size(own: World) -> None:
    ana, *_ = await own.users(20)
    for _ in range(3):
        await own.post(ana)
    await own.drain()
    report = await verify(Walk(sources=own.sources, sample=2))
    assert set(report.checked.values()) == {2}


async def test_redis_away_is_a_finding_and_no_crash(own: World) -> None:
    await Scene.applied(own)
    report = await verify(Walk(sources=_without_redis(own)))
    assert [(finding.kind, finding.why) for finding in report.findings] == [
        ("queue", "Redis does not answer (ConnectionError)")
    ]


def _without_redis(world: World) -> Any:
    nowhere = world.sources.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    redis = open_roles(nowhere)
    job_queue = JobQueue(RedisTransport(redis.queue, nowhere.key_prefix))
    return changed_sources(world.sources, redis=redis, job_queue=job_queue)


async def test_a_working_system_gives_no_false_alarm(own: World) -> None:
    """Likes, comments, follows and posts come and go, and workers run, while everything is counted again and again."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  to run a failure again
    chance = random.Random(seed)
    users = await own.users(6)
    posts = [await own.post(author) for author in users[:2]]
    for post in posts:
        await store_files(own, post)
    await own.drain()
    stopping = asyncio.Event()

    async def act() -> None:
        while not stopping.is_set():
            await _act_once(own, chance, users, posts)

    async def finish() -> None:
        while not stopping.is_set():
            await own.drain()

    work = [asyncio.create_task(task) for task in (act(), act(), finish())]
    reports = [await verify(Walk(sources=own.sources)) for _ in range(8)]
    stopping.set()
    await asyncio.gather(*work)
    await own.drain()
    reports.append(await verify(Walk(sources=own.sources)))
    assert [finding for report in reports for finding in report.findings] == []
    assert any(sum(report.pending.facts.values()) for report in reports), "something was pending while it looked"


async def _act_once(world: World, chance: random.Random, users: list[UserRecord], posts: list[PostRecord]) -> None:
    actor, other = chance.sample(users, 2)
    post, sources = chance.choice(posts), world.sources
    comments = await sources.database["comments"].find({"deleted": False, "parent_id": None}, limit=5).to_list()
    match chance.randrange(8):
        case 0:
            await sources.post_likes.like(post.id, actor.id, now())
        case 1:
            await sources.post_likes.unlike(post.id, actor.id, now())
        case 2:
            parents = [comment["_id"] for comment in comments if comment["post_id"] == post.id]
            await world.comment(post, actor, parent_id=chance.choice([None, *parents]))
        case 3 if comments:
            await sources.comment_likes.like(chance.choice(comments)["_id"], actor.id, now())
        case 4 if len(comments) > 3:
            await sources.comments.delete(chance.choice(comments)["_id"], now())
        case 5:
            await world.follow(actor, other)
        case 6:
            await sources.follows.unfollow(actor.id, other.id, now=now())
        case 7:
            named = [user.id for user in chance.sample(users, chance.randrange(3))]
            await sources.posts.update(post.id, post.author_id, {"mention_ids": named}, now())
        case _:
            pass
