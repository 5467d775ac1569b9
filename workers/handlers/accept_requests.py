"""An account that went public accepts the follow requests it has."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools

CHUNK = 500  # requests accepted in one step


async def accept_requests(tools: Tools, key: str) -> None:
    """Accepts all requests to follow an account that is public now. Safe to run twice: who follows already stays so."""
    while await tools.sources.follows.accept_requests(ObjectId(key), now=clock.now(), limit=CHUNK):
        pass
