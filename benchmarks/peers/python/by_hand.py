"""The floor: the answer built by hand from the stored documents, each field where the operation wants it."""

from collections.abc import Mapping
from typing import Any

import orjson

from benchmarks.peers.python import feed_data
from benchmarks.peers.python.feed_data import USERS, Row


async def execute(variables: Mapping[str, Any]) -> bytes:
    """The answer to the feed operation, as JSON."""
    found = feed_data.posts_after(feed_data.POSTS, variables["first"], variables["after"])
    edges = [{"cursor": str(found.start + index), "node": _card(post)} for index, post in enumerate(found.posts)]
    page_info = {"endCursor": found.end_cursor, "hasNextPage": found.has_next_page}
    return orjson.dumps({"data": {"feed": {"edges": edges, "pageInfo": page_info}}})


def _card(post: Row) -> Row:
    author = USERS[post["authorId"]]
    return {
        "id": post["id"],
        "caption": post["caption"],
        "createdAt": post["createdAt"],
        "likeCount": post["likeCount"],
        "commentCount": post["commentCount"],
        "viewerHasLiked": post["viewerHasLiked"],
        "author": {"id": author["id"], "username": author["username"], "avatarUrl": author["avatarUrl"]},
        "previewComments": [
            {"id": each["id"], "text": each["text"], "author": {"username": USERS[each["authorId"]]["username"]}}
            for each in post["previewComments"]
        ],
        "media": [{"url": each["url"], "width": each["width"], "height": each["height"]} for each in post["media"]],
    }
