"""Reading home feeds as a client does, page by page."""

from domain.records.users import UserRecord
from tests.support.factories import World

FEED = """query ($first: Int, $after: String, $last: Int, $before: String) {
  feed(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { caption } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


async def walk_feed(world: World, owner: UserRecord, size: int, *, backward: bool) -> list[str]:
    """Reads a whole feed page by page. Returns the captions, in the order of the feed."""
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(200):
        arguments = {"last": size, "before": cursor} if backward else {"first": size, "after": cursor}
        result = await world.execute(FEED, owner, **arguments)
        assert result.errors is None
        assert result.data is not None
        feed = result.data["feed"]
        captions, info = [edge["node"]["caption"] for edge in feed["edges"]], feed["pageInfo"]
        assert len(captions) <= size
        seen = captions + seen if backward else seen + captions
        if not info["hasPreviousPage" if backward else "hasNextPage"]:
            return seen
        cursor = info["startCursor" if backward else "endCursor"]
        assert cursor is not None
    raise AssertionError("the walk does not end")
