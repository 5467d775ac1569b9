"""Counters are brought up to the facts they count, many targets in one transaction.

Every handler here is safe to run twice: a fact's contribution and the mark that it is counted change in the same
transaction, so a second run finds nothing pending. Concurrent duplicates conflict, and the loser is retried on what is
left. A handler returns the keys for which more may be pending.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter

from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.posts.comments import is_comment_shown
from datasources.posts.posts import is_shown
from domain.jobs import Task
from domain.records.follows import FollowState
from workers.handlers.apply_in_chunks import MAX_FACTS, apply_in_chunks
from workers.runtime.handler import Tools


async def count_post_likes(tools: Tools, *keys: str) -> Collection[str]:
    """Brings posts' like counts up to their likes."""
    likes, add = tools.sources.post_likes, tools.sources.posts.add_likes
    return await _count(tools, keys, "target_id", likes.pending_counts, likes.set_counted, add, itemgetter("liked"))


async def count_comment_likes(tools: Tools, *keys: str) -> Collection[str]:
    """Brings comments' like counts up to their likes."""
    likes, add = tools.sources.comment_likes, partial(tools.sources.comments.add_to_counts, "like_count")
    return await _count(tools, keys, "target_id", likes.pending_counts, likes.set_counted, add, itemgetter("liked"))


async def count_comments(tools: Tools, *keys: str) -> Collection[str]:
    """Brings posts' comment counts, their previews and their comments' reply counts up to the comments."""
    comments, posts = tools.sources.comments, tools.sources.posts

    async def apply(post_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        pending = await comments.pending_counts(post_ids, session, MAX_FACTS)
        await comments.set_counted(pending, session)
        of_posts = _sums(pending, "post_id", is_comment_shown)
        replies = [comment for comment in pending if comment["parent_id"] is not None]
        await comments.add_to_counts("reply_count", _sums(replies, "parent_id", is_comment_shown), session)
        await posts.add_comments(of_posts, await comments.preview_ids(list(of_posts), session), session)
        return pending

    return await apply_in_chunks(tools, keys, "post_id", apply)


async def count_posts(tools: Tools, *keys: str) -> Collection[str]:
    """Brings authors' post counts up to their posts."""
    posts, add = tools.sources.posts, partial(tools.sources.users.add_to_counts, "post_count")
    return await _count(tools, keys, "author_id", posts.pending_counts, posts.set_counted, add, is_shown)


async def count_topic_posts(tools: Tools, *keys: str) -> Collection[str]:
    """Brings the counts of topics up to the posts that are listed under them."""
    entries, add = tools.sources.listings.entries, tools.sources.listings.topics.add_to_counts
    return await _count(tools, keys, "topic_id", entries.pending_counts, entries.set_counted, add, itemgetter("listed"))


async def count_followers(tools: Tools, *keys: str) -> Collection[str]:
    """Brings users' follower counts up to who follows them."""
    return await _count_follows(tools, keys, Task.COUNT, "followee_id", "follower_count", "counted")


async def count_following(tools: Tools, *keys: str) -> Collection[str]:
    """Brings users' following counts up to whom they follow."""
    return await _count_follows(
        tools, keys, Task.COUNT_FOLLOWING, "follower_id", "following_count", "counted_following"
    )


async def _count_follows(
    tools: Tools, keys: Iterable[str], task: Task, side: str, counter: str, counted: str
) -> Collection[str]:
    follows, add = tools.sources.follows, partial(tools.sources.users.add_to_counts, counter)
    read, mark = partial(follows.pending_counts, task), partial(follows.set_counted, task)
    return await _count(tools, keys, side, read, mark, add, _is_following, counted)


def _is_following(follow: Document) -> bool:
    return bool(follow["state"] == FollowState.FOLLOWING.value)


async def _count(
    tools: Tools,
    keys: Iterable[str],
    key_field: str,
    read: Callable[[Sequence[ObjectId], Session, int], Awaitable[list[Document]]],
    mark: Callable[[Sequence[Document], Session], Awaitable[None]],
    add: Callable[[Mapping[ObjectId, int], Session], Awaitable[None]],
    counts: Callable[[Document], bool],
    counted: str = "counted",
) -> Collection[str]:
    """Brings one counter of the targets up to the facts that `read` finds and that `counts` says count now."""

    async def apply(target_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        pending = await read(target_ids, session, MAX_FACTS)
        await mark(pending, session)
        await add(_sums(pending, key_field, counts, counted), session)
        return pending

    return await apply_in_chunks(tools, keys, key_field, apply)


def _sums(
    facts: Iterable[Document], key_field: str, counts: Callable[[Document], bool], counted: str = "counted"
) -> dict[ObjectId, int]:
    """By how much the count of each target is wrong, zeros too: the facts that count now, less those counted before."""
    sums: Counter[ObjectId] = Counter()
    for fact in facts:
        sums[fact[key_field]] += int(counts(fact)) - int(bool(fact.get(counted)))
    return sums
