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
    """The interests that differ from what the very acts say that they were computed from; some ten reads each.

    Those of a viewer who has acted since are old and not wrong: their next reading computes them again.
    """
    findings = []
    for viewer_id in viewer_ids:
        found = await sources.interests.find(viewer_id)
        if found is None:
            continue
        expected = interests_from(viewer_id, await sources.interests.acts_of(viewer_id), found.made_at)
        if expected.acts == found.acts and expected.authors != found.authors:
            values = {"expected": _as_texts(expected), "found": _as_texts(found)}
            why = "they are not what the viewer's acts say"
            findings.append(Finding(kind=WRONG, id=str(viewer_id), why=why, **values))
    return findings


async def _recompute(sources: Sources, viewer_id: ObjectId) -> None:
    await sources.interests.compute(viewer_id, clock.now())


def _as_texts(interests: InterestsRecord) -> list[str]:
    return [f"{author.author_id} {author.strength:.6f}" for author in interests.authors]


INTERESTS = Check(
    collection="interests",
    find=_find_wrong,
    repairs={WRONG: by_id(_recompute)},
    limit=VIEWERS,
)
