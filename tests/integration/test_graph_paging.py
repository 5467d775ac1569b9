"""A page of a list of follows costs the same however long the list is, by MongoDB's explanation of its finds."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo import monitoring

from config import Settings
from domain.ids import to_global_id
from domain.limits import PAGE_SIZE_MAX
from domain.paging import MAX_REFILLS, PageRequest, encode_cursor
from domain.records.users import UserRecord
from tests.support.factories import World, items_of, opened
from tests.support.own_databases import own_database

MANY = 2_000
SIZE = 20
ASKED = ("find", "filter", "sort", "limit", "projection", "hint")
FOLLOWERS = """query ($id: ID!, $after: String) {
  node(id: $id) {
    ... on User {
      followers(first: 20, after: $after) { edges { node { id } } pageInfo { hasNextPage endCursor } }
    }
  }
}"""


class Finds(monitoring.CommandListener):
    """Records every find."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.seen.append({name: event.command[name] for name in ASKED if name in event.command})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Recorded when it started."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Recorded when it started."""


FINDS = Finds()


@pytest.fixture(scope="module")
async def popular(shared_settings: Settings) -> AsyncIterator[tuple[World, UserRecord, list[ObjectId]]]:
    """A user whose lists are all long, of ids without an account, and the ids of their followers' follows."""
    with own_database(shared_settings) as settings:
        async with opened(settings, [FINDS]) as world:
            ana = await world.user()
            lists: dict[str, list[dict[str, Any]]] = {
                "follows": [
                    *({"followee_id": ana.id, "follower_id": ObjectId(), "state": "FOLLOWING"} for _ in range(MANY)),
                    *({"followee_id": ana.id, "follower_id": ObjectId(), "state": "REQUESTED"} for _ in range(MANY)),
                    *({"follower_id": ana.id, "followee_id": ObjectId(), "state": "FOLLOWING"} for _ in range(MANY)),
                ],
                "blocks": [
                    *({"blocker_id": ana.id, "blocked_id": ObjectId()} for _ in range(MANY)),
                    *({"blocked_id": ana.id, "blocker_id": ObjectId()} for _ in range(MANY)),
                ],
                "mutes": [{"muter_id": ana.id, "muted_id": ObjectId()} for _ in range(MANY)],
            }
            for collection, rows in lists.items():
                await world.sources.database[collection].insert_many(rows)
            yield world, ana, [row["_id"] for row in lists["follows"][:MANY]]


async def explain(world: World, find: dict[str, Any]) -> dict[str, Any]:
    """How MongoDB runs a find."""
    plan: dict[str, Any] = await world.sources.database.command("explain", find, verbosity="executionStats")
    return plan


def stages(plan: Any) -> set[str]:
    """Every stage of a plan."""
    if isinstance(plan, list):
        return {stage for part in plan for stage in stages(part)}
    if not isinstance(plan, dict):
        return set()
    own = {plan["stage"]} if "stage" in plan else set()
    return own | {stage for part in plan.values() for stage in stages(part)}


@pytest.mark.parametrize("backward", [False, True], ids=["first", "last"])
@pytest.mark.parametrize(
    ("store", "name"),
    [
        ("follows", "followers"),
        ("follows", "following"),
        ("follows", "requests"),
        ("blocks", "blocked"),
        ("mutes", "muted"),
    ],
)
async def test_a_page_reads_only_its_own_rows_and_sorts_nothing(
    popular: tuple[World, UserRecord, list[ObjectId]], store: str, name: str, backward: bool
) -> None:
    world, ana, _ = popular
    read, request = getattr(getattr(world.sources, store), name), PageRequest(limit=SIZE, backward=backward)
    first = await read(ana.id, request)
    key = first.items[0][0] if backward else first.items[-1][0]
    cursor = encode_cursor(key)
    second = PageRequest.of(last=SIZE, before=cursor) if backward else PageRequest.of(first=SIZE, after=cursor)
    for step in (request, second):
        FINDS.seen.clear()
        assert len(items_of(await read(ana.id, step))) == SIZE
        (find,) = FINDS.seen
        plan = await explain(world, find)
        assert "SORT" not in stages(plan["queryPlanner"]["winningPlan"])
        assert plan["executionStats"]["totalDocsExamined"] <= SIZE + 1
        assert plan["executionStats"]["totalKeysExamined"] <= SIZE + 2


async def test_relations_to_a_few_users_cost_the_same_however_many_follow_or_block_the_viewer(
    popular: tuple[World, UserRecord, list[ObjectId]],
) -> None:
    world, ana, _ = popular
    FINDS.seen.clear()
    await world.sources.relations.by_pairs([(ana.id, ObjectId()) for _ in range(SIZE)])
    assert sorted(find["find"] for find in FINDS.seen) == ["blocks", "follows", "mutes"]
    for find in list(FINDS.seen):
        stats = (await explain(world, find))["executionStats"]
        assert stats["totalKeysExamined"] <= 5 * SIZE
        assert stats["totalDocsExamined"] <= 2 * SIZE


async def test_a_list_of_hidden_users_is_read_in_bounded_steps_down_to_the_visible_ones(
    popular: tuple[World, UserRecord, list[ObjectId]],
) -> None:
    world, ana, edges = popular
    visible = await world.users(SIZE)
    for edge, user in zip(edges, visible, strict=False):  # the first to follow: no later one has an account
        await world.sources.database["follows"].update_one({"_id": edge}, {"$set": {"follower_id": user.id}})
    ids: list[str] = []
    after, pages = None, 0
    while True:
        FINDS.seen.clear()
        result = await world.execute(FOLLOWERS, None, id=to_global_id("User", ana.id), after=after)
        assert result.data is not None
        page = result.data["node"]["followers"]
        ids += [edge["node"]["id"] for edge in page["edges"]]
        pages += 1
        read = [find for find in FINDS.seen if find["find"] == "follows"]
        assert len(read) <= MAX_REFILLS
        assert all(find["limit"] <= PAGE_SIZE_MAX + 1 for find in read)
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert ids == [to_global_id("User", user.id) for user in reversed(visible)]
    assert pages <= 2 + MANY // ((MAX_REFILLS - 1) * PAGE_SIZE_MAX)
