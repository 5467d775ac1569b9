"""Every index: rules such as uniqueness rest on them."""

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel

from domain.interests import VISITS_KEPT
from domain.jobs import Fact
from domain.search_keys import KEYS_MAX

UP, DOWN = ASCENDING, DESCENDING


def _unique(*fields: str) -> IndexModel:
    return IndexModel([(field, UP) for field in fields], unique=True)


def _unique_where_present(*fields: str) -> IndexModel:
    where = {fields[-1]: {"$exists": True}}
    return IndexModel([(field, UP) for field in fields], unique=True, partialFilterExpression=where)


def _listed_by(*fields: str) -> IndexModel:
    return IndexModel([*((field, UP) for field in fields), ("_id", DOWN)])


def _pending_by(field: str) -> IndexModel:
    return IndexModel([(field, UP), ("outbox", UP)], partialFilterExpression={"outbox": {"$exists": True}})


def _naming(field: str) -> IndexModel:
    """For finding documents by the people in one of their lists; documents that name nobody are not in the index."""
    return IndexModel([(field, UP)], partialFilterExpression={field: {"$gte": ObjectId(b"\0" * 12)}})


TOP_COMMENTS = [("post_id", UP), ("parent_id", UP), ("deleted", UP), ("like_count", DOWN), ("_id", DOWN)]
SHOWN_POSTS = [("author_id", UP), ("status", UP), ("deleted", UP), ("_id", DOWN)]
SAVES_OF_SAVER = [("saver_id", UP), ("_id", DOWN)]
POSITIONS = [("owner_id", UP), ("collection_id", UP), ("position", UP)]
UNSEEN = "unseen_by_seq"
TOPIC_POSTS = [("topic_id", UP), ("post_id", UP)]
LIKES_OF_TARGET = [("target_id", UP), ("liked", UP), ("_id", DOWN)]
OPEN_CAPTIONS = [("is_open", UP), ("terms", UP), ("_id", DOWN)]
OWN_CAPTIONS = [("author_id", UP), *OPEN_CAPTIONS]
LIVE_FEEDS = [("_id", UP), ("live", UP)]
_SHOWN = {"deleted": False, "status": "READY"}
_EXPIRES = IndexModel([("expires_at", UP)], expireAfterSeconds=0)
DUE = IndexModel([("due_at", UP)], sparse=True)
PENDING = IndexModel([("outbox", UP)], sparse=True)
# Partial, so that a query for one user's like of one target is never planned by all the likes of that user.
BY_LIKER = IndexModel([("user_id", UP), ("_id", DOWN)], partialFilterExpression={"liked": True})
BY_COMMENTER = IndexModel([("author_id", UP), ("_id", DOWN)], partialFilterExpression={"deleted": False})
# Not unique: claims are. Its last field tells it from the unique index that the version before made.
_BY_KEY = IndexModel(
    [("author_id", UP), ("idempotency_key", UP), ("_id", UP)],
    partialFilterExpression={"idempotency_key": {"$exists": True}},
)
_TAKEN_BACK = IndexModel([("user_id", UP)], name="taken_back", partialFilterExpression={"liked": False})
_LIKES = [
    _unique("target_id", "user_id"),
    IndexModel(LIKES_OF_TARGET),
    _pending_by("target_id"),
    _EXPIRES,
    BY_LIKER,
    _TAKEN_BACK,
]


def _found_by(*fields: tuple[str, int]) -> IndexModel:
    """Of what a search may find. Naming its field in the filter keeps others from being planned by it."""
    return IndexModel(fields, partialFilterExpression={name: {"$exists": True} for name, _ in fields if "." in name})


def _found_by_keys(*first: tuple[str, int]) -> list[IndexModel]:
    """One for each key that `datasources/mongo/search_keys.py` finds by; `first` are the fields before."""
    keys = [f"search.n{number}" for number in range(KEYS_MAX)]
    return [_found_by(*first, ("search.popularity", DOWN), (key, UP), ("_id", UP)) for key in keys]


