"""Posts go into the feeds of their authors' followers, and deleted ones out of them."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby

from bson import ObjectId

from datasources.feed.entries import Delivery
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.posts.posts import is_shown
from datasources.telemetry.metrics import LONG_SECONDS, Distribution
from domain.jobs import JOBS, Fact, Task
from workers.runtime.handler import RetryLater, Tools

CHUNK = 2_000  # followers of the posts that one call fans out
STEP = 500  # followers of one call for a post to more than `CHUNK`; so others' writes wait for little
STEP_SECONDS = JOBS[Task.FAN_OUT_CHUNK, Fact.FAN_OUT].seconds / 2  # the longest that such a call takes with its pause
_LARGE_SECONDS = Distribution(
    "photogram_large_fan_out_seconds",
    "Time from handing over a post to many followers until a chunk of them had it.",
    bounds=LONG_SECONDS,
)


async def fan_out(tools: Tools, *keys: str) -> None:
    """Puts READY posts into their authors' followers' feeds, and takes deleted ones out.

    The fan-out to more than a chunk of followers is left to a worker of its own, which splits it into chunks, and stays
    pending until the last one is done. Safe to run twice: entries are keyed by owner and post, and a post is split once
    for each of its versions. It stays pending for a post that changes meanwhile, and as long as its author's own feed
    may lack it. Posts of authors whose posts are pulled are not pushed; the post of one who has just crossed the limit
    still is, and makes the author switch.
    """
    sources = tools.sources
    posts = await sources.posts.pending(Task.FAN_OUT, [ObjectId(key) for key in keys])
    split = [post for post in posts if post.get("split") == post["version"]]
    shown = {post["author_id"] for post in posts if is_shown(post)}
    await sources.feed_entries.show_own(shown)
    pushed = await sources.push_pull.pushed_authors(shown, clock.now())
    pulled = [post for post in posts if post not in split and is_shown(post) and post["author_id"] not in pushed]
    await sources.posts.mark_all_done(pulled, Task.FAN_OUT)
    due = [post for post in posts if post not in split and post not in pulled]
    await asyncio.gather(*(_write_or_split(tools, group, pushed) for group in _groups(due, pushed)))
    finished = [await sources.fan_outs.finish_post(post["_id"], post["author_id"], post["version"]) for post in split]
    if not all(finished):
        raise RetryLater


def _groups(posts: Iterable[Document], followers: Mapping[ObjectId, int]) -> list[list[Document]]:
    """The posts in groups whose authors together have about a chunk of followers, going by their counters."""
    groups, room = list[list[Document]](), 0
    by_author = sorted(posts, key=lambda post: (followers.get(post["author_id"], CHUNK), post["author_id"]))
    for author_id, posts_of_author in groupby(by_author, key=lambda post: post["author_id"]):
        size = followers.get(author_id, CHUNK)
        if not groups or size > room:
            groups.append([])
            room = CHUNK
        groups[-1] += posts_of_author
        room -= size
    return groups


async def _write_or_split(tools: Tools, posts: Sequence[Document], followers: Mapping[ObjectId, int]) -> None:
    """Fans out posts whose authors together have a chunk of followers; if they have more, each author's alone."""
    sources = tools.sources
    if followers.get(posts[0]["author_id"], 0) > CHUNK:  # such an author is alone in a group
        await sources.fan_outs.begin(posts, clock.now())
        return
    owner_ids = await sources.followers.of_authors({post["author_id"] for post in posts}, CHUNK + 1)
    if sum(map(len, owner_ids.values())) <= CHUNK:
        await _write_entries(tools, {post["_id"]: post["author_id"] for post in posts}, owner_ids)
        await sources.posts.mark_all_done(posts, Task.FAN_OUT)
    elif len(owner_ids) > 1:
        for author_id in owner_ids:
            await _write_or_split(tools, [post for post in posts if post["author_id"] == author_id], followers)
    else:
        await sources.fan_outs.begin(posts, clock.now())


async def split_fan_out(tools: Tools, key: str) -> None:
    """Splits the fan-out of a post into chunks. Safe to run twice: only one call replaces it by them."""
    await tools.sources.fan_outs.split(ObjectId(key), STEP, clock.now())


async def fan_out_chunk(tools: Tools, key: str) -> None:
    """Puts a post into the feeds of up to `STEP` followers of a chunk, or takes it out of them.

    If the chunk has more, the rest is enqueued behind what waits, so that posts of other authors have their turn. Then
    the call pauses as `large_fan_out_pause` says, so that a long fan-out takes only its share of MongoDB. Safe to run
    twice, and beside a chunk of an earlier or later version of the post: it writes what the post says by now, whatever
    it was split for, and checks that afterwards.
    """
    sources, now, began = tools.sources, clock.now(), time.monotonic()
    chunk = await sources.fan_outs.lease_chunk(ObjectId(key), now)
    if chunk is None:
        return
    if chunk.leased_until is not None and chunk.leased_until > now:
        raise RetryLater  # another worker has it; if that worker is dead, the outbox relay enqueues it again
    limits = {"above": chunk.above, "upto": chunk.last}
    owner_ids = await sources.followers.of_author(chunk.author_id, **limits, limit=STEP + 1)
    has_more, owner_ids = len(owner_ids) > STEP, owner_ids[:STEP]
    await _write_entries(tools, {chunk.post_id: chunk.author_id}, {chunk.author_id: owner_ids})
    if has_more:
        await sources.fan_outs.advance_chunk(chunk, owner_ids[-1], clock.now())
        took = time.monotonic() - began
        await asyncio.sleep(max(0.0, min(STEP_SECONDS - took, took * sources.settings.large_fan_out_pause)))
    elif await sources.fan_outs.finish_chunk(chunk) and chunk.pending_since is not None:
        _LARGE_SECONDS.add(max(0.0, (clock.now() - chunk.pending_since).total_seconds()))


async def _write_entries(
    tools: Tools, author_ids: Mapping[ObjectId, ObjectId], owner_ids: Mapping[ObjectId, Sequence[ObjectId]]
) -> None:
    """Puts posts that are shown into feeds, and takes the others out, until a check after the writing agrees.

    `author_ids` has each post's author, `owner_ids` the owners of feeds for each author. The check makes sure that
    entries of a post that is deleted meanwhile are taken out again, also after the deletion's own fan-out. Feeds that
    are not live are left out: they get cleared, and are rebuilt when their owner comes back.
    """
    posts, entries = tools.sources.posts, tools.sources.feed_entries
    live = await tools.sources.feed_states.live_among([*chain.from_iterable(owner_ids.values())])
    by_author = dict.fromkeys(owner_ids, live)
    if len(owner_ids) > 1:  # else all live feeds are one author's followers': thousands need not be looked up
        are_live = set(live)
        by_author = {author_id: [each for each in ids if each in are_live] for author_id, ids in owner_ids.items()}
    deliveries = [Delivery(post_id, author_id, by_author[author_id]) for post_id, author_id in author_ids.items()]
    is_written: dict[ObjectId, bool] = {}
    while deliveries:
        shown = await posts.shown_among({each.post_id: each.author_id for each in deliveries})
        deliveries = [each for each in deliveries if is_written.get(each.post_id) is not (each.post_id in shown)]
        await entries.push(*(each for each in deliveries if each.post_id in shown))
        await entries.remove_posts(*(each for each in deliveries if each.post_id not in shown))
        is_written.update({each.post_id: each.post_id in shown for each in deliveries})
    await tools.sources.feed_listeners.notify(live)
