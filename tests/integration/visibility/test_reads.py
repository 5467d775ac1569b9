"""Everybody reads everything, through every field that leads to objects, and gets exactly what the rules say."""

from typing import Any

import pytest
from bson import ObjectId

from domain.ids import from_global_id, to_global_id
from tests.integration.visibility.cast import EVERYBODY, Cast
from tests.integration.visibility.expected_objects import COUNTS, EXPECTED
from tests.integration.visibility.rules import Rules
from tests.integration.visibility.scene import Gid, Name, Shown
from tests.integration.visibility.schema_fields import (
    NODE,
    TYPES,
    collect_shown,
    fields_that_count,
    fields_that_show_objects,
    ids_in,
    select_everything,
    select_leading_fields,
)
from tests.support.emptying import empty
from tests.support.factories import World

ROOT = ""  # stands for the object of root fields
BATCH = 50
NODES = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ {select_everything(NODE)} }} }}"
OWN = f"""{{
  viewer {{ id {select_leading_fields(TYPES["Viewer"])} }}
  feed(first: 50) {{ edges {{ node {{ id }} hashtag {{ id }} }} }}
  moderation {{ {select_leading_fields(TYPES["Moderation"])} }}
  notifications(first: 50) {{ edges {{ node {{ id }} }} }}
  suggestedUsers(first: 50) {{ edges {{ node {{ id }} }} }}
}}"""


@pytest.fixture(scope="module", params=[False, True], ids=["before workers run", "when nothing is pending"])
async def cast(request: pytest.FixtureRequest, world: World) -> Cast:
    """The cast, alone in the world, before the workers heard of blocks and deletions, and after."""
    return await Cast.create(await empty(world), applied=request.param)


async def read_everything(cast: Cast, viewer: Name | None) -> Shown:
    """The ids that a viewer is shown, by field and object. They are read once, because these tests change nothing."""
    if viewer in cast.shown:
        return cast.shown[viewer]
    shown_ids = cast.shown[viewer] = Shown()
    await _by_id(cast, viewer, shown_ids)
    await _by_name(cast, viewer, shown_ids)
    await _by_key(cast, viewer, shown_ids)
    if viewer is not None:
        await _own(cast, viewer, shown_ids)
    return shown_ids


async def _by_id(cast: Cast, viewer: Name | None, shown_ids: Shown) -> None:
    gids = cast.scene.all_ids
    for start in range(0, len(gids), BATCH):
        chunk = gids[start : start + BATCH]
        for gid, node in zip(chunk, (await ask(cast, viewer, NODES, ids=chunk))["nodes"], strict=True):
            shown_ids["Query.nodes", gid] = [] if node is None else [node["id"]]
            if node is not None:
                collect_shown(TYPES[node["__typename"]], node, gid, shown_ids)
        aliases = [f'n{n}: node(id: "{gid}") {{ id }}' for n, gid in enumerate(chunk)]
        aliases += [f'p{n}: post(id: "{gid}") {{ id }}' for n, gid in enumerate(chunk) if gid in cast.scene.posts]
        answers = await ask(cast, viewer, f"{{ {' '.join(aliases)} }}")
        for alias, node in answers.items():
            coordinate = "Query.node" if alias[0] == "n" else "Query.post"
            shown_ids[coordinate, chunk[int(alias[1:])]] = [] if node is None else [node["id"]]


