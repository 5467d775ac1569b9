"""Viewers' interests, for the ranked feed, are computed from what they did."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools


async def compute_interests(tools: Tools, key: str) -> None:
    """Computes a viewer's interests anew. Safe to run twice: it overwrites them with what the facts say by then."""
    await tools.sources.interests.compute(ObjectId(key), clock.now())
