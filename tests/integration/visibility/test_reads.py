"""Everybody asks for everything, by every field that leads to objects, and gets what the rules say, neither more."""

from typing import Any

import pytest
from bson import ObjectId

from domain.ids import from_global_id, to_global_id
from tests.integration.visibility.cast import EVERYBODY, Cast
from tests.integration.visibility.facts import Gid, Name, Seen
from tests.integration.visibility.rules import Rules
from tests.integration.visibility.walk import NODE, TYPES, counts, everything_about, fields, gather, ways_out
from tests.integration.visibility.ways import COUNTS, SHOWS
from tests.support.factories import World

ROOT = ""  # what is asked of nothing
AT_ONCE = 50
NODES = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ {everything_about(NODE)} }} }}"
OWN = f"""{{
  viewer {{ id {fields(TYPES["Viewer"])} }}
  feed(first: 50) {{ edges {{ node {{ id }} }} }}
  notifications(first: 50) {{ edges {{ node {{ id }} }} }}
}}"""


@pytest.fixture(scope="module", params=[False, True], ids=["at once", "when all is settled"])
async def cast(request: pytest.FixtureRequest, world: World) -> Cast:
    """The cast, before the workers heard of blocks and deletions, and after."""
    return await Cast.made(world, applied=request.param)


async def look(cast: Cast, viewer: Name | None) -> Seen:
    """All that a viewer is shown, by field and object; asked for once, for nothing here changes."""
    if viewer in cast.seen:
        return cast.seen[viewer]
    seen = cast.seen[viewer] = Seen()
    await _by_id(cast, viewer, seen)
    await _by_name(cast, viewer, seen)
    if viewer is not None:
        await _own(cast, viewer, seen)
    return seen


async def _by_id(cast: Cast, viewer: Name | None, seen: Seen) -> None:
    gids = cast.facts.everything
    for start in range(0, len(gids), AT_ONCE):
        chunk = gids[start : start + AT_ONCE]
        for gid, found in zip(chunk, (await ask(cast, viewer, NODES, ids=chunk))["nodes"], strict=True):
            seen["Query.nodes", gid] = [] if found is None else [found["id"]]
            if found is not None:
                gather(TYPES[found["__typename"]], found, gid, seen)
        aliases = [f'n{n}: node(id: "{gid}") {{ id }}' for n, gid in enumerate(chunk)]
        aliases += [f'p{n}: post(id: "{gid}") {{ id }}' for n, gid in enumerate(chunk) if gid in cast.facts.posts]
        answers = await ask(cast, viewer, f"{{ {' '.join(aliases)} }}")
        for alias, found in answers.items():
            coordinate = "Query.node" if alias[0] == "n" else "Query.post"
            seen[coordinate, chunk[int(alias[1:])]] = [] if found is None else [found["id"]]


async def _by_name(cast: Cast, viewer: Name | None, seen: Seen) -> None:
    aliases = [f'{name}: user(username: "{user.username}") {{ id }}' for name, user in cast.records.items()]
    for name, found in (await ask(cast, viewer, f"{{ {' '.join(aliases)} }}")).items():
        seen["Query.user", cast.facts.people[name]] = [] if found is None else [found["id"]]


async def _own(cast: Cast, viewer: Name, seen: Seen) -> None:
    answer = await ask(cast, viewer, OWN)
    seen["Query.viewer", ROOT] = [answer["viewer"]["id"]]
    gather(TYPES["Viewer"], answer["viewer"], ROOT, seen)
    for name in ("feed", "notifications"):
        seen[f"Query.{name}", ROOT] = [edge["node"]["id"] for edge in answer[name]["edges"]]


async def ask(cast: Cast, viewer: Name | None, document: str, **variables: Any) -> Any:
    """The data of an operation that must not fail."""
    result = await cast.world.execute(document, cast.viewer(viewer), **variables)
    assert result.errors is None, result.errors
    return result.data


def test_every_field_that_leads_to_objects_has_a_rule() -> None:
    ruled = {way for way in ways_out() if not way.startswith("Mutation.") and "Payload." not in way}
    assert ruled == set(SHOWS)


def test_every_count_has_a_rule() -> None:
    assert counts() == set(COUNTS)


@pytest.mark.parametrize("viewer", [None, *EVERYBODY])
async def test_a_viewer_is_shown_what_the_rules_say(cast: Cast, viewer: Name | None) -> None:
    seen, rules, wrong = await look(cast, viewer), Rules(cast.facts), []
    for (way, source), shown in seen.items():
        due = list(SHOWS[way](rules, viewer, source))
        if sorted(shown) != sorted(due):
            wrong.append(f"{way} of {named(cast, source)} shows {names(cast, shown)}, not {names(cast, due)}")
    assert wrong == []


@pytest.mark.parametrize("viewer", EVERYBODY)
async def test_the_ranked_feed_shows_what_the_latest_does(cast: Cast, viewer: Name) -> None:
    document = "{ feed(first: 50, order: RANKED) { edges { node { id } } } }"
    shown = [edge["node"]["id"] for edge in (await ask(cast, viewer, document))["feed"]["edges"]]
    assert sorted(shown) == sorted(SHOWS["Query.feed"](Rules(cast.facts), viewer, ROOT))


async def test_every_way_shows_somebody_something(cast: Cast) -> None:
    """Or the test above would be content with an API that shows nothing."""
    used = {way for viewer in EVERYBODY for (way, _), shown in (await look(cast, viewer)).items() if shown}
    live = {way for way in SHOWS if way.startswith(("Subscription.", "NotificationEvent."))}
    assert set(SHOWS) - used == live


def names(cast: Cast, gids: list[Gid]) -> list[str]:
    """What these are, for a person who reads a failure."""
    return sorted(named(cast, gid) for gid in gids)


def named(cast: Cast, gid: Gid) -> str:
    facts = cast.facts
    for name, one in facts.people.items():
        if one == gid:
            return name
    if gid in facts.posts:
        post = facts.posts[gid]
        return f"{post.author}'s {'deleted' if post.deleted else post.status} post"
    if gid in facts.comments:
        comment = facts.comments[gid]
        return f"{comment.author}'s {'reply' if comment.parent else 'comment'} on {named(cast, comment.post.gid)}"
    return f"{gid} ({from_global_id(gid)[0]})" if gid else "the API"


def missing(gid: Gid) -> Gid:
    """The id of something of the same kind that never was."""
    return to_global_id(from_global_id(gid)[0], ObjectId())
