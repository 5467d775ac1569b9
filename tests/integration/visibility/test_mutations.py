"""Everybody tries every mutation on everything. For hidden objects it answers as for objects that never existed."""

import json
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from domain.ids import from_global_id
from tests.integration.visibility.cast import EVERYBODY, Cast
from tests.integration.visibility.mutation_inputs import (
    IDEMPOTENCY_KEYS,
    INPUTS,
    OF_OWN_COLLECTIONS,
    READ_INPUTS,
    WITHOUT_IDS,
    IdInput,
)
from tests.integration.visibility.rules import Rules
from tests.integration.visibility.scene import Comment, Gid, Name
from tests.integration.visibility.schema_fields import (
    LEADING_TYPES,
    TYPES,
    inputs_that_take_ids,
    is_node,
    leading_fields,
    select_everything,
)
from tests.integration.visibility.test_reads import describe, missing_id
from tests.support.client import USER_VERBS
from tests.support.factories import World

MUTATIONS = TYPES["Mutation"]
assert isinstance(MUTATIONS, GraphQLObjectType)
OF_MODERATORS = {"moderate", "claimCase"}  # whose answers show what moderators see
SAMPLE = 6  # of the objects hidden from a viewer, evenly spread; the tests of reads try all
PAYLOADS = {name: get_named_type(field.type) for name, field in MUTATIONS.fields.items()}


@pytest.fixture(scope="module")
async def cast(world: World) -> Cast:
    """The cast, before the workers heard of the latest blocks and deletions."""
    return await Cast.create(world, applied=False)


def test_every_input_that_takes_an_id_is_in_the_table() -> None:
    assert inputs_that_take_ids() == {*INPUTS, *IDEMPOTENCY_KEYS, *READ_INPUTS, *OF_OWN_COLLECTIONS}


def test_every_mutation_that_answers_with_objects_is_tried() -> None:
    answering = {name for name, payload in PAYLOADS.items() if payload.name in LEADING_TYPES}
    assert (
        answering
        == {entry.mutation for entry in INPUTS.values()}
        - {"deletePost", "deleteCollection", "reportContent", "requestReport"}
        | WITHOUT_IDS
    )


