"""How a viewer stands to users whom the same operation finds: stages to join, and relations made of what they found."""

from collections.abc import Mapping, Sequence

from bson import ObjectId

from datasources.mongo.client import Document
from datasources.mongo.joined_reads import join
from domain.lenient_reading import known_value
from domain.records.follows import FollowState
from domain.visibility import ONESELF, Relation


def join_relations(people: str, viewer_id: ObjectId) -> list[Document]:
    """Stages that join the viewer's follows of the users whose ids are in the field `people`, and blocks either way."""
    return [
        join("follows", "follows", on=(people, "followee_id"), where={"follower_id": viewer_id}),
        join("blocks", "blocks", on=(people, "blocked_id"), where={"blocker_id": viewer_id}),
        join("blocks", "blocks_of_viewer", on=(people, "blocker_id"), where={"blocked_id": viewer_id}),
    ]


def joined_relation(joined: Mapping[str, Sequence[Document]], viewer_id: ObjectId, user_id: ObjectId) -> Relation:
    """What decides whether the viewer may see one of these users' content; the rest of the relation is left out."""
    if user_id == viewer_id:
        return ONESELF
    states = [row["state"] for row in joined["follows"] if row["followee_id"] == user_id]
    return Relation(
        follow_state=known_value(FollowState, states[0]) if states else FollowState.NONE,
        has_blocked=any(row["blocked_id"] == user_id for row in joined["blocks"]),
        is_blocked=any(row["blocker_id"] == user_id for row in joined["blocks_of_viewer"]),
    )
