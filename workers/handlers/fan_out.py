"""Posts go into the feeds of their authors' followers, and deleted ones out of them."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, groupby

from bson import ObjectId

from datasources.feed.entries import Delivery
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.posts.posts import is_shown
from domain.jobs import Task
from workers.runtime.handler import RetryLater, Tools

CHUNK = 2_000  # followers written at once


async def fan_out(tools: Tools, *keys: str) -> None:
    """Puts ready posts into their authors' followers' feeds, and takes deleted ones out; splits what is over a chunk.

    Safe to run twice: entries are keyed by owner and post, and a post is split once for each of its versions. What is
    split is owed until its last chunk is done. A post that changes meanwhile owes its effect still. Nothing is pushed
    of an author whose posts are pulled; the post of one who has crossed a limit still is, and lets them shift.
    """
    sources = tools.sources
    posts = await sources.posts.pending(Task.FAN_OUT, [ObjectId(key) for key in keys])
    split = [post for post in posts if post.get("split") == post["version"]]
    shown = {post["author_id"] for post in posts if is_shown(post)}
    pushed = await sources.push_pull.pushed_authors(shown, clock.now())
    pulled = [post for post in posts if post not in split and is_shown(post) and post["author_id"] not in pushed]
    await sources.posts.mark_all_done(pulled, Task.FAN_OUT)
    due = [post for post in posts if post not in split and post not in pulled]
    await asyncio.gather(*(_spread_or_split(tools, some, pushed) for some in _together(due, pushed)))
    finished = [await sources.fan_outs.finish_post(post["_id"], post["version"]) for post in split]
    if not all(finished):
        raise RetryLater


def _together(posts: Iterable[Document], followers: Mapping[ObjectId, int]) -> list[list[Document]]:
    """Posts in groups whose authors have a chunk of followers together, as far as these are counted."""
    groups, room = list[list[Document]](), 0
    by_author = sorted(posts, key=lambda post: (followers.get(post["author_id"], CHUNK), post["author_id"]))
    for _, some in groupby(by_author, key=lambda post: post["author_id"]):
        theirs = list(some)
        size = followers.get(theirs[0]["author_id"], CHUNK)
        if not groups or size > room:
            groups.append([])
            room = CHUNK
        groups[-1] += theirs
        room -= size
    return groups


async def _spread_or_split(tools: Tools, posts: Sequence[Document], followers: Mapping[ObjectId, int]) -> None:
    """Fans out posts of authors who have a chunk of followers together; if they have more, each author's alone."""
    sources = tools.sources
    if followers.get(posts[0]["author_id"], 0) > CHUNK:  # then all of these are theirs
        await sources.fan_outs.split(posts, CHUNK, clock.now())
        return
    owner_ids = await sources.fan_outs.followers_by_author({post["author_id"] for post in posts}, CHUNK + 1)
    if sum(map(len, owner_ids.values())) <= CHUNK:
        await _spread(tools, {post["_id"]: post["author_id"] for post in posts}, owner_ids)
        await sources.posts.mark_all_done(posts, Task.FAN_OUT)
    elif len(owner_ids) > 1:
        for author_id in owner_ids:
            await _spread_or_split(tools, [post for post in posts if post["author_id"] == author_id], followers)
    else:
        await sources.fan_outs.split(posts, CHUNK, clock.now())


async def fan_out_chunk(tools: Tools, key: str) -> None:
    """Puts a post into the feeds of one chunk of its author's followers, or takes it out of them.

    Safe to run twice, and beside a chunk of an earlier or later version of the post: whatever it was split for, it
    makes these feeds what the post says by now, and looks again afterwards.
    """
    sources, now = tools.sources, clock.now()
    chunk = await sources.fan_outs.lease_chunk(ObjectId(key), now)
    if chunk is None:
        return
    if chunk.leased_until is not None and chunk.leased_until > now:
        raise RetryLater  # somebody else has it in hand; should they be dead, the sweeper rings
    owner_ids = await sources.fan_outs.followers(chunk.author_id, chunk.span)
    await _spread(tools, {chunk.post_id: chunk.author_id}, {chunk.author_id: owner_ids})
    await sources.fan_outs.finish_chunk(chunk)


async def _spread(
    tools: Tools, author_ids: Mapping[ObjectId, ObjectId], owner_ids: Mapping[ObjectId, Sequence[ObjectId]]
) -> None:
    """Makes feeds hold posts, or not, as they are to be shown: until a look after the writing says the same.

    `author_ids` has each post's author, `owner_ids` each author's owners of feeds. Looking again, whoever wrote entries
    of a post that was deleted meanwhile takes them out, after the one who pays for the deletion. Feeds that are not
    live are passed over: they are cleared, and whoever comes back has theirs rebuilt.
    """
    posts, feeds = tools.sources.posts, tools.sources.feeds
    live = await tools.sources.feed_states.live_among([*chain.from_iterable(owner_ids.values())])
    # Of one author, as in every chunk, they are all that are live: thousands need not be looked up one by one.
    kept = dict.fromkeys(owner_ids, live) if len(owner_ids) == 1 else _those_of(set(live), owner_ids)
    left = [Delivery(post_id, author_id, kept[author_id]) for post_id, author_id in author_ids.items()]
    written: dict[ObjectId, bool] = {}
    while left:
        shown = await posts.shown_among([each.post_id for each in left])
        left = [each for each in left if written.get(each.post_id) is not (each.post_id in shown)]
        await feeds.push(*(each for each in left if each.post_id in shown))
        await feeds.remove_posts(*(each for each in left if each.post_id not in shown))
        written.update({each.post_id: each.post_id in shown for each in left})
    await tools.sources.feed_listeners.notify(live)


def _those_of(
    live: Collection[ObjectId], owner_ids: Mapping[ObjectId, Sequence[ObjectId]]
) -> dict[ObjectId, list[ObjectId]]:
    return {author_id: [one for one in theirs if one in live] for author_id, theirs in owner_ids.items()}
