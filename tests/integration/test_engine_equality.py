"""The compiled engine answers as graphql-core does, over the product's schema, loaders and stores."""

import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from config import Settings
from datasources.outages import is_outage
from domain.ids import from_global_id, to_global_id
from domain.records.users import SessionRecord
from engine import CompiledOperation
from resolvers.api import schema
from resolvers.transport import documents
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import GraphQLRequest, Operation
from resolvers.transport.errors import Rejected
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.hooks import Hooks
from schema.context import Context
from tests.support.factories import World, opened, session_of
from tests.support.full_account import create_full_account
from tests.support.own_databases import own_database
from tests.support.random_operations import RandomOperations, Things

CASES = int(os.environ.get("PHOTOGRAM_ENGINE_CASES") or 1_500) // 5  # each takes longer than one of tests/engine
UNLIMITED = OperationLimits(**{limit.name: 10**9 for limit in fields(OperationLimits)})
WIDEST = 1_000  # fields
ASKED = """{
  viewer { id sessions { id } followRequests { edges { cursor node { id } } } mutedUsers { edges { cursor } } }
  notifications { edges { cursor node { id actors { id } } } }
  feed { edges { cursor node { id images { id } author { id avatar { id } posts { edges { cursor node { id } } } }
    comments { edges { cursor node { id author { id } replies { edges { cursor node { id } } } } } }
    likes { edges { cursor } } } } }
}"""


def executor(world: World, *, compile_at: int = 1) -> OperationExecutor:
    async def nobody(_token: str | None) -> None:
        return None

    def context(session: SessionRecord | None, request_id: str, address: str) -> Context:
        return Context(world.sources, session, request_id, address)

    hooks = Hooks(
        authenticate=nobody,
        make_context=context,
        identity_of=lambda context: context.session,
        watch=world.sources.session_watch.watch,
        is_outage=is_outage,
        account=lambda session: session.user_id,
    )
    return OperationExecutor(schema, hooks, limits=UNLIMITED, compile_at=compile_at)


