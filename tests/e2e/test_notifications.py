"""notifications, markNotificationsSeen, markNotificationsRead, notificationAdded."""

import pytest

from tests.e2e.conftest import Register
from tests.support.client import Api, Person
from tests.support.waiting import eventually

LIST = """query ($first: Int, $after: String, $kinds: [NotificationKind!], $unreadOnly: Boolean) {
  notifications(first: $first, after: $after, kinds: $kinds, unreadOnly: $unreadOnly) {
    edges { node { __typename id seq kind actorCount isSeen isRead actors { username }
      ... on FollowNotification { viewerFollowState } } }
    pageInfo { hasNextPage endCursor }
  }
  viewer { unreadNotificationCount }
}"""
ADDED = """subscription ($after: Int) {
  notificationAdded(after: $after) { seq notification { kind } gap { oldestSeq newestSeq } }
}"""


async def notifications_of(person: Person, count: int, **arguments: object) -> list[dict[str, object]]:
    """Somebody's notifications, once there are so many."""

    async def are_there() -> bool:
        return len((await person.get(LIST, **arguments))["notifications"]["edges"]) == count

    await eventually(are_there)
    return [edge["node"] for edge in (await person.get(LIST, **arguments))["notifications"]["edges"]]


async def test_a_follow_is_a_follow_notification(register: Register) -> None:
    ana, bob = await register(), await register()
    await bob.done("followUser", userId=ana.id)
    (notice,) = await notifications_of(ana, 1)
    assert notice == {
        "__typename": "FollowNotification",
        "id": notice["id"],
        "seq": 1,
        "kind": "FOLLOWED",
        "actorCount": 1,
        "isSeen": False,
        "isRead": False,
        "actors": [{"username": bob.username}],
        "viewerFollowState": "NONE",
    }


async def test_seen_and_read_are_marked_apart(register: Register) -> None:
    ana = await register()
    for _ in range(3):
        await (await register()).done("followUser", userId=ana.id)
    notices = await notifications_of(ana, 3)
    count = "viewer { unreadNotificationCount }"
    assert (await ana.done("markNotificationsSeen", count, upToSeq=2))["viewer"]["unreadNotificationCount"] == 1
    marked = await ana.done("markNotificationsRead", count, notificationIds=[notices[0]["id"]])
    assert marked["viewer"]["unreadNotificationCount"] == 0
    assert [notification["seq"] for notification in await notifications_of(ana, 2, unreadOnly=True)] == [2, 1]
    await ana.done("markNotificationsRead", upToSeq=3)
    assert await notifications_of(ana, 0, unreadOnly=True) == []
    wrong = await ana.refused("markNotificationsRead", notificationIds=["nonsense"])
    assert wrong == ("NOT_FOUND", ["notificationIds"])


async def test_the_list_pages_and_filters(register: Register) -> None:
    ana = await register()
    for _ in range(2):
        await (await register()).done("followUser", userId=ana.id)
    await notifications_of(ana, 2)
    first = (await ana.get(LIST, first=1))["notifications"]
    assert ([edge["node"]["seq"] for edge in first["edges"]], first["pageInfo"]["hasNextPage"]) == ([2], True)
    rest = (await ana.get(LIST, first=1, after=first["pageInfo"]["endCursor"]))["notifications"]
    assert ([edge["node"]["seq"] for edge in rest["edges"]], rest["pageInfo"]["hasNextPage"]) == ([1], False)
    assert await notifications_of(ana, 0, kinds=["POST_LIKED"]) == []


async def test_a_subscription_drains_the_log_and_goes_live_without_gap_or_repeat(register: Register) -> None:
    ana, fans = await register(), [await register() for _ in range(4)]
    for fan in fans[:2]:
        await fan.done("followUser", userId=ana.id)
    await notifications_of(ana, 2)
    async with ana.socket() as socket:
        await socket.subscribe(ADDED, after=1)
        assert (await socket.next())["notificationAdded"]["seq"] == 2
        for fan, seq in zip(fans[2:], (3, 4), strict=True):
            await fan.done("followUser", userId=ana.id)
            assert (await socket.next())["notificationAdded"] == {
                "seq": seq,
                "notification": {"kind": "FOLLOWED"},
                "gap": None,
            }
        await fans[0].done("unfollowUser", userId=ana.id)
        assert (await socket.next())["notificationAdded"] == {"seq": 5, "notification": None, "gap": None}


async def test_a_number_from_the_future_is_reported_as_a_gap(register: Register) -> None:
    ana = await register()
    async with ana.socket() as socket:
        await socket.subscribe(ADDED, after=99)
        event = (await socket.next())["notificationAdded"]
        assert event == {"seq": 0, "notification": None, "gap": {"oldestSeq": 0, "newestSeq": 0}}


async def test_everybody_hears_their_own_alone(register: Register) -> None:
    ana, eve, bob = await register(), await register(), await register()
    async with eve.socket() as overhearing, ana.socket() as socket:
        await overhearing.subscribe(ADDED, after=0)
        await socket.subscribe(ADDED, after=0)
        await bob.done("followUser", userId=ana.id)
        assert (await socket.next())["notificationAdded"]["seq"] == 1
        await bob.done("followUser", userId=eve.id)
        assert (await overhearing.next())["notificationAdded"]["seq"] == 1


@pytest.mark.parametrize(
    "document",
    [
        "{ notifications { edges { cursor } } }",
        "mutation { markNotificationsSeen(input: {upToSeq: 1}) { userErrors { code } } }",
        "mutation { markNotificationsRead(input: {upToSeq: 1}) { userErrors { code } } }",
    ],
)
async def test_without_a_viewer_there_is_no_inbox(nobody: Api, document: str) -> None:
    assert (await nobody.ask(document)).codes == ["UNAUTHENTICATED"]
