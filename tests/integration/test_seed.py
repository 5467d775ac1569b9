"""The demo's seed: repeated or killed half way, it leaves neither too much nor too little."""

import asyncio
import os
import signal
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config import Settings
from datasources.sources import Sources, open_sources
from deploy.demo.people import DEMO_USERNAME, PASSWORD, PEOPLE, user_id
from deploy.demo.seed import seed
from deploy.demo.story import planned_posts
from deploy.local.environment import environment
from deploy.local.errors import StartError
from domain.records.follows import FollowState
from domain.records.posts import PostStatus
from tests.support.factories import opened

pytestmark = pytest.mark.asks_all_shards  # for the post that examples name, whose id is the same in every demo

POSTS = 3
KILLED_AT = "posts 1 of 3"
SEED_AND_DIE = f"""
import asyncio, os, signal
from config import Settings
from deploy.demo.seed import seed

def progress(text):
    if text == {KILLED_AT!r}:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(seed(Settings(), progress, posts={POSTS}))
"""


async def census(sources: Sources) -> dict[str, int]:
    """How many there are of everything."""
    names = (
        "users",
        "posts",
        "uploads",
        "follows",
        "post_likes",
        "comment_likes",
        "comments",
        "saves",
        "collections",
        "failures",
    )
    return {name: await sources.database[name].count_documents({}) for name in names}


def expected() -> dict[str, int]:
    """The counts that the plan and the latest news add up to."""
    planned = planned_posts(POSTS)
    return {
        "users": len(PEOPLE),
        "posts": POSTS,
        "uploads": len(PEOPLE) + sum(1 + post.slices for post in planned),
        "follows": sum(len(person.follows) for person in PEOPLE) + 2,
        "post_likes": sum(len(post.likers) for post in planned) + 2,
        "comment_likes": sum(len(comment.likers) for post in planned for comment in post.comments) + 1,
        "comments": sum(len(post.comments) for post in planned) + 3,
        "saves": sum(post.author != DEMO_USERNAME for post in planned),
        "collections": 1,
        "failures": 0,
    }


async def nothing_is_pending(sources: Sources) -> bool:
    """Whether nothing is pending but the cleaning up that waits until addresses have expired."""
    pending = {"outbox": {"$exists": True, "$ne": ["clean_up"]}}
    facts = ("posts", "uploads", "follows", "post_likes", "comment_likes", "comments")
    counts = [await sources.database[name].count_documents(pending) for name in facts]
    return sum(counts) == 0


async def test_seeding_twice_makes_everything_once_and_counts_it(settings: Settings) -> None:
    progress_lines: list[str] = []
    first = await seed(settings, progress_lines.append, posts=POSTS)
    assert {f"posts {POSTS} of {POSTS}", "avatars 10 of 10"} <= set(progress_lines)
    async with open_sources(settings) as sources:
        assert await census(sources) == expected()
        assert await nothing_is_pending(sources)
        await _check_counters(sources)
        await _check_demo_user(sources)
        progress_lines.clear()
        second = await seed(settings, progress_lines.append, posts=POSTS)
        assert progress_lines == []
        assert await census(sources) == expected()
        assert (second.username, second.password) == (DEMO_USERNAME, PASSWORD)
        assert await sources.sessions.authenticate(first.access_token) is None
        assert await sources.sessions.authenticate(second.access_token) is not None
        assert len(await sources.sessions.of_user(user_id(DEMO_USERNAME))) == 1


async def _check_counters(sources: Sources) -> None:
    liked = Counter([like["target_id"] async for like in sources.database["post_likes"].find({"liked": True})])
    commented = Counter([comment["post_id"] async for comment in sources.database["comments"].find()])
    async for post in sources.database["posts"].find():
        assert post["status"] == PostStatus.READY.value
        assert (post["like_count"], post["comment_count"]) == (liked[post["_id"]], commented[post["_id"]])
        assert len(post["images"]) == len(post["upload_ids"])
        assert post["created_at"] < datetime.now(UTC)
    followers = Counter(
        [follow["followee_id"] async for follow in sources.database["follows"].find({"state": "FOLLOWING"})]
    )
    async for user in sources.database["users"].find():
        assert user["follower_count"] == followers[user["_id"]]
        assert len(user["avatar"]["renditions"]) >= 4


async def _check_demo_user(sources: Sources) -> None:
    ana = user_id(DEMO_USERNAME)
    assert (await sources.uploads.reservations.use(ana, datetime.now(UTC))).used_today == 0
    (to_noor,) = await sources.relations.by_pairs([(ana, user_id("noor"))])
    assert to_noor.follow_state is FollowState.REQUESTED
    notifications = await sources.notifications.changed_after(ana, 0, 100)
    unseen = [record for record in notifications if not record.is_seen]
    only_seen = [record for record in notifications if record.is_seen and not record.is_read]
    assert len(unseen) >= 3
    assert only_seen
    assert len(notifications) > len(unseen) + len(only_seen)


async def test_seeding_killed_half_way_is_completed_by_the_next(settings: Settings) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SEED_AND_DIE, env={**os.environ, **environment(settings)}, cwd=Path(__file__).parents[2]
    )
    assert await asyncio.wait_for(child.wait(), 60) == -signal.SIGKILL
    async with open_sources(settings) as sources:
        assert (await census(sources))["comments"] == 0
        await seed(settings, lambda _text: None, posts=POSTS)
        assert await census(sources) == expected()
        assert await nothing_is_pending(sources)
        await _check_counters(sources)


async def test_an_account_of_somebody_else_is_not_taken_over(settings: Settings) -> None:
    async with opened(settings) as world:
        now = datetime.now(UTC)
        await world.sources.users.register("Ana", "ana@example.com", "no hash", "Another Ana", now)
        with pytest.raises(StartError, match="'ana' of its own"):
            await seed(settings, lambda _text: None, posts=1)
        assert await world.sources.database["posts"].count_documents({}) == 0


async def test_production_is_not_seeded(settings: Settings) -> None:
    with pytest.raises(StartError, match="not for production"):
        await seed(settings.model_copy(update={"environment": "production"}), lambda _text: None)
