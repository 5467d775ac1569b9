"""What must have come of some deeds, worked out by brute force, and what has."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from domain.limits import PREVIEW_COMMENTS
from domain.records.posts import PostRecord
from tests.support.actions import Action, Comment, Follow, Like, Publish
from tests.support.factories import World

Pair = tuple[ObjectId, ObjectId]


@dataclass
class Outcomes:
    """Facts and their effects; each is compared as a whole, so one too many is as wrong as one too few."""

    likes: Counter[Pair] = field(default_factory=Counter)
    posts: Counter[str] = field(default_factory=Counter)
    comments: Counter[str] = field(default_factory=Counter)
    follows: Counter[Pair] = field(default_factory=Counter)
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
        return self.likes + self.posts + self.comments + self.follows

    @property
    def sums(self) -> Counter[Any]:
        counts = self.like_counts, self.comment_counts, self.follower_counts, self.following_counts, self.post_counts
        return (
            Counter({(n, key): number for n, each in enumerate(counts) for key, number in each.items()}) + self.notified
        )


async def expected_outcomes(world: World, deeds: Sequence[Action], posts: Sequence[PostRecord]) -> Outcomes:
    """What comes of these deeds, beside posts that were there; ids of what they made are looked up by their keys."""
    tasks = Outcomes(previews=_previews(await _all(world, "comments")))
    comment_ids = {_key(row): row["_id"] for row in await _all(world, "comments")}
    post_ids = {_key(row): row["_id"] for row in await _all(world, "posts")}
    author_of = {post.id: post.author_id for post in posts}
    author_of |= {
        post_ids[deed.key]: deed.user_id for deed in deeds if isinstance(deed, Publish) and deed.key in post_ids
    }
    posts_of: dict[ObjectId, list[ObjectId]] = defaultdict(list)
    for post_id, author_id in author_of.items():
        posts_of[author_id].append(post_id)
        tasks.post_counts[author_id] += 1
        tasks.notified[author_id, f"POST:{post_id}"] = 0
    for deed in deeds:
        match deed:
            case Like(user_id, post_id):
                tasks.likes[user_id, post_id] += 1
                tasks.like_counts[post_id] += 1
                if user_id != author_of[post_id]:
                    tasks.notified[author_of[post_id], f"POST_LIKED:{post_id}"] += 1
            case Comment(user_id, post_id, key):
                tasks.comments[key] += 1
                tasks.comment_counts[post_id] += 1
                if user_id != author_of[post_id]:
                    tasks.notified[author_of[post_id], f"COMMENT:{comment_ids.get(key)}"] += 1
            case Publish(_, key, _):
                tasks.posts[key] += 1
            case Follow(user_id, followee_id):
                tasks.follows[user_id, followee_id] += 1
                tasks.follower_counts[followee_id] += 1
                tasks.following_counts[user_id] += 1
                tasks.notified[followee_id, f"FOLLOWED:{user_id}"] += 1
                tasks.entries.update((user_id, post_id) for post_id in posts_of[followee_id])
    return tasks


async def stored_outcomes(world: World) -> Outcomes:
    """What the database says."""
    posts, users = await _all(world, "posts"), await _all(world, "users")
    notifications = [row for row in await _all(world, "notifications") if not row["withdrawn"]]
    return Outcomes(
        likes=Counter((row["user_id"], row["target_id"]) for row in await _all(world, "post_likes") if row["liked"]),
        posts=Counter(_key(row) for row in posts if "idempotency_key" in row),
        comments=Counter(_key(row) for row in await _all(world, "comments")),
        follows=Counter((row["follower_id"], row["followee_id"]) for row in await _all(world, "follows")),
        like_counts=_counter(posts, "like_count"),
        comment_counts=_counter(posts, "comment_count"),
        previews={row["_id"]: row["preview_comment_ids"] for row in posts if row.get("preview_comment_ids")},
        follower_counts=_counter(users, "follower_count"),
        following_counts=_counter(users, "following_count"),
        post_counts=_counter(users, "post_count"),
        entries=Counter((row["_id"]["o"], row["_id"]["p"]) for row in await _all(world, "feed_entries")),
        notified=Counter({(row["recipient_id"], row["group_key"]): row["actor_count"] for row in notifications}),
    )


def count_lost(there: Outcomes, wanted: Outcomes) -> int:
    """How many facts are missing."""
    return sum((wanted.facts - there.facts).values())


def count_doubled(there: Outcomes, wanted: Outcomes) -> int:
    """How many facts are there, or counted, or shown, more often than they happened."""
    return sum((there.facts - wanted.facts).values()) + sum((there.sums - wanted.sums).values())


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
