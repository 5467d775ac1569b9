"""The counting worker: sums up what facts still owe to counters and settles many targets in one transaction.

Every handler here is safe to run twice: a fact's contribution and the mark that it was counted are changed in the same
transaction, so the second run finds nothing owed. Twins conflict, and the loser is retried on what is left. Each takes
up to `BATCH` targets and returns those that may owe more.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.posts.likes import LikeStore
from domain.jobs import Effect
from domain.records import FollowState, PostStatus
from workers.handlers.turns import FACTS, in_turns
from workers.runtime.handler import Tools

BATCH = 200  # targets of one call

Move = Callable[[Mapping[ObjectId, int], Session], Awaitable[None]]


async def settle_post_likes(tools: Tools, *keys: str) -> Collection[str]:
    """Brings posts' like counts up to their likes."""
    return await _settle_likes(tools, tools.sources.post_likes, tools.sources.posts.add_likes, keys)


async def settle_comment_likes(tools: Tools, *keys: str) -> Collection[str]:
    """Brings comments' like counts up to their likes."""
    return await _settle_likes(tools, tools.sources.comment_likes, tools.sources.comments.add_likes, keys)


async def _settle_likes(tools: Tools, likes: LikeStore, move: Move, keys: Iterable[str]) -> Collection[str]:
    async def settle(target_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        owed = await likes.owed_counts(target_ids, session, FACTS)
        await likes.set_counted(owed, session)
        await move(_sums(owed, "target_id", lambda like: like["liked"]), session)
        return owed

    return await in_turns(tools, keys, "target_id", settle)


async def settle_comments(tools: Tools, *keys: str) -> Collection[str]:
    """Brings posts' comment counts, their previews and their comments' reply counts up to the comments."""
    comments, posts = tools.sources.comments, tools.sources.posts

    async def settle(post_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        owed = await comments.owed_counts(post_ids, session, FACTS)
        await comments.set_counted([comment["_id"] for comment in owed], session)
        of_posts = _sums(owed, "post_id", _is_there)
        replies = [comment for comment in owed if comment["parent_id"] is not None]
        await comments.add_replies(_sums(replies, "parent_id", _is_there), session)
        await posts.add_comments(of_posts, await comments.preview_ids(list(of_posts), session), session)
        return owed

    return await in_turns(tools, keys, "post_id", settle)


async def settle_posts(tools: Tools, *keys: str) -> Collection[str]:
    """Brings authors' post counts up to their posts."""
    posts, users = tools.sources.posts, tools.sources.users

    def is_shown(post: Document) -> bool:
        return post["status"] == PostStatus.READY.value and not post["deleted"]

    async def settle(author_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        owed = await posts.owed_counts(author_ids, session, FACTS)
        await posts.set_counted([post["_id"] for post in owed], session)
        await users.add_to_counts("post_count", _sums(owed, "author_id", is_shown), session)
        return owed

    return await in_turns(tools, keys, "author_id", settle)


async def settle_followers(tools: Tools, *keys: str) -> Collection[str]:
    """Brings users' follower counts up to who follows them."""
    return await _settle_follows(tools, Effect.COUNT, "followee_id", keys)


async def settle_following(tools: Tools, *keys: str) -> Collection[str]:
    """Brings users' following counts up to whom they follow."""
    return await _settle_follows(tools, Effect.COUNT_FOLLOWING, "follower_id", keys)


async def _settle_follows(tools: Tools, effect: Effect, side: str, keys: Iterable[str]) -> Collection[str]:
    graph, users = tools.sources.graph, tools.sources.users
    counter, counted = _OF_FOLLOWS[effect]

    def stands(follow: Document) -> bool:
        return bool(follow["state"] == FollowState.FOLLOWING.value)

    async def settle(user_ids: Sequence[ObjectId], session: Session) -> list[Document]:
        owed = await graph.owed_counts(effect, user_ids, session, FACTS)
        await graph.set_counted(effect, [follow["_id"] for follow in owed], session)
        await users.add_to_counts(counter, _sums(owed, side, stands, counted), session)
        return owed

    return await in_turns(tools, keys, side, settle)


_OF_FOLLOWS = {
    Effect.COUNT: ("follower_count", "counted"),
    Effect.COUNT_FOLLOWING: ("following_count", "counted_following"),
}


def _sums(
    facts: Iterable[Document], by: str, stands: Callable[[Document], bool], counted: str = "counted"
) -> dict[ObjectId, int]:
    """By how much the count of each target is off, zeros too: what stands less what was counted."""
    sums: Counter[ObjectId] = Counter()
    for fact in facts:
        sums[fact[by]] += int(stands(fact)) - int(bool(fact.get(counted)))
    return sums


def _is_there(comment: Document) -> bool:
    return not comment["deleted"] and not comment.get("hidden")
