"""A block ends following both ways between two people."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools


async def remove_follows(tools: Tools, key: str) -> None:
    """Ends the follows of two people by each other, after one blocked the other. Safe to run twice."""
    await tools.sources.blocks.remove_follows(ObjectId(key), clock.now())
