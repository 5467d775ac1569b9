"""The first pages of home feeds, read as their owners read them, against posts and follows."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.sources import Sources
from domain.limits import PAGE_SIZE_MAX
from domain.paging import PageRequest
from domain.records.follows import FollowState
from workers.maintenance.checks.check import Check, Finding, by_id
from workers.maintenance.checks.feed_entries import find_latest_posts
from workers.maintenance.walk import in_snapshot

WRONG = "feed.pages"
PAGES = 4
FEEDS = 100  # random feeds


async def _find_wrong(sources: Sources, owner_ids: Sequence[ObjectId]) -> list[Finding]:
    """The feeds whose first pages lack a post, or show one twice or out of order.

    Only a post that belongs there both before and after the reading can be missing, so changes meanwhile do no harm.
    """
    findings = []
    for owner_id in owner_ids:
        find_posts = partial(_find_posts, sources, owner_id)
        before = await in_snapshot(sources, find_posts)
        read = await _read_pages(sources, owner_id)
        after = await in_snapshot(sources, find_posts)
        missing = before & after - set(read)
        if len(read) >= PAGES * PAGE_SIZE_MAX:
            missing = {post_id for post_id in missing if post_id > read[-1]}
        is_in_order = all(newer > older for newer, older in pairwise(read))
        if missing or not is_in_order:
            why = "the first pages of the feed lack these posts" if missing else "the first pages are out of order"
            findings.append(Finding(kind=WRONG, id=str(owner_id), expected=sorted(map(str, missing)), why=why))
    return findings


async def _read_pages(sources: Sources, owner_id: ObjectId) -> list[ObjectId]:
    post_ids: list[ObjectId] = []
    for _ in range(PAGES):
        request = PageRequest(limit=PAGE_SIZE_MAX, after=post_ids[-1] if post_ids else None)
        page = await sources.home_feed.peek(owner_id, request)
        post_ids += [post_id for _, post_id in page.items]
        if not page.has_next:
            break
    return post_ids


async def _find_posts(sources: Sources, owner_id: ObjectId, session: Session) -> set[ObjectId]:
    """The newest posts of the owner and of those followed, but for those whose fan-out is pending."""
    query = {"follower_id": owner_id, "state": FollowState.FOLLOWING.value}
    follows = await sources.database["follows"].find(query, {"followee_id": 1}, session=session).to_list()
    authors = [owner_id, *(follow["followee_id"] for follow in follows)]
    posts = await find_latest_posts(sources, authors, PAGES * PAGE_SIZE_MAX, session, {})
    return {post["_id"] for post in posts}


async def _rebuild(sources: Sources, owner_id: ObjectId) -> None:
    await sources.feed_states.reset([owner_id], clock.now())


FEED_PAGES = Check(
    collection="feeds", stage="feed pages", find=_find_wrong, repairs={WRONG: by_id(_rebuild)}, limit=FEEDS
)
