"""Everywhere that an account's id may stand: what its deletion takes away, and what is looked for when it is done.

Every place is found by an index. Not here are an author among other people's interests, which are made anew from acts
that are gone, and which `gc` looks through; entries and fan-outs of its posts, which go with posts and follows; and
failures, which are forgotten at the very end.
"""

from collections.abc import Callable, Mapping, Sequence

from bson import ObjectId

from datasources.mongo.client import Database, Document, Session
from datasources.mongo.queries import within
from datasources.notifications.notifications import follow_group_keys

Query = Callable[[Sequence[ObjectId]], Document]
_PENDING: Document = {"outbox": {"$exists": True}}
_KEYED: Document = {"idempotency_key": {"$exists": True}}


def _by(field: str, **where: object) -> Query:
    return lambda ids: {field: {"$in": list(ids)}, **where}


def _within(*names: str) -> Query:
    return lambda ids: {"$or": [{"_id": within(one, *names)} for one in ids]}


def _told(ids: Sequence[ObjectId]) -> Document:
    return {"group_key": {"$in": [key for one in ids for key in follow_group_keys(one)]}}


# By collection, each with a query for each index that finds a part of it.
ACCOUNT_REFERENCES: Mapping[str, Sequence[Query]] = {
    "sessions": [_by("user_id")],
    "post_likes": [_by("user_id", liked=True), _by("user_id", liked=False)],
    "comment_likes": [_by("user_id", liked=True), _by("user_id", liked=False)],
    "comments": [
        _by("author_id", deleted=False),
        _by("author_id", **_PENDING),
        _by("author_id", **_KEYED),
        _by("mention_ids"),
    ],
    "posts": [
        _by("author_id"),
        _by("mention_ids"),
        _by("images.tagged_users.user_id"),
        _by("image_inputs.tagged_users.user_id"),
    ],
    "uploads": [_by("owner_id")],
    "follows": [_by("follower_id"), _by("followee_id")],
    "blocks": [_by("blocker_id"), _by("blocked_id")],
    "mutes": [_by("muter_id"), _by("muted_id")],
    "notifications": [_by("recipient_id"), _told],
    "inboxes": [_by("_id")],
    "feeds": [_by("_id")],
    "feed_entries": [_within("o", "p")],
    "interests": [_by("_id")],
    "profile_visits": [_within("v", "d", "o"), _by("_id.o")],
    "rankings": [_within("o", "n")],
}


async def find_references(
    database: Database, user_ids: Sequence[ObjectId], session: Session | None = None
) -> Mapping[ObjectId, list[str]]:
    """The collections in which something names any of these accounts; one indexed read for each place, of all at once.

    Where there is something, one for each account too.
    """
    left: dict[ObjectId, list[str]] = {}
    for name, queries in ACCOUNT_REFERENCES.items():
        for query in queries:
            for user_id in await _named(database, name, query, user_ids, session):
                if name not in left.setdefault(user_id, []):
                    left[user_id].append(name)
    return left


async def _named(
    database: Database, name: str, query: Query, user_ids: Sequence[ObjectId], session: Session | None
) -> list[ObjectId]:
    if not user_ids or await database[name].find_one(query(user_ids), {"_id": 1}, session=session) is None:
        return []
    if len(user_ids) == 1:
        return list(user_ids)
    return [one for one in user_ids if await _named(database, name, query, [one], session)]