def _values(answer: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of an answer with their keys."""
    for each in answer if isinstance(answer, list) else ():
        yield from _values(each)
    for key, value in answer.items() if isinstance(answer, dict) else ():
        if isinstance(value, dict | list):
            yield from _values(value)
        else:
            yield key, value


def _comparable(payload: dict[str, Any], *, is_ranked: bool) -> str:
    """An answer as text, without what differs from one execution to the next: signatures, and when a feed was read."""

    def same(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: same(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [same(key, each) for each in value]
        if isinstance(value, str) and value.startswith("http"):
            return value.partition("?")[0]
        is_moment = "asOf" in key or (is_ranked and "ursor" in key)
        return type(value).__name__ if is_moment else value

    errors = sorted(json.dumps(each) for each in payload.get("errors", ()))
    return json.dumps([same("", {**payload, "errors": None}), errors])


class Cast:
    """A world in which everything happened, and those who ask about it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions: list[SessionRecord | None] = [None]
        self.engine = executor(world)
        self.things = Things((), (), (), ())

    async def create(self) -> None:
        public = await create_full_account(self.world)
        private = await create_full_account(self.world, is_private=True)
        users = [public.ana, public.bob, *public.others, private.ana, private.bob, private.others[0]]
        self.sessions += [session_of(user) for user in users]
        asked = self.engine.operation(GraphQLRequest(ASKED))
        answers = [await self.answer(asked, session) for session in self.sessions[1:]]
        found = list(_values(answers))
        ids = {value for key, value in found if key == "id"}
        uploads = {to_global_id("MediaUpload", each) for each in (*public.uploads, *private.uploads)}
        posts = {
            to_global_id("Post", each.id) for each in (public.post, public.bobs_post, private.post, private.bobs_post)
        }
        self.things = Things(
            sorted(ids | uploads | posts),
            sorted(posts),
            [user.username for user in users],
            sorted({value for key, value in found if key == "cursor"}),
        )

    async def answer(self, operation: Operation, session: SessionRecord | None) -> dict[str, Any]:
        """The answer to a client."""
        return (await self.engine.run(operation, session, "request", address="192.0.2.1")).payload

    def compiled(self, request: GraphQLRequest) -> Operation:
        """The operation at the use at which it is compiled. Raises Rejected."""
        for _ in range(1 + WIDEST // documents.FIELDS_A_USE):  # a large one is compiled some uses later
            operation = self.engine.operation(request)
            if operation.compiled is not None:
                break
        return operation

    async def empty_caches(self, source: random.Random) -> None:
        """Sometimes empties the caches, so that values come at once, or later."""
        if source.random() < 0.2:
            caches = self.world.sources.caches
            await caches.posts.invalidate([from_global_id(each)[1] for each in self.things.posts])
            await caches.users.invalidate([session.user_id for session in self.sessions if session is not None])


@pytest.fixture(scope="module")
async def cast(shared_settings: Settings) -> AsyncIterator[Cast]:
    with own_database(shared_settings, signed_url_ttl=3600) as settings:
        async with opened(settings) as world:
            cast = Cast(world)
            await cast.create()
            yield cast


@pytest.mark.usefixtures("patient_caches")
async def test_random_queries_are_answered_the_same(
    cast: Cast, seed: int, record_property: Callable[[str, object], None]
) -> None:
    source = random.Random(seed)
    operations = RandomOperations(source, cast.things)
    seen: Counter[str] = Counter()
    while seen["asked"] < CASES:
        query, variables = operations.query()
        session = source.choice(cast.sessions)
        try:
            operation = cast.compiled(GraphQLRequest(query, None, variables))
        except Rejected as refusal:
            seen[refusal.errors[0]["extensions"]["code"]] += 1
            continue
        if operation.is_private and session is None:
            session = cast.sessions[1]
        await cast.empty_caches(source)
        for _ in range(source.randrange(3)):  # from the third time on objects that last are not completed again
            await cast.answer(operation, session)
        both = [operation, replace(operation, compiled=None)]  # the second is executed by graphql-core
        source.shuffle(both)
        answers = {each.compiled: await cast.answer(each, session) for each in both}
        is_ranked = "RANKED" in query or "RANKED" in variables.values()
        compiled, interpreted = (_comparable(answers[each], is_ranked=is_ranked) for each in (operation.compiled, None))
        assert compiled == interpreted, (query, variables, session)
        seen.update(_kinds(answers[operation.compiled], operation.compiled))
    for name, number in seen.items():
        record_property(f"{name}", number)  # a plain string, which pytest-xdist can send
    assert seen["compiled"] > 0.9 * CASES
    assert seen["fields"] > 6 * CASES, "they ask for something"
    assert seen["with errors"] > 0.02 * CASES
    assert seen["asked"] > seen["GRAPHQL_VALIDATION_FAILED"], "most are valid"


def _kinds(payload: dict[str, Any], compiled: CompiledOperation | None) -> Counter[str]:
    """What there is to count about an answer."""
    size = sum(1 for _ in _values(payload.get("data")))
    kinds = Counter({"asked": 1, "fields": size, f"to {1 << size.bit_length()} fields": 1})
    kinds["compiled"] = compiled is not None and not compiled.fallbacks
    kinds["with errors"] = "errors" in payload
    return +kinds


async def test_what_would_take_long_to_compile_is_left_to_graphql_core(cast: Cast) -> None:
    leaves = "id username displayName biography website isPrivate createdAt postCount followerCount followingCount"
    many = " ".join(f"u{number}: user {{ ...Leaves }}" for number in range(60))
    operation = cast.compiled(GraphQLRequest(f"{{ viewer {{ {many} }} }} fragment Leaves on User {{ {leaves} }}"))
    assert operation.compiled is None
    answer = await cast.answer(operation, cast.sessions[1])
    assert len(list(_values(answer["data"]))) == 60 * 10
