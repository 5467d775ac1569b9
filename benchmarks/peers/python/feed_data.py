"""The store in memory that every Python peer reads, as documents: what a database driver hands out."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]

FOLDER = Path(__file__).parent.parent
SDL = (FOLDER / "schema.graphql").read_text()
QUERY = (FOLDER / "feed.graphql").read_text()
VARIABLES: dict[str, Any] = {"first": 20, "after": None}

_stored = json.loads(Path(os.environ["PEERS_DATA"]).read_text())
POSTS: list[Row] = _stored["posts"]
USERS: dict[str, Row] = {user["id"]: user for user in _stored["users"]}


class Slice(NamedTuple):
    """Consecutive posts: the number of the first, and whether there are more."""

    start: int
    posts: Sequence[Any]
    has_next_page: bool

    @property
    def end_cursor(self) -> str:
        return str(self.start + len(self.posts) - 1)


def posts_after(posts: Sequence[Any], first: int, after: str | None) -> Slice:
    """The `first` posts after a cursor."""
    start = int(after) + 1 if after else 0
    return Slice(start, posts[start : start + first], start + first < len(posts))


def page_of_documents(first: int, after: str | None) -> Row:
    """A page of stored documents as a resolver returns it; authors are still ids."""
    found = posts_after(POSTS, first, after)
    return {
        "edges": [{"cursor": str(found.start + index), "node": post} for index, post in enumerate(found.posts)],
        "pageInfo": {"endCursor": found.end_cursor, "hasNextPage": found.has_next_page},
    }


async def load_users(ids: Sequence[str]) -> list[Row]:
    """The documents of these users, in the order of their ids."""
    return [USERS[id_] for id_ in ids]
