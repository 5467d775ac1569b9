"""Interests against the acts that they were weighed from."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.feed.interests import InterestsRecord, interests_from
from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.sources import Sources
from workers.maintenance.checks.check import Finding

INTERESTS = "interests"


async def wrong_interests(sources: Sources, viewer_ids: Sequence[Any], _session: Session) -> list[Finding]:
    """The interests among these that are not what the very acts they were weighed from say; some ten reads each.

    Those of a viewer who has acted since are old and not wrong: they are weighed again when they are read.
    """
    findings = []
    for viewer_id in viewer_ids:
        there = await sources.interests.find(viewer_id)
        if there is None:
            continue
        due = interests_from(viewer_id, await sources.interests.acts_of(viewer_id), there.made_at)
        if due.acts == there.acts and due.authors != there.authors:
            why = "they are not what the viewer's acts weigh"
            findings.append(
                Finding(kind=INTERESTS, id=str(viewer_id), expected=_listed(due), found=_listed(there), why=why)
            )
    return findings


async def recompute_interests(sources: Sources, viewer_id: ObjectId) -> None:
    """Weighs a viewer's interests anew. Safe to repeat and beside workers."""
    await sources.interests.compute(viewer_id, clock.now())


def _listed(interests: InterestsRecord) -> list[str]:
    return [f"{one.author_id} {one.strength:.6f}" for one in interests.authors]
