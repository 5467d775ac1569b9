"""Subscriptions and the badge obey the rules too."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from bson import ObjectId

from datasources.outages import is_outage
from domain.records.users import SessionRecord
from resolvers.api import schema
from resolvers.transport.documents import GraphQLRequest
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.hooks import Hooks
from schema.context import Context
from tests.integration.visibility.cast import EVERYBODY, Cast
from tests.integration.visibility.expected_objects import EXPECTED
from tests.integration.visibility.rules import Rules
from tests.integration.visibility.scene import Gid, Name
from tests.integration.visibility.test_reads import ROOT, ask, missing_id
from tests.support.factories import World, session_of

REPLAY = "subscription { notificationAdded(after: 0) { seq notification { id } } }"
UPLOAD = "subscription ($id: ID!) { uploadUpdated(id: $id) { id image { id } } }"
NEW = "subscription { feedUpdated { newPostCount } }"
BADGE = "{ viewer { unreadNotificationCount } notifications(first: 50) { edges { node { kind } } } }"


@pytest.fixture(scope="module", params=[False, True], ids=["before workers run", "when nothing is pending"])
async def cast(request: pytest.FixtureRequest, world: World) -> Cast:
    """The cast, before the workers heard of blocks and deletions, and after."""
    return await Cast.create(world, applied=request.param)


def events(cast: Cast, viewer: Name | None, document: str, **variables: Any) -> AsyncGenerator[dict[str, Any]]:
    """The payloads of a subscription, as a socket sends them."""

    async def nobody(_token: str | None) -> None:
        return None

    def context(session: SessionRecord | None, request_id: str, _address: str) -> Context:
        return Context(cast.world.sources, session, request_id)

    hooks = Hooks(
        authenticate=nobody,
        make_context=context,
        identity_of=lambda context: context.session,
        watch=cast.world.sources.session_watch.watch,
        is_outage=is_outage,
        account=lambda session: session.user_id,
    )
    executor = OperationExecutor(schema, hooks)
    operation = executor.operation(GraphQLRequest(document, None, variables))
    user = cast.viewer(viewer)
    return _payloads(executor.subscribe(operation, None if user is None else session_of(user), "test"))


async def _payloads(answers: Any) -> AsyncGenerator[dict[str, Any]]:
    async with contextlib.aclosing(answers):
        async for answer in answers:
            yield answer.payload


@pytest.mark.parametrize("viewer", EVERYBODY)
async def test_a_replay_of_notifications_brings_what_the_list_shows(cast: Cast, viewer: Name) -> None:
    there = await cast.world.sources.notifications.range_of(cast.records[viewer].id)
    shown: list[Gid] = []
    seq = 0
    async with asyncio.timeout(30), contextlib.aclosing(events(cast, viewer, REPLAY)) as replay:
        while seq < there.newest:
            event = (await anext(replay))["data"]["notificationAdded"]
            seq = event["seq"]
            shown += [event["notification"]["id"]] if event["notification"] else []
    rules = Rules(cast.scene)
    assert sorted(shown) == sorted(gid for gid in cast.scene.notifications if rules.sees(viewer, gid))


@pytest.mark.parametrize("viewer", EVERYBODY)
async def test_the_badge_counts_what_the_list_shows(cast: Cast, viewer: Name) -> None:
    answer = await ask(cast, viewer, BADGE)
    shown = [edge["node"]["kind"] for edge in answer["notifications"]["edges"]]
    assert answer["viewer"]["unreadNotificationCount"] == len(shown) - shown.count("POST_READY")


@pytest.mark.parametrize("viewer", EVERYBODY)
async def test_new_posts_are_counted_as_the_feed_shows_them(cast: Cast, viewer: Name) -> None:
    expected = EXPECTED["Query.feed"](Rules(cast.scene), viewer, ROOT)
    others = [gid for gid in expected if cast.scene.posts[gid].author != viewer]
    await cast.world.sources.feed_listeners.set_read(cast.records[viewer].id, ObjectId("0" * 24))
    async with contextlib.aclosing(events(cast, viewer, NEW)) as news:
        if others:
            assert (await asyncio.wait_for(anext(news), 30))["data"] == {"feedUpdated": {"newPostCount": len(others)}}


async def test_only_its_owner_hears_of_an_upload(cast: Cast) -> None:
    ready = next(gid for gid, owner in cast.scene.uploads.items() if owner == "public")
    async with contextlib.aclosing(events(cast, "public", UPLOAD, id=ready)) as own:
        assert (await anext(own))["data"]["uploadUpdated"]["id"] == ready
    for viewer in ("stranger", "follower", None):
        answers = []
        for gid in (ready, missing_id(ready)):
            async with contextlib.aclosing(events(cast, viewer, UPLOAD, id=gid)) as denied:
                answers.append(await _first(denied))
        assert answers[0] == answers[1]
        assert ready not in answers[0]


async def _first(payloads: AsyncGenerator[dict[str, Any]]) -> str:
    try:
        return repr(await anext(payloads))
    except Exception as error:  # noqa: BLE001  whatever the client would be told
        return f"{type(error).__name__}: {getattr(error, 'errors', error)}"
