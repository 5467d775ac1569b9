"""Ways to damage the scene of `tests.support.maintenance`, each with the findings that `verify` must report."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.factories import World
from tests.support.maintenance import Scene

Break = Callable[[World, "Scene"], Awaitable[Any]]


def counter(collection: str, field: str) -> Break:
    async def change(world: World, scene: Scene) -> None:
        document_id = {"posts": scene.post.id, "comments": scene.comment_id, "users": scene.ana.id}[collection]
        await world.sources.database[collection].update_one({"_id": document_id}, {"$inc": {field: 7}})

    return change


def update(collection: str, change: dict[str, Any], query: dict[str, Any] | None = None) -> Break:
    async def run(world: World, _scene: Scene) -> None:
        changed = await world.sources.database[collection].update_many(query or {}, {"$set": change})
        assert changed.modified_count

    return run


async def lose_a_file(world: World, scene: Scene) -> None:
    await world.sources.blobs.delete_media([scene.post.images[0].renditions[3].key])


async def lose_the_post(world: World, scene: Scene) -> None:
    await world.sources.database["posts"].delete_one({"_id": scene.post.id})


def lose(collection: str) -> Break:
    async def run(world: World, _scene: Scene) -> None:
        await world.sources.database[collection].delete_many({})

    return run


BREAKS: dict[str, tuple[Break, set[str]]] = {
    "a post's likes": (counter("posts", "like_count"), {"post.like_count", "topic_post.wrong"}),
    "a post's comments": (counter("posts", "comment_count"), {"post.comment_count", "topic_post.wrong"}),
    "a comment's likes": (counter("comments", "like_count"), {"comment.like_count"}),
    "a comment's replies": (counter("comments", "reply_count"), {"comment.reply_count"}),
    "a user's posts": (counter("users", "post_count"), {"user.post_count"}),
    "a user's followers": (counter("users", "follower_count"), {"user.follower_count", "user.search"}),
    "a user's following": (counter("users", "following_count"), {"user.following_count"}),
    "a hashtag's posts": (update("topics", {"post_count": 9}), {"topic.post_count", "topic.search"}),
    "by what a post is found": (update("caption_terms", {"terms": ["x"]}), {"post.caption_terms"}),
    "by what a hashtag is found": (update("topics", {"search.n0": "x"}), {"topic.search"}),
    "a hashtag": (lose("topics"), {"topic_post.wrong"}),
    "what a hashtag lists": (lose("topic_posts"), {"post.listed", "topic.post_count"}),
    "where a post stands": (update("topic_posts", {"score": 1}), {"topic_post.wrong"}),
    "previews": (update("posts", {"preview_comment_ids": []}), {"post.preview_comment_ids"}),
    "a like without its pending tasks": (
        update("post_likes", {"liked": False}),
        {"post.like_count", "post_like.taken_back", "post_like.notified"},
    ),
    "a comment without its pending tasks": (
        update("comments", {"deleted": True}, {"parent_id": {"$ne": None}}),
        {"post.comment_count", "comment.reply_count", "notification.withdrawn", "comment.deleted"},
    ),
    "actors": (update("notifications", {"actor_count": 9}, {"kind": "POST_LIKED"}), {"notification.actor_count"}),
    "numbers given out": (update("inboxes", {"last_seq": 0}), {"inbox.last_seq"}),
    "numbers given twice": (update("notifications", {"seq": 1}), {"inbox.seqs"}),
    "a file": (lose_a_file, {"post.images"}),
    "a post": (
        lose_the_post,
        {
            "user.post_count",
            "notification.withdrawn",
            "feed_entry",
            "post_like.target_id",
            "comment.post_id",
            "topic_post.wrong",
            "caption_terms.post_id",
        },
    ),
    "a mention": (
        update("notifications", {"kind": "MENTIONED"}, {"kind": "POST_READY"}),
        {"notification.withdrawn"},
    ),
    "a follow": (
        lose("follows"),
        {"user.follower_count", "user.following_count", "notification.withdrawn", "feed_entry", "follower"},
    ),
    "the claims of accounts": (lose("claims"), {"user.unclaimed"}),
    "by what accounts are found": (update("users", {"search.n0": "x", "search.popularity": 9}), {"user.search"}),
    "a list of followers": (lose("followers"), {"follow.unlisted"}),
}
