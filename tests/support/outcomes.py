"""What the database must hold after some actions, worked out by brute force, and what it does hold."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from domain.limits import PREVIEW_COMMENTS
from domain.records.posts import PostRecord
from tests.support.actions import Action, Comment, Follow, Like, Publish, Save
from tests.support.factories import World

Pair = tuple[ObjectId, ObjectId]


@dataclass
class Outcomes:
    """Facts and what follows from them. Outcomes are compared as a whole: one too many is as wrong as one too few."""

    likes: Counter[Pair] = field(default_factory=Counter)
    posts: Counter[str] = field(default_factory=Counter)
    comments: Counter[str] = field(default_factory=Counter)
    follows: Counter[Pair] = field(default_factory=Counter)
    saves: Counter[Pair] = field(default_factory=Counter)
    save_counts: Counter[ObjectId] = field(default_factory=Counter)
    like_counts: Counter[ObjectId] = field(default_factory=Counter)
    comment_counts: Counter[ObjectId] = field(default_factory=Counter)
    previews: dict[ObjectId, list[ObjectId]] = field(default_factory=dict)
    follower_counts: Counter[ObjectId] = field(default_factory=Counter)
    following_counts: Counter[ObjectId] = field(default_factory=Counter)
    post_counts: Counter[ObjectId] = field(default_factory=Counter)
    entries: Counter[Pair] = field(default_factory=Counter)
    notified: Counter[tuple[ObjectId, str]] = field(default_factory=Counter)
    """How many people each standing notification names, by recipient and group."""

    @property
    def facts(self) -> Counter[Any]:
        return self.likes + self.posts + self.comments + self.follows + self.saves

    @property
    def sums(self) -> Counter[Any]:
        counts = (
            self.like_counts,
            self.comment_counts,
            self.follower_counts,
            self.following_counts,
            self.post_counts,
            self.save_counts,
        )
        return (
            Counter({(n, key): number for n, each in enumerate(counts) for key, number in each.items()}) + self.notified
        )


async def expected_outcomes(world: World, actions: Sequence[Action], posts: Sequence[PostRecord]) -> Outcomes:
    """What these actions lead to, on top of `posts` that existed before. Looks up the ids of what they made."""
    outcomes = Outcomes(previews=_previews(await _all(world, "comments")))
    comment_ids = {_key(row): row["_id"] for row in await _all(world, "comments")}
    post_ids = {_key(row): row["_id"] for row in await _all(world, "posts")}
    author_of = {post.id: post.author_id for post in posts}
    author_of |= {
        post_ids[action.key]: action.user_id
        for action in actions
        if isinstance(action, Publish) and action.key in post_ids
    }
    posts_of: dict[ObjectId, list[ObjectId]] = defaultdict(list)
    for post_id, author_id in author_of.items():
        posts_of[author_id].append(post_id)
        outcomes.post_counts[author_id] += 1
        outcomes.notified[author_id, f"POST:{post_id}"] = 0
    for action in actions:
        match action:
            case Like(user_id, post_id):
                outcomes.likes[user_id, post_id] += 1
                outcomes.like_counts[post_id] += 1
                if user_id != author_of[post_id]:
                    outcomes.notified[author_of[post_id], f"POST_LIKED:{post_id}"] += 1
            case Save(user_id, post_id):
                outcomes.saves[user_id, post_id] += 1
                outcomes.save_counts[user_id] += 1
            case Comment(user_id, post_id, key):
                outcomes.comments[key] += 1
                outcomes.comment_counts[post_id] += 1
                if user_id != author_of[post_id]:
                    outcomes.notified[author_of[post_id], f"COMMENT:{comment_ids.get(key)}"] += 1
            case Publish(_, key, _):
                outcomes.posts[key] += 1
            case Follow(user_id, followee_id):
                outcomes.follows[user_id, followee_id] += 1
                outcomes.follower_counts[followee_id] += 1
                outcomes.following_counts[user_id] += 1
                outcomes.notified[followee_id, f"FOLLOWED:{user_id}"] += 1
                outcomes.entries.update((user_id, post_id) for post_id in posts_of[followee_id])
    return outcomes


async def stored_outcomes(world: World) -> Outcomes:
    """What the database holds."""
    posts, users = await _all(world, "posts"), await _all(world, "users")
    notifications = [row for row in await _all(world, "notifications") if not row["withdrawn"]]
    return Outcomes(
        likes=Counter((row["user_id"], row["target_id"]) for row in await _all(world, "post_likes") if row["liked"]),
        posts=Counter(_key(row) for row in posts if "idempotency_key" in row),
        comments=Counter(_key(row) for row in await _all(world, "comments")),
        follows=Counter((row["follower_id"], row["followee_id"]) for row in await _all(world, "follows")),
        saves=Counter((row["saver_id"], row["post_id"]) for row in await _all(world, "saves")),
        save_counts=_counter(await _all(world, "savers"), "save_count"),
        like_counts=_counter(posts, "like_count"),
        comment_counts=_counter(posts, "comment_count"),
        previews={row["_id"]: row["preview_comment_ids"] for row in posts if row.get("preview_comment_ids")},
        follower_counts=_counter(users, "follower_count"),
        following_counts=_counter(users, "following_count"),
        post_counts=_counter(users, "post_count"),
        entries=Counter((row["_id"]["o"], row["_id"]["p"]) for row in await _all(world, "feed_entries")),
        notified=Counter({(row["recipient_id"], row["group_key"]): row["actor_count"] for row in notifications}),
    )


def count_lost(stored: Outcomes, expected: Outcomes) -> int:
    """How many facts are missing."""
    return sum((expected.facts - stored.facts).values())


def count_doubled(stored: Outcomes, expected: Outcomes) -> int:
    """How many facts are stored, counted or shown more often than they happened."""
    return sum((stored.facts - expected.facts).values()) + sum((stored.sums - expected.sums).values())


def _previews(comments: Sequence[dict[str, Any]]) -> dict[ObjectId, list[ObjectId]]:
    """Each post's latest comments, latest first."""
    of_post: dict[ObjectId, list[ObjectId]] = defaultdict(list)
    for comment in sorted(comments, key=lambda comment: comment["_id"], reverse=True):
        of_post[comment["post_id"]].append(comment["_id"])
    return {post_id: ids[:PREVIEW_COMMENTS] for post_id, ids in of_post.items()}


def _key(row: dict[str, Any]) -> str:
    """The idempotency key as its sender wrote it."""
    return str(row.get("idempotency_key", "")).partition(":")[2]


def _counter(rows: Sequence[dict[str, Any]], name: str) -> Counter[ObjectId]:
    return +Counter({row["_id"]: row.get(name, 0) for row in rows})


async def _all(world: World, collection: str) -> list[dict[str, Any]]:
    return await world.sources.database[collection].find().to_list()
