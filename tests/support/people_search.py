"""Asking for people as clients do, for tests."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from datasources.accounts.search_terms import search_fields
from datasources.mongo.client import Document
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.maintenance import find_faults

SEARCH = """query ($text: String!, $first: Int, $after: String) { search(query: $text, first: $first, after: $after) {
    edges { cursor node { ... on User { username } } } pageInfo { hasNextPage endCursor } } }"""
SUGGEST = "query ($text: String!, $first: Int) { suggestHandles(prefix: $text, first: $first) { username } }"
HIDE = "mutation ($to: Boolean!) { updatePreferences(input: {isInSearch: $to}) { userErrors { code } } }"


async def named(world: World, handle: str, name: str = "Somebody", *, followers: int = 0) -> UserRecord:
    return await world.sources.users.register(
        handle, f"{handle}@example.com", "hash", name, now(), email_verified_at=now(), follower_count=followers
    )


async def check(world: World) -> None:
    """Nothing is pending or wrong, but for the numbers of followers that these tests make up."""
    await world.drain()
    assert [finding for finding in await find_faults(world) if finding.kind != "user.follower_count"] == []


async def page(world: World, text: str, viewer: UserRecord | None = None, **more: Any) -> Any:
    result = await world.execute(SEARCH, viewer, text=text, **more)
    assert result.errors is None, result.errors
    assert result.data is not None
    return result.data["search"]


async def found(world: World, text: str, viewer: UserRecord | None = None, *, first: int = 20) -> list[str]:
    """The handles on the first page."""
    return [edge["node"]["username"] for edge in (await page(world, text, viewer, first=first))["edges"]]


async def found_in_pages(world: World, text: str, viewer: UserRecord | None, first: int) -> list[str]:
    """The handles on all pages."""
    handles, after = list[str](), None
    for _ in range(200):
        got = await page(world, text, viewer, first=first, after=after)
        handles += [edge["node"]["username"] for edge in got["edges"]]
        assert got["pageInfo"]["hasNextPage"] in (True, False)
        if not got["pageInfo"]["hasNextPage"]:
            return handles
        assert got["edges"]
        after = got["pageInfo"]["endCursor"]
    raise AssertionError("it has no end")


async def suggested(world: World, text: str, viewer: UserRecord, first: int | None = None) -> list[str]:
    result = await world.execute(SUGGEST, viewer, text=text, first=first)
    assert result.errors is None, result.errors
    assert result.data is not None
    return [user["username"] for user in result.data["suggestHandles"]]


async def populate(world: World, count: int) -> None:
    """Accounts of twelve popularities with handles from `mar00000` on."""
    rows = list[Document]()
    for number in range(count):
        row: Document = {"_id": ObjectId(), "username": f"mar{number:05}", "display_name": f"Somebody {number % 7}"}
        row |= {"state": "ACTIVE", "follower_count": 2 ** (number % 12), "created_at": datetime.now(UTC)}
        rows.append(row | {"search": search_fields(row)})
    await world.sources.database["users"].insert_many(rows)


async def explained(world: World, command: Document) -> tuple[dict[str, Any], str]:
    """What a command read, and the plan by which it did."""
    answer = await world.sources.database.command("explain", command, verbosity="executionStats")
    stages = answer.get("stages")
    inner = stages[0]["$cursor"] if stages else answer
    return inner["executionStats"], str(inner["queryPlanner"]["winningPlan"])