def document(mutation: str, select: str = "") -> str:
    """A mutation that selects its user errors and `select`."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    errors = "userErrors { code message field retryable retryAfterMs }"
    return f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {errors} {select} }} }}"


async def answer(cast: Cast, viewer: Name | None, entry: IdInput, gid: Gid) -> str:
    """The whole answer as text, with the id itself replaced."""
    select = " ".join(f"{name} {{ __typename }}" for name, _ in leading_fields(PAYLOADS[entry.mutation]))
    if PAYLOADS[entry.mutation].name not in LEADING_TYPES:
        select = "__typename"
    result = await cast.world.execute(
        document(entry.mutation, select), cast.viewer(viewer), input=entry.send(cast, gid)
    )
    assert all(error.original_error for error in result.errors or ()), "the document itself is wrong"
    errors = [(type(error.original_error).__name__, error.message) for error in result.errors or ()]
    return json.dumps([result.data, errors]).replace(gid, "...")


def kind_of(gid: Gid) -> str:
    """The type of an id; all notifications are of one kind."""
    kind = from_global_id(gid)[0]
    return "Notification" if kind.endswith("Notification") else kind


def hidden_ids(cast: Cast, viewer: Name | None, name: str) -> list[Gid]:
    """The ids for which this input must answer as for an object that does not exist."""
    entry, scene, rules = INPUTS[name], cast.scene, Rules(cast.scene)
    of_kind = [gid for gid in scene.all_ids if kind_of(gid) == entry.kind]
    myself = None if viewer is None else scene.people[viewer]  # everybody knows their own id
    ids = [gid for gid in of_kind if gid != myself and not rules.sees(viewer, gid)]
    if name == "ModerateInput.targetId" and rules.moderates(viewer):  # they decide about what others cannot see
        ids = [gid for gid in ids if not rules.exists(gid)]
    if entry.mutation == "deletePost":  # deleting an own post twice succeeds
        ids = [gid for gid in ids if scene.posts[gid].author != viewer]
    if entry.kind == "Collection":  # one's own can be changed as long as the session lasts
        ids = [gid for gid in ids if scene.collections[gid].owner != viewer]
    if entry.mutation == "unblockUser":  # own blocks can be undone
        undone = {
            scene.people[other]
            for blocker, other in scene.blocks
            if blocker == viewer and other not in scene.hidden_accounts
        }
        ids = [gid for gid in ids if gid not in undone]
    if entry.mutation == "deleteComment":  # own comments, and comments on own posts, can be deleted
        ids = [gid for gid in ids if not may_delete(viewer, scene.comments[gid], rules)]
    if name == "AddCommentInput.parentId":  # otherwise the post is refused
        ids = [gid for gid in ids if rules.sees_post(viewer, scene.comments[gid].post)]
    return ids


def may_delete(viewer: Name | None, comment: Comment, rules: Rules) -> bool:
    """Whether a comment exists that the viewer wrote, or that is on a visible post of theirs."""
    is_on_own = comment.post.author == viewer and rules.sees_post(viewer, comment.post) and not comment.hidden
    return not comment.deleted and (comment.author == viewer or is_on_own)


@pytest.mark.parametrize("name", INPUTS)
async def test_a_hidden_object_is_answered_as_one_that_never_existed(cast: Cast, name: str) -> None:
    entry, wrong = INPUTS[name], []
    for viewer in (None, *EVERYBODY):
        hidden = hidden_ids(cast, viewer, name)
        hidden = hidden[:: 1 + len(hidden) // SAMPLE]
        expected = await answer(cast, viewer, entry, missing_id(hidden[0])) if hidden else ""
        for gid in hidden:
            got = await answer(cast, viewer, entry, gid)
            if got != expected:
                wrong.append(f"{viewer} on {describe(cast, gid)}: {got}, not {expected}")
    assert wrong == []
    assert any(hidden_ids(cast, viewer, name) for viewer in EVERYBODY)


# These come last, because they hide or delete what the others need.
LAST = ("blockUser", "deleteComment", "deletePost")
IN_ORDER = sorted(INPUTS, key=lambda name: INPUTS[name].mutation in LAST)


async def test_no_answer_shows_what_the_viewer_may_not_see(world: World) -> None:
    """Sends every mutation for an object that its viewer sees. The viewer must see all objects in the payload."""
    cast, wrong = await Cast.create(world, applied=True), []
    viewers = sorted(set(EVERYBODY) - cast.scene.hidden_accounts | cast.scene.suspended)
    for name in (name for name in IN_ORDER if INPUTS[name].kind in {"User", "Post", "Comment", "ModerationCase"}):
        for viewer in viewers:
            gid = next((gid for gid in visible_ids(cast, viewer, INPUTS[name])), None)
            if gid is not None:
                wrong += await leaks(cast, viewer, name, gid)
    assert wrong == []


def visible_ids(cast: Cast, viewer: Name, entry: IdInput) -> list[Gid]:
    """The objects of this kind that a viewer sees, those of the host first: they involve the most people."""
    scene, rules = cast.scene, Rules(cast.scene)
    open_first = sorted(scene.cases, key=lambda gid: not scene.cases[gid].is_open)
    people, posts, comments = [*scene.people.values()], [*scene.posts], [*scene.comments]
    of_kind = {"User": people, "Post": posts, "Comment": comments, "ModerationCase": open_first}
    return [gid for gid in of_kind[entry.kind] if rules.sees(viewer, gid) and gid != scene.people[viewer]]


async def leaks(cast: Cast, viewer: Name, name: str, gid: Gid) -> list[str]:
    """The objects in a mutation's answer that the viewer may not see."""
    entry, rules = INPUTS[name], Rules(cast.scene)
    payload = PAYLOADS[entry.mutation]
    select = " ".join(f"{name} {{ {_select(target)} }}" for name, target in leading_fields(payload))
    sent = document(entry.mutation, select if payload.name in LEADING_TYPES else "__typename")
    result = await cast.world.execute(sent, cast.viewer(viewer), input=entry.send(cast, gid))
    assert result.errors is None, result.errors
    assert result.data is not None
    if entry.mutation in USER_VERBS and not result.data[entry.mutation]["userErrors"]:
        _update_scene(cast, viewer, entry.mutation, cast.scene.name_of(gid))
    known = set(cast.scene.all_ids)
    shown = {shown_id for shown_id in _ids(result.data) if shown_id in known}
    return [
        f"{name} of {describe(cast, gid)} by {viewer} shows {describe(cast, shown_id)}"
        for shown_id in shown
        if not rules.sees(viewer, shown_id) and not (entry.mutation in OF_MODERATORS and rules.exists(shown_id))
    ]


def _select(target: Any) -> str:
    if is_node(target):
        return select_everything(target)
    return (
        "node { " + select_everything(TYPES[target.name.removesuffix("Edge")]) + " }"
        if target.name.endswith("Edge")
        else "__typename"
    )


def _update_scene(cast: Cast, viewer: Name, verb: str, other: Name) -> None:
    """Records in the scene what a mutation about a user changed. Requests to private accounts change nothing."""
    scene, pair = cast.scene, (viewer, other)
    if verb == "blockUser":
        scene.blocks.add(pair)
    if verb == "unblockUser":
        scene.blocks.discard(pair)
    if verb == "followUser" and other not in scene.private and pair not in scene.blocks:
        scene.follows.add(pair)
    if verb in {"unfollowUser", "blockUser"}:
        scene.follows.discard(pair)
    if verb in {"removeFollower", "blockUser"}:
        scene.follows.discard((other, viewer))


def _ids(value: Any) -> list[Gid]:
    if isinstance(value, list):
        return [gid for item in value for gid in _ids(item)]
    if isinstance(value, dict):
        own = [value["id"]] if "id" in value else []
        return own + [gid for item in value.values() for gid in _ids(item)]
    return []
