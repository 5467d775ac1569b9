"""Everybody tries every act on everything: on what they may not see it answers as on what never was."""

import json
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from domain.ids import from_global_id
from tests.integration.visibility.acts import ACTS, KEYS, OWN, READ, USER_VERBS, Act
from tests.integration.visibility.cast import EVERYBODY, Cast
from tests.integration.visibility.facts import Comment, Gid, Name
from tests.integration.visibility.rules import Rules
from tests.integration.visibility.test_reads import missing, named
from tests.integration.visibility.walk import LEADING, TYPES, everything_about, is_node, leading_fields, ways_in
from tests.support.factories import World

MUTATIONS = TYPES["Mutation"]
assert isinstance(MUTATIONS, GraphQLObjectType)
SOME = 6  # of what is hidden from a viewer, evenly spread; the reads go through all of it
PAYLOADS = {name: get_named_type(field.type) for name, field in MUTATIONS.fields.items()}


@pytest.fixture(scope="module")
async def cast(world: World) -> Cast:
    """The cast, of whom some have just been blocked."""
    return await Cast.made(world, applied=False)


def test_every_id_a_client_gives_has_a_rule() -> None:
    assert ways_in() == {*ACTS, *KEYS, *READ}


def test_every_mutation_that_answers_with_objects_is_tried() -> None:
    answering = {name for name, payload in PAYLOADS.items() if payload.name in LEADING}
    assert answering == {act.mutation for act in ACTS.values()} - {"deletePost"} | OWN


def document(mutation: str, select: str = "") -> str:
    """A mutation with its errors and, of its payload, `select`."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    errors = "userErrors { code message field retryable retryAfterMs }"
    return f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {errors} {select} }} }}"


async def answer(cast: Cast, viewer: Name | None, act: Act, gid: Gid) -> str:
    """All that comes back, as text, the id itself blanked."""
    select = " ".join(f"{name} {{ __typename }}" for name, _ in leading_fields(PAYLOADS[act.mutation]))
    if PAYLOADS[act.mutation].name not in LEADING:
        select = "__typename"
    result = await cast.world.execute(document(act.mutation, select), cast.viewer(viewer), input=act.send(cast, gid))
    errors = [(type(one.original_error).__name__, one.message) for one in result.errors or ()]
    return json.dumps([result.data, errors]).replace(gid, "...")


def kind_of(gid: Gid) -> str:
    """The kind of thing an id is of; all notifications are of one."""
    kind = from_global_id(gid)[0]
    return "Notification" if kind.endswith("Notification") else kind


def hidden(cast: Cast, viewer: Name | None, way: str) -> list[Gid]:
    """What a viewer may not act on this way, because they do not see it."""
    act, facts, rules = ACTS[way], cast.facts, Rules(cast.facts)
    of_kind = [gid for gid in facts.everything if kind_of(gid) == act.kind]
    myself = None if viewer is None else facts.people[viewer]  # known to everybody, gone or not
    found = [gid for gid in of_kind if gid != myself and not rules.sees(viewer, gid)]
    if act.mutation == "deletePost":  # deleting what one has deleted is done already
        found = [gid for gid in found if facts.posts[gid].author != viewer]
    if act.mutation == "unblockUser":  # what one has done oneself can be undone
        undone = {facts.people[other] for one, other in facts.blocks if one == viewer and other not in facts.gone}
        found = [gid for gid in found if gid not in undone]
    if act.mutation == "deleteComment":  # one's own, wherever it is, or on one's own post, whoever wrote it
        found = [gid for gid in found if not is_ones_own(viewer, facts.comments[gid], rules)]
    if way == "AddCommentInput.parentId":  # else it is the post that is refused
        found = [gid for gid in found if rules.sees_post(viewer, facts.comments[gid].post)]
    return found


def is_ones_own(viewer: Name | None, comment: Comment, rules: Rules) -> bool:
    """Whether a comment stands that the viewer wrote, or below a post of theirs, which is there."""
    is_on_own = comment.post.author == viewer and rules.sees_post(viewer, comment.post) and not comment.hidden
    return not comment.deleted and (comment.author == viewer or is_on_own)


@pytest.mark.parametrize("way", ACTS)
async def test_acting_on_what_is_hidden_is_acting_on_what_never_was(cast: Cast, way: str) -> None:
    act, wrong = ACTS[way], []
    for viewer in (None, *EVERYBODY):
        unseen = hidden(cast, viewer, way)
        unseen = unseen[:: 1 + len(unseen) // SOME]
        due = await answer(cast, viewer, act, missing(unseen[0])) if unseen else ""
        for gid in unseen:
            got = await answer(cast, viewer, act, gid)
            if got != due:
                wrong.append(f"{viewer} on {named(cast, gid)}: {got}, not {due}")
    assert wrong == []
    assert any(hidden(cast, viewer, way) for viewer in EVERYBODY)


# Blocks come last: what they hide the others would miss.
LAST = ("blockUser", "deleteComment", "deletePost")
IN_TURN = sorted(ACTS, key=lambda way: ACTS[way].mutation in LAST)


async def test_no_answer_shows_what_the_viewer_may_not_see(world: World) -> None:
    """Every act on something that its viewer sees; whatever its payload leads to is theirs to see by then."""
    cast, wrong = await Cast.made(world, applied=True), []
    for way in (way for way in IN_TURN if ACTS[way].kind in {"User", "Post", "Comment"}):
        for viewer in sorted(set(EVERYBODY) - cast.facts.gone):
            gid = next((gid for gid in acted_on(cast, viewer, ACTS[way])), None)
            if gid is not None:
                wrong += await leaks(cast, viewer, way, gid)
    assert wrong == []


def acted_on(cast: Cast, viewer: Name, act: Act) -> list[Gid]:
    """What a viewer sees and has not made; a post of the host's has the most people around it."""
    facts, rules = cast.facts, Rules(cast.facts)
    things = {"User": facts.people.values(), "Post": facts.posts, "Comment": facts.comments}[act.kind]
    return [gid for gid in things if rules.sees(viewer, gid) and gid != facts.people[viewer]]


