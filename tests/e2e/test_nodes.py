"""node, nodes, user, post: anything by its id; hidden and missing look the same."""

import pytest
from bson import ObjectId

from domain.ids import to_global_id
from tests.e2e.conftest import Register
from tests.support.client import Api, Person, small_jpeg

TYPED = "query ($id: ID!) { node(id: $id) { __typename id } }"
MISSING = "65f0c0ffee65f0c0ffee0123"


def global_id(type_name: str) -> str:
    """The id of an object that is not there."""
    return to_global_id(type_name, ObjectId(MISSING))


async def test_everything_with_an_id_is_found_by_it(people: list[Person]) -> None:
    ana, bob, _ = people
    post_id = await ana.ready_post()
    made = await bob.done("addComment", "commentEdge { node { id } }", postId=post_id, text="hi")
    shown = await ana.get(
        "query ($id: ID!) { post(id: $id) { images { id } } viewer { id sessions { id } } }", id=post_id
    )
    ids = {
        "User": ana.id,
        "Post": post_id,
        "Comment": made["commentEdge"]["node"]["id"],
        "Image": shown["post"]["images"][0]["id"],
        "Session": shown["viewer"]["sessions"][0]["id"],
        "Viewer": shown["viewer"]["id"],
    }
    for type_name, object_id in ids.items():
        assert (await ana.get(TYPED, id=object_id))["node"] == {"__typename": type_name, "id": object_id}
    many = await ana.get("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[*ids.values(), global_id("Post")])
    assert [node and node["id"] for node in many["nodes"]] == [*ids.values(), None]
    for own in ("Session", "Viewer"):
        assert (await bob.get(TYPED, id=ids[own]))["node"] is None


async def test_the_viewer_is_refetched_by_id_with_changes(register: Register, nobody: Api) -> None:
    ana = await register()  # whom nothing of other tests notifies meanwhile
    refetch = "query ($id: ID!) { node(id: $id) { ... on Viewer { id unreadNotificationCount user { id } } } }"
    viewer = (await ana.get("{ viewer { id unreadNotificationCount user { id } } }"))["viewer"]
    assert (await ana.get(refetch, id=viewer["id"]))["node"] == viewer
    assert viewer["user"]["id"] == ana.id != viewer["id"]
    assert (await nobody.get(refetch, id=viewer["id"]))["node"] is None
    payload = await ana.done("markNotificationsSeen", "viewer { __typename id }", upToSeq=0)
    assert payload["viewer"] == {"__typename": "Viewer", "id": viewer["id"]}


async def test_one_query_asks_for_the_progress_of_a_post_or_an_upload(people: list[Person]) -> None:
    both = "query ($id: ID!) { node(id: $id) { ... on Post { status } ... on MediaUpload { uploadStatus } } }"
    post_id = await people[0].ready_post()
    assert (await people[0].get(both, id=post_id))["node"] == {"status": "READY"}
    upload_id = (await people[0].announce(small_jpeg()))["upload"]["id"]
    assert (await people[0].get(both, id=upload_id))["node"] == {"uploadStatus": "AWAITING_BYTES"}


@pytest.mark.parametrize(
    "type_name", ["User", "Post", "Comment", "Image", "MediaUpload", "Session", "Viewer", "PostNotification"]
)
async def test_a_missing_node_is_null(people: list[Person], nobody: Api, type_name: str) -> None:
    for client in (people[0], nobody):
        assert (await client.get(TYPED, id=global_id(type_name)))["node"] is None


@pytest.mark.parametrize("wrong", ["", "nonsense", "VXNlcjox", "ü"])
async def test_an_invalid_id_is_bad_input(nobody: Api, wrong: str) -> None:
    answer = await nobody.ask(TYPED, id=wrong)
    assert (answer.data, answer.codes) == ({"node": None}, ["BAD_USER_INPUT"])


async def test_malformed_id_among_others_is_null_in_its_place(people: list[Person], nobody: Api) -> None:
    ids = [people[0].id, "", "nonsense", people[1].id, "VXNlcjox", "ü", global_id("User")]
    nodes = (await nobody.get("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids))["nodes"]
    assert [node and node["id"] for node in nodes] == [people[0].id, None, None, people[1].id, None, None, None]


async def test_too_many_ids_at_once_are_bad_input(nobody: Api) -> None:
    answer = await nobody.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[global_id("User")] * 51)
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_a_person_is_found_by_handle_in_any_case(people: list[Person], nobody: Api) -> None:
    by_name = "query ($name: String!) { user(username: $name) { id } }"
    assert (await nobody.get(by_name, name=people[0].username.upper()))["user"] == {"id": people[0].id}
    assert (await nobody.get(by_name, name="nobody_at_all"))["user"] is None
