"""How many operations of MongoDB and Redis a page of the feed takes, whatever its size."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from config import Settings
from domain.jobs import Task
from domain.limits import PAGE_SIZE_MAX, PREVIEW_COMMENTS
from domain.records.users import UserRecord
from tests.support.emptying import wipe_redis
from tests.support.factories import World, now, opened
from tests.support.operation_counter import OperationCounter
from tests.support.own_databases import own_database
from workers.registry import HANDLERS
from workers.runtime.drain import pending_jobs

pytestmark = pytest.mark.usefixtures("patient_caches")

PAGE = """query ($first: Int, $after: String) {
  feed(first: $first, after: $after) {
    edges { cursor node { %s } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
FEED = (
    PAGE
    % """
  id caption hashtags createdAt likeCount commentCount viewerHasLiked viewerCanComment
  author { id username displayName avatar { rendition(width: 150) { url } } viewerFollowState }
  images { id altText width height blurHash renditions { url width height format byteSize } }
  previewComments { id text likeCount author { username } }
"""
)
EVERYTHING = (
    PAGE
    % """
  viewerHasLiked author { username } mentions { username }
  images { renditions { url } taggedUsers { x y user { username } } }
  previewComments { viewerHasLiked viewerCanDelete author { username } mentions { username } }
"""
)

# How the reader stands to some people: follows both ways, blocks, mutes.
PEOPLE = Counter({"find users": 1, "find follows": 1, "find blocks": 1, "find mutes": 1})
# From where on the feed is complete, before and after the rest; whom it does not hold yet, its entries, the posts of
# those and of the reader's own, and which hashtags the reader follows.
SKELETON = Counter(
    {"find feeds": 2, "find follows": 1, "find feed_entries": 1, "find posts": 1, "find followed_hashtags": 1}
)
# Below what is kept: whom the reader follows, and their posts; two finds of more than two hundred authors.
PULL = Counter({"find follows": 1, "find posts": 1})
POSTS_AND_AUTHORS = Counter({"find posts": 1}) + PEOPLE
COMMENTS_AND_AUTHORS = Counter({"find comments": 1}) + PEOPLE
FEED_PAGE = SKELETON + POSTS_AND_AUTHORS + Counter({"find post_likes": 1}) + COMMENTS_AND_AUTHORS
# The first pages; then posts and comments with their authors, the reader's relations to them, and the mark of the
# reader's likes. A process that has not read these posts and comments before looks for the rest afterwards.
LOOKS = Counter({"mget": 2})
# Further away: those in the posts, those in the comments, blocks between authors and tagged people, and the reader's
# likes of the comments.
ALL_OF_IT = FEED_PAGE + PEOPLE + PEOPLE + Counter({"find blocks": 1, "find comment_likes": 1})


LISTENER = OperationCounter()


@pytest.fixture(scope="module")
async def feed(shared_settings: Settings) -> AsyncIterator[tuple[World, UserRecord]]:
    """Somebody with a full feed of posts by ten people, with comments, likes, mentions and tags of others."""
    with own_database(shared_settings) as settings:
        async with opened(settings, [LISTENER]) as world:
            yield world, await full_feed(world)


async def full_feed(world: World) -> UserRecord:
    me, authors = await world.user(), await world.users(10)
    await world.open_feeds(me)
    in_posts, commenters, in_comments = [await world.users(5) for _ in range(3)]
    for author in authors:
        await world.follow(me, author)
    for number in range(PAGE_SIZE_MAX + 10):
        friend = in_posts[number % 5]
        post = await world.post(authors[number % 10], caption="#tag", mention_ids=[friend.id], tagged=[friend])
        for offset in range(PREVIEW_COMMENTS):
            commenter, mentioned = commenters[(number + offset) % 5], in_comments[(number + offset) % 5]
            await world.comment(post, commenter, mention_ids=[mentioned.id])
        if number % 3 == 0:
            await world.sources.post_likes.like(post.id, me.id, now())
    for job in sorted(await pending_jobs(world.tools)):
        if job.task is not Task.NOTIFY:  # most of the work, and not to be seen here
            await HANDLERS[job.kind].run(world.tools, job.key)
    return me


@contextlib.asynccontextmanager
async def cache_commands(world: World) -> AsyncIterator[Counter[str]]:
    """Counts the commands with keys of this world's caches during the block."""
    counts, end = Counter[str](), uuid4().hex
    async with world.redis.monitor() as monitor:
        yield counts
        await world.redis.echo(end)
        while end not in (command := (await monitor.next_command())["command"]):
            if f"{world.sources.settings.key_prefix}cache:" in command:
                counts[command.partition(" ")[0].lower()] += 1


async def operations(world: World, reader: UserRecord, document: str, **page: Any) -> tuple[list[Any], Counter[str]]:
    """The posts that came with nothing cached, and the operations that it took."""
    await wipe_redis(world)
    return await warm_operations(world, reader, document, **page)


async def warm_operations(
    world: World, reader: UserRecord, document: str, **page: Any
) -> tuple[list[Any], Counter[str]]:
    """As `operations`, with what is cached."""
    LISTENER.counts.clear()
    result = await world.execute(document, reader, **page)
    assert result.errors is None
    assert result.data is not None
    nodes = [edge["node"] for edge in result.data["feed"]["edges"]]
    assert all(len(node["previewComments"]) == PREVIEW_COMMENTS for node in nodes)
    return nodes, Counter(LISTENER.counts)


@pytest.mark.parametrize("size", [5, PAGE_SIZE_MAX])
async def test_a_page_of_the_feed_takes_seventeen_operations(feed: tuple[World, UserRecord], size: int) -> None:
    nodes, taken = await operations(*feed, FEED, first=size)
    assert len(nodes) == size
    assert taken == FEED_PAGE
    assert sum(taken.values()) == 17


@pytest.mark.parametrize("size", [5, PAGE_SIZE_MAX])
async def test_a_page_of_cached_records_takes_two_lookups(feed: tuple[World, UserRecord], size: int) -> None:
    world = feed[0]
    if world.sources.redis.cache.is_cluster:
        pytest.skip("a cluster takes more look-ups, of fewer keys each")
    cold, _ = await operations(*feed, FEED, first=size)
    await warm_operations(*feed, FEED, first=size)
    async with cache_commands(world) as asked:
        nodes, taken = await warm_operations(*feed, FEED, first=size)
    assert nodes == cold
    assert not taken
    assert asked == LOOKS


async def test_a_page_further_down_takes_as_many(feed: tuple[World, UserRecord]) -> None:
    world, reader = feed
    first = await world.execute(FEED, reader, first=PAGE_SIZE_MAX)
    assert first.data is not None
    nodes, taken = await operations(*feed, FEED, first=20, after=first.data["feed"]["pageInfo"]["endCursor"])
    assert len(nodes) == 10
    assert taken == FEED_PAGE


@pytest.mark.parametrize("size", [5, PAGE_SIZE_MAX])
async def test_a_page_with_everybody_on_it_takes_twenty_seven(feed: tuple[World, UserRecord], size: int) -> None:
    nodes, taken = await operations(*feed, EVERYTHING, first=size)
    assert len(nodes) == size
    assert all(node["mentions"] and node["images"][0]["taggedUsers"] for node in nodes)
    assert all(comment["mentions"] for node in nodes for comment in node["previewComments"])
    assert taken == ALL_OF_IT
    assert sum(taken.values()) == 27


@pytest.mark.parametrize("floor", ["in the middle", "at the top", "none"])
async def test_pulled_authors_take_two_more_operations(feed: tuple[World, UserRecord], floor: str) -> None:
    world, reader = feed
    ids = [row["_id"] async for row in world.sources.database["posts"].find({}, {"_id": 1}, sort=[("_id", -1)])]
    change = {"$unset": {"floor": ""}} if floor == "none" else {"$set": {"floor": ids[0 if "top" in floor else 10]}}
    state = await world.sources.database["feeds"].find_one_and_update({"_id": reader.id}, change)
    assert state is not None
    nodes, taken = await operations(*feed, FEED, first=PAGE_SIZE_MAX)
    await world.sources.database["feeds"].replace_one({"_id": reader.id}, state)
    assert len(nodes) == PAGE_SIZE_MAX
    kept = SKELETON if floor != "none" else Counter({"find feeds": 1, "find follows": 1, "find followed_hashtags": 1})
    assert taken == FEED_PAGE - SKELETON + kept + PULL


RANKED = FEED.replace("($first: Int, ", "($order: FeedOrder = RANKED, $first: Int, ").replace(
    "after: $after", "after: $after, order: $order"
)
# How the reader stands to the authors on a page was asked of all candidates.
RANKED_ANEW = FEED_PAGE + Counter({"find posts": 1, "find interests": 1, "update rankings": 1})
RANKED_ANEW += Counter({"find followed_hashtags": 1})  # whose posts are read apart
RANKED_ANEW += Counter({"find users": 1, "find explore_snapshots": 1})  # whether and what to suggest
RANKED_ON = Counter({"find rankings": 1}) + FEED_PAGE - SKELETON


@pytest.mark.parametrize("size", [5, PAGE_SIZE_MAX])
async def test_a_ranked_page_takes_six_more_to_begin_and_five_fewer_to_go_on(
    feed: tuple[World, UserRecord], size: int
) -> None:
    world, reader = feed
    await world.sources.interests.compute(reader.id, now())
    nodes, taken = await operations(*feed, RANKED, first=size)
    assert len(nodes) == size
    assert taken == RANKED_ANEW
    assert sum(taken.values()) == 23
    first = await world.execute(RANKED, reader, first=5)
    assert first.data is not None
    nodes, taken = await operations(*feed, RANKED, first=size, after=first.data["feed"]["pageInfo"]["endCursor"])
    assert len(nodes) == size
    assert taken == RANKED_ON
    assert sum(taken.values()) == 12


async def test_reasons_take_one_operation_if_they_are_asked_for(feed: tuple[World, UserRecord]) -> None:
    world, reader = feed
    await world.sources.interests.compute(reader.id, now())
    _, taken = await operations(*feed, RANKED.replace("edges { cursor", "edges { cursor reason"), first=20)
    assert taken == RANKED_ANEW + Counter({"find interests": 1})
    _, taken = await operations(*feed, RANKED.replace("edges { cursor", "edges { reason"), first=20, order="LATEST")
    assert taken == FEED_PAGE