async def leaks(cast: Cast, viewer: Name, way: str, gid: Gid) -> list[str]:
    """What an act's answer shows that it should not."""
    act, rules = ACTS[way], Rules(cast.facts)
    payload = PAYLOADS[act.mutation]
    select = " ".join(f"{name} {{ {_about(target)} }}" for name, target in leading_fields(payload))
    sent = document(act.mutation, select if payload.name in LEADING else "__typename")
    result = await cast.world.execute(sent, cast.viewer(viewer), input=act.send(cast, gid))
    assert result.errors is None, result.errors
    if act.mutation in USER_VERBS:
        _note(cast, viewer, act.mutation, cast.facts.name_of(gid))
    known = set(cast.facts.everything)
    shown = {one for one in _ids(result.data) if one in known}
    return [
        f"{way} of {named(cast, gid)} by {viewer} shows {named(cast, one)}"
        for one in shown
        if not rules.sees(viewer, one)
    ]


def _about(target: Any) -> str:
    if is_node(target):
        return everything_about(target)
    return (
        "node { " + everything_about(TYPES[target.name.removesuffix("Edge")]) + " }"
        if target.name.endswith("Edge")
        else "__typename"
    )


def _note(cast: Cast, viewer: Name, verb: str, other: Name) -> None:
    """What the user verbs change that the rules look at; requests of private accounts stay requests."""
    facts, pair = cast.facts, (viewer, other)
    if verb == "blockUser":
        facts.blocks.add(pair)
    if verb == "unblockUser":
        facts.blocks.discard(pair)
    if verb == "followUser" and other not in facts.private and pair not in facts.blocks:
        facts.follows.add(pair)
    if verb in {"unfollowUser", "blockUser"}:
        facts.follows.discard(pair)
    if verb in {"removeFollower", "blockUser"}:
        facts.follows.discard((other, viewer))


def _ids(value: Any) -> list[Gid]:
    if isinstance(value, list):
        return [gid for one in value for gid in _ids(one)]
    if isinstance(value, dict):
        own = [value["id"]] if "id" in value else []
        return own + [gid for one in value.values() for gid in _ids(one)]
    return []
