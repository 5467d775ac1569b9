"""An account that went public accepts the follow requests it has."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools

CHUNK = 500


async def accept_requests(tools: Tools, key: str) -> None:
    """Lets in who asked an account that went public; whoever is in already stays so."""
    while await tools.sources.follows.accept_requests(ObjectId(key), now=clock.now(), limit=CHUNK):
        pass
