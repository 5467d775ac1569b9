"""All places where an account's id may stand: its deletion empties them, and its final check looks through them.

An index finds every place. Not listed are: `claims` of what is unique among accounts, which are freed by the
deletion itself; who follows in `followers`, which is gone before the
follow is; an author among other users' interests, which are computed again from acts
that are gone, and which `gc` looks through; an account among others' suggestions, which expire within hours
(`domain/suggestions.py`); entries and fan-outs of its posts, which are removed with posts and
follows; `failures`, which are deleted at the very end; and `webhook_messages`, which name it by its global id: others
are yet to be told, of the deletion too. Each is sent or dead within some three days, and a TTL index deletes dead ones
after thirty (`datasources/events/webhook_messages.py`). Other
accounts' exports may name it until they expire. The stream of Redis keeps events for `events_stream_days`.
`barred_identifiers` has no ids.
In the moderators' log a pseudonym takes the account's place (`datasources/moderation/pseudonyms.py`); the ids of its
posts and comments stay there.
"""

from collections.abc import Callable, Mapping, Sequence

from bson import ObjectId

from datasources.jobs.claimed_keys import claims_by_author
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.queries import within
from domain.records.notifications import follow_group_keys

Query = Callable[[Sequence[ObjectId]], Document]
_PENDING: Document = {"outbox": {"$exists": True}}
_KEYED: Document = {"idempotency_key": {"$exists": True}}


def _by(field: str, **where: object) -> Query:
    return lambda ids: {field: {"$in": list(ids)}, **where}


def _within(*names: str) -> Query:
    return lambda ids: {"$or": [{"_id": within(id_, *names)} for id_ in ids]}


def _by_key(ids: Sequence[ObjectId]) -> Document:
    return {"$or": [claims_by_author(id_) for id_ in ids]}


def _by_follow_group(ids: Sequence[ObjectId]) -> Document:
    return {"group_key": {"$in": [key for id_ in ids for key in follow_group_keys(id_)]}}


# By collection: queries, one for each index that finds a part of the references.
ACCOUNT_REFERENCES: Mapping[str, Sequence[Query]] = {
    "sessions": [_by("user_id")],
    "factors": [_by("_id")],
    "exports": [_by("_id")],
    "identity_links": [_by("user_id")],
    "claims": [_by_key],
    "post_likes": [_by("user_id", liked=True), _by("user_id", liked=False)],
    "comment_likes": [_by("user_id", liked=True), _by("user_id", liked=False)],
    "saves": [_by("saver_id")],
    "savers": [_by("_id")],
    "tagged_posts": [_within("u", "p")],
    "collections": [_by("owner_id")],
    "collection_posts": [_by("owner_id")],
    "comments": [
        _by("author_id", deleted=False),
        _by("author_id", **_PENDING),
        _by("author_id", **_KEYED),
        _by("mention_ids"),
    ],
    "posts": [
        _by("author_id"),
        _by("mention_ids"),
        _by("listed_tags"),
        _by("images.tagged_users.user_id"),
        _by("image_inputs.tagged_users.user_id"),
    ],
    "caption_terms": [_by("author_id")],
    "uploads": [_by("owner_id")],
    "follows": [_by("follower_id"), _by("followee_id")],
    "followed_hashtags": [_by("_id")],
    "suggestions": [_by("_id")],
    "dismissed_suggestions": [_by("_id"), _by("user_ids")],
    "followers": [_within("u", "f")],
    "blocks": [_by("blocker_id"), _by("blocked_id")],
    "mutes": [_by("muter_id"), _by("muted_id")],
    "notifications": [_by("recipient_id"), _by_follow_group],
    "inboxes": [_by("_id")],
    "mails": [_by("user_id")],
    "mail_tokens": [_by("user_id")],
    "feeds": [_by("_id")],
    "feed_entries": [_within("o", "p")],
    "interests": [_by("_id")],
    "profile_visits": [_within("v", "d", "o"), _by("_id.o")],
    "rankings": [_within("o", "n")],
    "discovery_holds": [_by("_id")],
    "reports": [_by("reporter_id"), _by("subject_id")],
    "strangers_reports": [_by("subject_id")],
    "cases": [_by("subject_id"), _by("claimed_by")],
    "decisions": [_by("subject_id"), _by("moderator_id")],
}


async def find_references(
    database: Database, user_ids: Sequence[ObjectId], session: Session | None = None
) -> Mapping[ObjectId, list[str]]:
    """The collections that refer to these accounts, by account; an account without references is left out.

    One indexed read for each query about all accounts together; where it finds something, one for each account too.
    """
    references: dict[ObjectId, list[str]] = {}
    for name, queries in ACCOUNT_REFERENCES.items():
        for query in queries:
            for user_id in await _referenced(database, name, query, user_ids, session):
                if name not in references.setdefault(user_id, []):
                    references[user_id].append(name)
    return references


async def _referenced(
    database: Database, name: str, query: Query, user_ids: Sequence[ObjectId], session: Session | None
) -> list[ObjectId]:
    if not user_ids or await database[name].find_one(query(user_ids), {"_id": 1}, session=session) is None:
        return []
    if len(user_ids) == 1:
        return list(user_ids)
    return [user_id for user_id in user_ids if await _referenced(database, name, query, [user_id], session)]