async def _by_name(cast: Cast, viewer: Name | None, shown_ids: Shown) -> None:
    aliases = [f'{name}: user(username: "{user.username}") {{ id }}' for name, user in cast.records.items()]
    for name, node in (await ask(cast, viewer, f"{{ {' '.join(aliases)} }}")).items():
        shown_ids["Query.user", cast.scene.people[name]] = [] if node is None else [node["id"]]
    places = (
        "query ($at: Float!, $east: Float!) { placesNear(latitude: $at, longitude: $east) { edges { node { id } } } }"
    )
    near = await ask(cast, viewer, places, at=cast.location.latitude, east=cast.location.longitude)
    shown_ids["Query.placesNear", ROOT] = [edge["node"]["id"] for edge in near["placesNear"]["edges"]]
    for gid, name in cast.scene.hashtags.items():
        found = await ask(cast, viewer, "query ($name: String!) { hashtag(name: $name) { id } }", name=name)
        shown_ids["Query.hashtag", gid] = [found["hashtag"]["id"]]
    for kind, names in {
        "HASHTAGS": cast.scene.hashtags,
        "PLACES": {next(iter(cast.scene.places)): cast.location.name},
    }.items():
        for gid, name in names.items():
            found = await ask(cast, viewer, FIND, text=name, kind=kind)
            shown_ids["Query.search", gid] = [edge["node"]["id"] for edge in found["search"]["edges"]]
    found = await ask(cast, viewer, FIND, text=" ".join(cast.scene.hashtags.values()), kind="POSTS")
    shown_ids["Query.search", ROOT] = [edge["node"]["id"] for edge in found["search"]["edges"]]
    explored = await ask(cast, viewer, "{ explore(first: 50) { edges { node { id } } } trendingHashtags { id } }")
    shown_ids["Query.explore", ROOT] = [edge["node"]["id"] for edge in explored["explore"]["edges"]]
    shown_ids["Query.trendingHashtags", ROOT] = [hashtag["id"] for hashtag in explored["trendingHashtags"]]
    for name, user in cast.records.items():
        given = f'"{user.username}"'
        found = f"search(query: {given}) {{ edges {{ node {{ ... on Node {{ id }} }} }} }}"
        edges = (await ask(cast, viewer, f"{{ {found} }}"))["search"]["edges"]
        shown_ids["Query.search", cast.scene.people[name]] = [edge["node"]["id"] for edge in edges]
        if viewer is not None:
            suggested = (await ask(cast, viewer, f"{{ suggestHandles(prefix: {given}) {{ id }} }}"))["suggestHandles"]
            shown_ids["Query.suggestHandles", cast.scene.people[name]] = [user["id"] for user in suggested]


FIND = """query ($text: String!, $kind: SearchKind!) {
  search(query: $text, kind: $kind, first: 50) { edges { node { ... on Node { id } } } }
}"""


async def _by_key(cast: Cast, viewer: Name | None, shown_ids: Shown) -> None:
    collections = list(cast.scene.collections.values())
    aliases = [f'c{n}: sharedCollection(key: "{each.key}") {{ id }}' for n, each in enumerate(collections)]
    for alias, node in (await ask(cast, viewer, f"{{ {' '.join(aliases)} }}")).items():
        gid = collections[int(alias[1:])].gid
        shown_ids["Query.sharedCollection", gid] = [] if node is None else [node["id"]]


async def _own(cast: Cast, viewer: Name, shown_ids: Shown) -> None:
    answer = await ask(cast, viewer, OWN)
    shown_ids["Query.viewer", ROOT] = [answer["viewer"]["id"]]
    collect_shown(TYPES["Viewer"], answer["viewer"], ROOT, shown_ids)
    shown_ids["Query.moderation", ROOT] = []
    if answer["moderation"] is not None:
        shown_ids["Query.moderation", ROOT] = ids_in(TYPES["Moderation"], answer["moderation"])
        collect_shown(TYPES["Moderation"], answer["moderation"], ROOT, shown_ids)
    hashtags = [edge["hashtag"] for edge in answer["feed"]["edges"]]
    shown_ids["FeedEdge.hashtag", ROOT] = [hashtag["id"] for hashtag in hashtags if hashtag is not None]
    for name in ("feed", "notifications", "suggestedUsers"):
        shown_ids[f"Query.{name}", ROOT] = [edge["node"]["id"] for edge in answer[name]["edges"]]


async def ask(cast: Cast, viewer: Name | None, document: str, **variables: Any) -> Any:
    """The data of an operation that must not fail."""
    result = await cast.world.execute(document, cast.viewer(viewer), **variables)
    assert result.errors is None, result.errors
    return result.data


