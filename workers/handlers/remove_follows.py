"""A block ends following both ways between two people."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools


async def remove_follows(tools: Tools, key: str) -> None:
    """Ends following both ways between two people of whom one blocked the other; ending it twice is ending it once."""
    await tools.sources.blocks.remove_follows(ObjectId(key), clock.now())