INDEXES: dict[str, list[IndexModel]] = {
    "users": [
        *_found_by_keys(),
        _found_by(("search.spellings", UP), ("search.popularity", DOWN)),
        IndexModel([("deletion_session_id", UP)], sparse=True),
        IndexModel([("deactivation_session_id", UP)], sparse=True),
        _EXPIRES,
    ],
    "claims": [_EXPIRES],
    "sessions": [_listed_by("user_id"), _EXPIRES],
    "factors": [],
    "identity_links": [IndexModel([("user_id", UP)])],
    "spent_challenges": [_EXPIRES],
    "barred_identifiers": [_EXPIRES],
    "follows": [
        _unique("follower_id", "followee_id"),
        _unique_where_present("follower_id", "slot"),
        IndexModel([("followee_id", UP), ("state", UP), ("_id", DOWN), ("follower_id", UP)]),  # fan-out reads it alone
        IndexModel([("follower_id", UP), ("state", UP), ("_id", DOWN), ("followee_id", UP)]),  # a pull reads it alone
        IndexModel([("follower_id", UP), ("pulled", UP)], partialFilterExpression={"pulled": True}),
        _pending_by("followee_id"),
        _pending_by("follower_id"),
    ],
    "followers": [],
    "blocks": [_unique("blocker_id", "blocked_id"), _listed_by("blocker_id"), _listed_by("blocked_id")],
    "mutes": [_unique("muter_id", "muted_id"), _listed_by("muter_id"), _listed_by("muted_id")],
    "uploads": [
        _listed_by("owner_id"),
        _unique_where_present("owner_id", "quota_month", "month_slot"),
        _unique_where_present("owner_id", "quota_day", "day_slot"),
        _unique_where_present("owner_id", "idempotency_key"),
    ],
    "posts": [
        _listed_by("author_id"),
        IndexModel(SHOWN_POSTS, partialFilterExpression=_SHOWN),
        _unique_where_present("author_id", "upload_ids"),
        _unique_where_present("author_id", "idempotency_key"),
        _EXPIRES,
        _pending_by("author_id"),
        _naming("mention_ids"),
        _naming("listed_tags"),
        _naming("images.tagged_users.user_id"),
        _naming("image_inputs.tagged_users.user_id"),
    ],
    "topics": [_EXPIRES, IndexModel([("point", "2dsphere")]), *_found_by_keys(("kind", UP))],
    "topic_posts": [
        IndexModel(TOPIC_POSTS, unique=True),
        IndexModel([("topic_id", UP), ("listed", UP), ("score", DOWN), ("post_id", DOWN)]),
        _pending_by("topic_id"),
    ],
    "caption_terms": [IndexModel(OPEN_CAPTIONS, partialFilterExpression={"is_open": True}), IndexModel(OWN_CAPTIONS)],
    "followed_hashtags": [],
    "suggestions": [_EXPIRES],
    "dismissed_suggestions": [_naming("user_ids")],
    "post_likes": _LIKES,
    "comment_likes": _LIKES,
    "saves": [_unique("saver_id", "post_id"), IndexModel(SAVES_OF_SAVER), IndexModel([("post_id", UP)])],
    "savers": [],
    "tagged_posts": [],
    "collections": [
        _listed_by("owner_id", "deleted"),
        _unique_where_present("owner_id", "idempotency_key"),
        _EXPIRES,
    ],
    "collection_posts": [
        _unique("owner_id", "post_id", "collection_id"),
        IndexModel(POSITIONS, unique=True),
        _listed_by("owner_id"),
    ],
    "comments": [
        _listed_by("post_id", "parent_id", "deleted"),
        IndexModel(TOP_COMMENTS),
        _listed_by("parent_id", "deleted"),
        _BY_KEY,
        _EXPIRES,
        _pending_by("post_id"),
        _pending_by("author_id"),
        BY_COMMENTER,
        _naming("mention_ids"),
    ],
    "feeds": [
        IndexModel(LIVE_FEEDS, partialFilterExpression={"live": True}),
        IndexModel([("refresh_at", UP)], sparse=True),
    ],
    "feed_entries": [],
    "fan_outs": [_listed_by("post_id", "version")],
    "interests": [_EXPIRES],
    "profile_visits": [
        IndexModel([("at", UP)], expireAfterSeconds=int(VISITS_KEPT.total_seconds())),
        IndexModel([("_id.o", UP)]),
    ],
    "rankings": [_EXPIRES],
    "explore_snapshots": [_EXPIRES],
    "discovery_holds": [],
    "notifications": [
        _unique("recipient_id", "group_key"),
        IndexModel([("recipient_id", UP), ("seq", DOWN)]),
        IndexModel([("recipient_id", UP), ("seq", DOWN)], name=UNSEEN, partialFilterExpression={"is_seen": False}),
        IndexModel([("post_id", UP), ("comment_id", UP)]),
        IndexModel([("group_key", UP)], partialFilterExpression={"group_key": {"$gte": "FOLLOW", "$lt": "FOLLOX"}}),
        _EXPIRES,
    ],
    "inboxes": [],
    "purges": [_pending_by("account")],
    "mails": [
        IndexModel([("user_id", UP)], sparse=True),
        IndexModel([("recipient", UP), ("kind", UP), ("sent_at", UP)], sparse=True),
        _EXPIRES,
    ],
    "registrations": [_listed_by("email_key"), _EXPIRES],
    "mail_tokens": [IndexModel([("user_id", UP)], sparse=True), _EXPIRES],
    "exports": [IndexModel([("kept_until", UP)], sparse=True)],
    "reports": [
        _unique_where_present("reporter_id", "target_id", "is_open"),
        _listed_by("reporter_id"),
        _listed_by("case_id"),
        _listed_by("subject_id"),
        _EXPIRES,
    ],
    "strangers_reports": [IndexModel([("subject_id", UP)]), _EXPIRES],
    "cases": [
        _unique_where_present("open_target_id"),
        _listed_by("status"),
        _listed_by("subject_id"),
        IndexModel([("claimed_by", UP)], sparse=True),
    ],
    "decisions": [
        _unique_where_present("appeal_of"),
        _unique_where_present("moderator_id", "idempotency_key"),
        _listed_by("subject_id"),
        _listed_by("target_id"),
        IndexModel([("moderator_id", UP)], sparse=True),
        IndexModel([("ends_at", UP)], sparse=True),
    ],
    "malformed": [IndexModel([("last_at", UP)], expireAfterSeconds=30 * 86400)],
    "webhook_endpoints": [],
    "webhook_messages": [
        IndexModel([("endpoint_id", UP), ("state", UP), ("next_at", UP)]),
        _pending_by("endpoint_id"),
        _EXPIRES,
    ],
    "leases": [],
    "failures": [IndexModel([("dead", UP), ("last_at", DOWN)])],
}
for _fact in Fact:
    INDEXES[_fact.collection] = [*INDEXES[_fact.collection], DUE, PENDING]