def test_every_field_that_leads_to_objects_is_in_the_table() -> None:
    fields = {
        field for field in fields_that_show_objects() if not field.startswith("Mutation.") and "Payload." not in field
    }
    assert fields == set(EXPECTED)


def test_every_count_is_in_the_table() -> None:
    assert fields_that_count() == set(COUNTS)


@pytest.mark.parametrize("viewer", [None, *EVERYBODY])
async def test_a_viewer_is_shown_what_the_rules_say(cast: Cast, viewer: Name | None) -> None:
    shown_ids, rules, wrong = await read_everything(cast, viewer), Rules(cast.scene), []
    for (field, source), shown in shown_ids.items():
        expected = list(EXPECTED[field](rules, viewer, source))
        if sorted(shown) != sorted(expected):
            got, wanted = describe_all(cast, shown), describe_all(cast, expected)
            wrong.append(f"{field} of {describe(cast, source)} shows {got}, not {wanted}")
    assert wrong == []


@pytest.mark.parametrize("viewer", EVERYBODY)
async def test_the_ranked_feed_shows_the_same_posts_as_the_latest_and_then_the_others_of_explore(
    cast: Cast, viewer: Name
) -> None:
    document = "{ feed(first: 50, order: RANKED) { edges { isSuggested node { id } } } }"
    shown: dict[bool, list[Gid]] = {False: [], True: []}
    for edge in (await ask(cast, viewer, document))["feed"]["edges"]:
        shown[edge["isSuggested"]].append(edge["node"]["id"])
    feed, explored = (set(EXPECTED[name](Rules(cast.scene), viewer, ROOT)) for name in ("Query.feed", "Query.explore"))
    assert sorted(shown[False]) == sorted(feed)
    assert sorted(shown[True]) == sorted(explored - feed)


async def test_every_field_shows_somebody_something(cast: Cast) -> None:
    """Otherwise the tests above would accept an API that shows nothing."""
    used = {
        field for viewer in EVERYBODY for (field, _), shown in (await read_everything(cast, viewer)).items() if shown
    }
    live = {field for field in EXPECTED if field.startswith(("Subscription.", "NotificationEvent."))}
    of_decisions = {"DecisionNotification.actors"}  # nobody: moderators are not named
    if not any(each.decision for each in cast.scene.notifications.values()):
        of_decisions.add("DecisionNotification.decision")  # no worker has told of one yet
    assert set(EXPECTED) - used == live | of_decisions


@pytest.mark.parametrize("viewer", [None, *EVERYBODY])
async def test_the_label_of_a_sensitive_post_is_shown_with_it(cast: Cast, viewer: Name | None) -> None:
    rules, gids = Rules(cast.scene), list(cast.scene.posts)
    document = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Post { id isSensitive } } }"
    shown: dict[Gid, bool] = {}
    for start in range(0, len(gids), BATCH):
        nodes = (await ask(cast, viewer, document, ids=gids[start : start + BATCH]))["nodes"]
        shown |= {node["id"]: node["isSensitive"] for node in nodes if node is not None}
    assert shown == {gid: post.sensitive for gid, post in cast.scene.posts.items() if rules.sees_post(viewer, post)}
    assert any(shown.values())


def describe_all(cast: Cast, gids: list[Gid]) -> list[str]:
    """Names for these objects, for the message of a failure."""
    return sorted(describe(cast, gid) for gid in gids)


def describe(cast: Cast, gid: Gid) -> str:
    scene = cast.scene
    for name, user_id in scene.people.items():
        if user_id == gid:
            return name
    if gid in scene.posts:
        post = scene.posts[gid]
        return f"{post.author}'s {'deleted' if post.deleted else post.status} post"
    if gid in scene.comments:
        comment = scene.comments[gid]
        return f"{comment.author}'s {'reply' if comment.parent else 'comment'} on {describe(cast, comment.post.gid)}"
    return f"{gid} ({from_global_id(gid)[0]})" if gid else "the API"


def missing_id(gid: Gid) -> Gid:
    """The id of an object of the same type that never existed."""
    return to_global_id(from_global_id(gid)[0], ObjectId())
