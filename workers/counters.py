"""The counting worker: sums up what facts still owe to a counter and settles it in one transaction for each target.

Every handler here is safe to run twice: a fact's contribution and the mark that it was counted are changed in the same
transaction, so the second run finds nothing owed. Twins conflict, and the loser is retried on what is left.
"""

from collections import Counter
from collections.abc import Awaitable, Callable

from bson import ObjectId

from datasources.likes import LikeStore
from datasources.mongo import Session, in_transaction
from domain.events import Effect
from domain.records import FollowState, PostStatus
from workers.work import Tools

BATCH = 1_000  # likes of one post settled in one transaction; 16,000 a second so (measured)

Move = Callable[[ObjectId, int, Session], Awaitable[object]]


async def settle_post_likes(tools: Tools, key: str) -> None:
    """Brings a post's like count up to its likes."""
    await _settle_likes(tools, tools.sources.post_likes, tools.sources.posts.add_likes, ObjectId(key))


async def settle_comment_likes(tools: Tools, key: str) -> None:
    """Brings a comment's like count up to its likes."""
    await _settle_likes(tools, tools.sources.comment_likes, tools.sources.comments.add_likes, ObjectId(key))


async def _settle_likes(tools: Tools, likes: LikeStore, move: Move, target_id: ObjectId) -> None:
    async def settle(session: Session) -> int:
        owed = await likes.owed(Effect.COUNT, target_id, session, BATCH)
        delta = sum(int(like["liked"]) - int(like.get("counted", False)) for like in owed)
        if delta:
            await move(target_id, delta, session)
        await likes.set_counted(owed, session)
        return len(owed)

    await _until_short(tools, settle)


async def settle_comments(tools: Tools, key: str) -> None:
    """Brings a post's comment count, its previews and its comments' reply counts up to its comments."""
    comments, posts, post_id = tools.sources.comments, tools.sources.posts, ObjectId(key)

    async def settle(session: Session) -> int:
        owed = await comments.owed_counts(post_id, session, BATCH)
        moves: Counter[ObjectId | None] = Counter()
        for comment in owed:
            moves[comment["parent_id"]] += int(not comment["deleted"]) - int(comment["counted"])
        if owed:
            previews = await comments.preview_ids(post_id, session)
            await posts.add_comments(post_id, sum(moves.values()), previews, session)
        for parent_id, delta in moves.items():
            if parent_id is not None and delta:
                await comments.add_replies(parent_id, delta, session)
        await comments.set_counted([comment["_id"] for comment in owed], session)
        return len(owed)

    await _until_short(tools, settle)


async def settle_posts(tools: Tools, key: str) -> None:
    """Brings an author's post count up to their posts."""
    posts, users, author_id = tools.sources.posts, tools.sources.users, ObjectId(key)

    async def settle(session: Session) -> int:
        owed = await posts.owed_counts(author_id, session, BATCH)
        shown = sum(int(post["status"] == PostStatus.READY.value and not post["deleted"]) for post in owed)
        delta = shown - sum(int(post["counted"]) for post in owed)
        if delta:
            await users.add_to_count(author_id, "post_count", delta, session)
        await posts.set_counted([post["_id"] for post in owed], session)
        return len(owed)

    await _until_short(tools, settle)


async def settle_followers(tools: Tools, key: str) -> None:
    """Brings a user's follower count up to who follows them."""
    await _settle_follows(tools, Effect.COUNT, ObjectId(key), "follower_count")


async def settle_following(tools: Tools, key: str) -> None:
    """Brings a user's following count up to whom they follow."""
    await _settle_follows(tools, Effect.COUNT_FOLLOWING, ObjectId(key), "following_count")


async def _settle_follows(tools: Tools, effect: Effect, user_id: ObjectId, counter: str) -> None:
    graph, users = tools.sources.graph, tools.sources.users

    async def settle(session: Session) -> int:
        owed = await graph.owed_counts(effect, user_id, session, BATCH)
        follows = sum(int(follow.state == FollowState.FOLLOWING.value) for follow in owed)
        delta = follows - sum(int(follow.counted) for follow in owed)
        if delta:
            await users.add_to_count(user_id, counter, delta, session)
        await graph.set_counted(effect, [follow.id for follow in owed], session)
        return len(owed)

    await _until_short(tools, settle)


async def _until_short(tools: Tools, settle: Callable[[Session], Awaitable[int]]) -> None:
    while await in_transaction(tools.sources.client, settle) == BATCH:
        pass
