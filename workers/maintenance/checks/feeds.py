"""Home feeds as a whole: what a walk shows against a recount of it, and rebuilding one feed or all."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.indexes import SHOWN_POSTS
from datasources.posts.posts import MERGED
from datasources.sources import Sources
from domain.jobs import Task
from domain.limits import PAGE_SIZE_MAX
from domain.paging import PageRequest
from domain.records.follows import FollowState
from domain.records.posts import PostStatus
from workers.handlers.refresh_feed import refresh_feed
from workers.maintenance.checks.check import Finding
from workers.maintenance.walk import Walk, in_snapshot
from workers.runtime.handler import Tools

WALK = "feed.walk"
PAGES = 4
AT_ONCE = 8


class Rebuilt(msgspec.Struct, kw_only=True):
    """How many feeds were made anew, and how many of them have changed meanwhile and are left to the workers.

    `incomplete` says why it ended early.
    """

    feeds: int = 0
    waiting: int = 0
    seconds: float = 0.0
    incomplete: str | None = None


async def wrong_walks(sources: Sources, owner_ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """Those of these owners whose first pages lack a post, or show one twice or out of order.

    A post is only missed if it was to be there before the walk and still is after it, so changes meanwhile do no harm.
    """
    findings = []
    for owner_id in owner_ids:
        before = await _due(sources, owner_id, session)
        walk = await _walk(sources, owner_id)
        after = await in_snapshot(sources, partial(_due, sources, owner_id))
        lacked = before & after - set(walk)
        if len(walk) >= PAGES * PAGE_SIZE_MAX:
            lacked = {post_id for post_id in lacked if post_id > walk[-1]}
        in_order = all(one > other for one, other in pairwise(walk))
        if lacked or not in_order:
            why = "a walk through the feed lacks these posts" if lacked else "a walk through the feed is out of order"
            expected = sorted(map(str, lacked))
            findings.append(Finding(kind=WALK, id=str(owner_id), expected=expected, found=None, why=why))
    return findings


async def rebuild_feeds(
    tools: Tools, walk: Walk, owner_id: ObjectId | None = None, done: Rebuilt | None = None
) -> Rebuilt:
    """Makes one feed, or all that are kept, anew from posts and follows; meanwhile they are read by pull.

    Notes in `done` what it has done.

    Safe to repeat, to stop half way (what was begun is owed), and beside workers and clients.
    """
    began, done = time.monotonic(), Rebuilt() if done is None else done
    if owner_id is not None:
        await _rebuild(tools, [owner_id], done)
    else:
        async for owner_ids in walk.ids("feeds", "feeds"):
            await _rebuild(tools, owner_ids, done)
    done.seconds = round(time.monotonic() - began, 3)
    return done


async def renew(sources: Sources, owner_id: ObjectId) -> None:
    """Lets one feed owe being made anew."""
    await sources.feed_states.reset([owner_id], clock.now())


async def _rebuild(tools: Tools, owner_ids: Sequence[ObjectId], done: Rebuilt) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def make(owner_id: ObjectId) -> None:
        async with slots:
            await refresh_feed(tools, str(owner_id))

    done.feeds += await tools.sources.feed_states.reset(owner_ids, clock.now())
    await asyncio.gather(*map(make, owner_ids))
    still = {"_id": {"$in": list(owner_ids)}, "outbox": Task.REFRESH_FEED.value}
    done.waiting += await tools.sources.database["feeds"].count_documents(still)


async def _walk(sources: Sources, owner_id: ObjectId) -> list[ObjectId]:
    seen: list[ObjectId] = []
    for _ in range(PAGES):
        request = PageRequest(limit=PAGE_SIZE_MAX, after=seen[-1] if seen else None)
        page = await sources.feeds.peek(owner_id, request)
        seen += [post_id for _, post_id in page.items]
        if not page.has_next:
            break
    return seen


async def _due(sources: Sources, owner_id: ObjectId, session: Session) -> set[ObjectId]:
    """The newest posts of whom one follows, without those whose fan-out is owed."""
    query = {"follower_id": owner_id, "state": FollowState.FOLLOWING.value}
    follows = await sources.database["follows"].find(query, {"followee_id": 1}, session=session).to_list()
    authors, due = [owner_id, *(follow["followee_id"] for follow in follows)], set[ObjectId]()
    for start in range(0, len(authors), MERGED):
        shown: Document = {
            "author_id": {"$in": authors[start : start + MERGED]},
            "status": PostStatus.READY.value,
            "deleted": False,
            "outbox": {"$ne": Task.FAN_OUT.value},
        }
        order, most = [("_id", -1)], PAGES * PAGE_SIZE_MAX
        posts = sources.database["posts"].find(
            shown, {"_id": 1}, sort=order, limit=most, session=session, hint=SHOWN_POSTS
        )
        due |= {post["_id"] async for post in posts}
    return set(sorted(due, reverse=True)[: PAGES * PAGE_SIZE_MAX])
