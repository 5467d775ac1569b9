"""Counters are brought up to the facts they count, many targets in one transaction.

Every handler here is safe to run twice: a fact's contribution and the mark that it is counted change in the same
transaction, so a second run finds nothing pending. Concurrent duplicates conflict, and the loser is retried on what is
left. A handler returns the keys for which more may be pending.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.posts.likes import LikeStore
from domain.jobs import Task
from domain.records.follows import FollowState
from domain.records.posts import PostStatus
from workers.handlers.apply_in_chunks import MAX_FACTS, apply_in_chunks
from workers.runtime.handler import Tools

AddToCounts = Callable[[Mapping[ObjectId, int], Session], Awaitable[None]]


async def count_post_likes(tools: Tools, *keys: str) -> Collection[str]:
    """Brings posts' like counts up to their likes."""
    return await _count_likes(tools, tools.sources.post_likes, tools.sources.posts.add_likes, keys)


async def count_comment_likes(tools: Tools, *keys: str) -> Collection[str]:
    """Brings comments' like counts up to their likes."""
    return await _count_likes(tools, tools.sources.comment_likes, tools.sources.comments.add_likes, keys)


async def _count_likes(tools: Tools, likes: LikeStore, add: AddToCounts, keys: Iterable[str]) -> Collection[str]:
    async def apply(target_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        pending = await likes.pending_counts(target_ids, session, MAX_FACTS)
        await likes.set_counted(pending, session)
        await add(_sums(pending, "target_id", lambda like: like["liked"]), session)
        return pending

    return await apply_in_chunks(tools, keys, "target_id", apply)


async def count_comments(tools: Tools, *keys: str) -> Collection[str]:
    """Brings posts' comment counts, their previews and their comments' reply counts up to the comments."""
    comments, posts = tools.sources.comments, tools.sources.posts

    async def apply(post_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        pending = await comments.pending_counts(post_ids, session, MAX_FACTS)
        await comments.set_counted([comment["_id"] for comment in pending], session)
        of_posts = _sums(pending, "post_id", _is_shown)
        replies = [comment for comment in pending if comment["parent_id"] is not None]
        await comments.add_replies(_sums(replies, "parent_id", _is_shown), session)
        await posts.add_comments(of_posts, await comments.preview_ids(list(of_posts), session), session)
        return pending

    return await apply_in_chunks(tools, keys, "post_id", apply)


async def count_posts(tools: Tools, *keys: str) -> Collection[str]:
    """Brings authors' post counts up to their posts."""
    posts, users = tools.sources.posts, tools.sources.users

    def is_shown(post: Document) -> bool:
        return post["status"] == PostStatus.READY.value and not post["deleted"]

    async def apply(author_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        pending = await posts.pending_counts(author_ids, session, MAX_FACTS)
        await posts.set_counted([post["_id"] for post in pending], session)
        await users.add_to_counts("post_count", _sums(pending, "author_id", is_shown), session)
        return pending

    return await apply_in_chunks(tools, keys, "author_id", apply)


async def count_followers(tools: Tools, *keys: str) -> Collection[str]:
    """Brings users' follower counts up to who follows them."""
    return await _count_follows(tools, Task.COUNT, "followee_id", keys)


async def count_following(tools: Tools, *keys: str) -> Collection[str]:
    """Brings users' following counts up to whom they follow."""
    return await _count_follows(tools, Task.COUNT_FOLLOWING, "follower_id", keys)


async def _count_follows(tools: Tools, task: Task, side: str, keys: Iterable[str]) -> Collection[str]:
    follows, users = tools.sources.follows, tools.sources.users
    counter, counted = _OF_FOLLOWS[task]

    def is_following(follow: Document) -> bool:
        return bool(follow["state"] == FollowState.FOLLOWING.value)

    async def apply(user_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        pending = await follows.pending_counts(task, user_ids, session, MAX_FACTS)
        await follows.set_counted(task, [follow["_id"] for follow in pending], session)
        await users.add_to_counts(counter, _sums(pending, side, is_following, counted), session)
        return pending

    return await apply_in_chunks(tools, keys, side, apply)


_OF_FOLLOWS = {
    Task.COUNT: ("follower_count", "counted"),
    Task.COUNT_FOLLOWING: ("following_count", "counted_following"),
}


def _sums(
    facts: Iterable[Document], key_field: str, counts: Callable[[Document], bool], counted: str = "counted"
) -> dict[ObjectId, int]:
    """By how much the count of each target is wrong, zeros too: the facts that count now, less those counted before."""
    sums: Counter[ObjectId] = Counter()
    for fact in facts:
        sums[fact[key_field]] += int(counts(fact)) - int(bool(fact.get(counted)))
    return sums


def _is_shown(comment: Document) -> bool:
    return not comment["deleted"] and not comment.get("hidden")
