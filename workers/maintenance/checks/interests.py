"""Interests against the acts that they were computed from."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.feed.interests import InterestsRecord, interests_from
from datasources.mongo import clock
from datasources.sources import Sources
from workers.maintenance.checks.check import Check, Finding, by_id

WRONG = "interests"
VIEWERS = 1_000  # random ones


async def _find_wrong(sources: Sources, viewer_ids: Sequence[Any]) -> list[Finding]:
    """The interests that differ from the acts that they were computed from; about ten reads for each viewer.

    If the viewer has acted since, they are old and not wrong: the next reading computes them again.
    """
    findings = []
    for viewer_id in viewer_ids:
        stored = await sources.interests.find(viewer_id)
        if stored is None:
            continue
        computed = interests_from(viewer_id, await sources.interests.acts_of(viewer_id), stored.made_at)
        if computed.acts == stored.acts and computed.authors != stored.authors:
            expected, found = _as_texts(computed), _as_texts(stored)
            why = "they are not what the viewer's acts say"
            findings.append(Finding(kind=WRONG, id=str(viewer_id), expected=expected, found=found, why=why))
    return findings


async def _recompute(sources: Sources, viewer_id: ObjectId) -> None:
    await sources.interests.compute(viewer_id, clock.now())


def _as_texts(interests: InterestsRecord) -> list[str]:
    return [f"{author.author_id} {author.strength:.6f}" for author in interests.authors]


INTERESTS = Check(collection="interests", find=_find_wrong, repairs={WRONG: by_id(_recompute)}, limit=VIEWERS)
