"""Likes of posts and comments."""

from bson import ObjectId

from domain.records.record import Record


class LikeRecord(Record, frozen=True, kw_only=True):
    """One user's like of one post or comment; `counted` tells whether the target's count already has it."""

    target_id: ObjectId
    user_id: ObjectId
    liked: bool
    counted: bool = False
