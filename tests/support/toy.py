"""A small application on the real transports, for their tests: a schema that can wait, fail, count and stream.

`python -m tests.support.toy PORT NOTICE DRAIN` serves it until it is told to stop.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Annotated

import strawberry
from graphql import GraphQLError
from starlette.applications import Starlette
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

from config import Settings
from datasources.telemetry.logs import configure_logging
from deploy.local.ports import listen
from domain.errors import NotFound, Unauthenticated
from resolvers.transport.admission import Admission
from resolvers.transport.bad_tokens import ANSWERS_BAD_TOKEN
from resolvers.transport.document_limits import Limits
from resolvers.transport.drain import Drain
from resolvers.transport.execution import Engine, Hooks
from resolvers.transport.health import Health
from resolvers.transport.routes import middleware, routes
from resolvers.transport.server import build_server
from resolvers.transport.websocket_endpoint import GraphQLSocket
from schema.field_metadata import SIGNED_IN, bounded
from schema.fields import plain


class Outage(Exception):
    """A dependency is away."""


@dataclass
class World:
    """What the tests watch and steer."""

    contexts: list["Context"] = field(default_factory=list)
    running: int = 0
    finished: int = 0
    watches: set["Watch"] = field(default_factory=set)
    authentication_down: bool = False
    mongo_down: bool = False
    stuck: bool = False
    storage_hangs: bool = False
    checks: int = 0
    largest: int = 0  # piece of a file
    may_leave: bool = False

    def watch(self, identity: str, ended: Callable[[], None]) -> "Watch":
        watch = Watch(self, identity, ended)
        self.watches.add(watch)
        return watch

    def revoke(self) -> None:
        """Ends whatever is watched."""
        for watch in self.watches:
            watch.ended()

    async def check_storage(self) -> None:
        if self.storage_hangs:
            await asyncio.Event().wait()

    async def check(self) -> None:
        self.checks += 1
        if self.mongo_down:
            raise Outage


@dataclass(eq=False)
class Watch:
    """Watches one socket."""

    world: World
    identity: str
    ended: Callable[[], None]
    renewed: list[str] = field(default_factory=list)

    def renew(self, identity: str) -> None:
        self.renewed.append(identity)

    def stop(self) -> None:
        self.world.watches.discard(self)


@dataclass
class Context:
    """Made for each operation and each event."""

    world: World
    identity: str | None
    request_id: str
    address: str = ""


ToyInfo = Info[Context, None]
Ids = Annotated[list[strawberry.ID], strawberry.argument(**bounded("Their ids.", 50))]


@strawberry.type
class Post:
    id: strawberry.ID = strawberry.ID("1")
    caption: str = "sea"

    @strawberry.field
    def comments(self, first: int | None = None) -> "PostConnection":
        return page_of(first)

    @strawberry.field(**bounded("Its images.", 3))  # type: ignore[untyped-decorator]
    def images(self) -> list["Post"]:
        return []

    @strawberry.field
    def unbounded(self) -> list["Post"]:
        return []


@strawberry.type
class PostEdge:
    cursor: str = "c"
    node: Post = field(default_factory=Post)


@strawberry.type
class PostConnection:
    edges: list[PostEdge] = field(default_factory=list)


def page_of(size: int | None) -> PostConnection:
    return PostConnection(edges=[PostEdge() for _ in range(size or 20)])


@strawberry.type
class Query:
    @strawberry.field
    def node(self) -> "Query":
        return Query()

    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def viewer(self, info: ToyInfo) -> str | None:
        return info.context.identity

    @strawberry.field
    def inbox(self, info: ToyInfo) -> str:
        if info.context.identity is None:
            raise Unauthenticated
        return "empty"

    @strawberry.field
    def missing(self) -> str | None:
        raise NotFound("post")

    @strawberry.field
    def broken(self, secret: str = "") -> str | None:
        raise ValueError(f"cannot read {secret}")

    @strawberry.field
    def broken_badly(self) -> str:
        raise ValueError("the reason is private")

    @strawberry.field
    def away(self) -> str | None:
        raise Outage

    @strawberry.field
    def number(self) -> int | None:
        return 2**40  # not a GraphQL Int

    @strawberry.field
    def feed(self, first: int | None = None, last: int | None = None) -> PostConnection:
        return page_of(first or last)

    @strawberry.field(**bounded("Some posts.", 50))  # type: ignore[untyped-decorator]
    def posts(
        self, ids: Annotated[list[strawberry.ID], strawberry.argument(**bounded("Their ids.", 50))]
    ) -> list[Post]:
        return [Post(id=one) for one in ids]

    @strawberry.field
    async def wait(self, info: ToyInfo, seconds: float = 3600) -> str:
        info.context.world.running += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            info.context.world.running -= 1
        return "done"

    @strawberry.field
    async def hold(self, info: ToyInfo) -> str | None:
        """Never ends, whoever cancels it."""
        info.context.world.running += 1
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    @strawberry.field
    def block(self, seconds: float = 3600) -> str | None:
        """Holds up the whole process."""
        time.sleep(seconds)
        return None


class File(AsyncIterable[bytes]):
    """A file as it arrives."""


def as_file(value: object) -> AsyncIterable[bytes]:
    if not isinstance(value, AsyncIterable):
        raise GraphQLError("not a file")
    return value


@strawberry.input
class Parcel:
    files: list[File]
    note: str = ""


async def always(_context: Context) -> bool:
    return True


async def may_leave(context: Context) -> bool:
    return context.world.may_leave


@strawberry.input
class Note:
    text: str = ""
    readers: list[str] = plain("Who reads it.", max_items=5, default_factory=list)


@strawberry.input
class Pile:
    notes: list[Note] = plain("The notes.", max_items=10)


@strawberry.type
class Mutation:
    @strawberry.mutation(metadata={ANSWERS_BAD_TOKEN: always})  # type: ignore[untyped-decorator]
    def enter(self, info: ToyInfo) -> str | None:
        return info.context.identity

    @strawberry.mutation(metadata={ANSWERS_BAD_TOKEN: may_leave})  # type: ignore[untyped-decorator]
    def leave(self) -> int:
        return 1

    @strawberry.mutation
    def add(self, a: int, b: int) -> int:
        return a + b

    @strawberry.mutation
    async def weigh(self, info: ToyInfo, file: File) -> str | None:
        """How many bytes come."""
        return await computed(info.context.world, file)

    @strawberry.mutation
    async def weigh_parcel(self, info: ToyInfo, parcel: Parcel) -> str | None:
        return await computed(info.context.world, parcel.files[-1])

    @strawberry.mutation
    def post_notes(self, pile: Pile) -> int:
        return len(pile.notes)

    @strawberry.mutation(metadata=SIGNED_IN)  # type: ignore[untyped-decorator]
    def keep_notes(self, pile: Pile) -> int:
        return len(pile.notes)

    @strawberry.mutation
    def refuse(self, file: File) -> str | None:  # noqa: ARG002  it looks at no byte of it
        raise Unauthenticated


async def computed(world: World, file: File) -> str:
    size = 0
    world.running += 1
    try:
        async for chunk in file:
            size += len(chunk)
            world.largest = max(world.largest, len(chunk))
    finally:
        world.running -= 1
    return f"{size} bytes"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, info: ToyInfo, to: int = 3) -> AsyncGenerator[int, None]:
        world = info.context.world
        world.running += 1
        try:
            for number in range(1, to + 1):
                yield number
        finally:
            world.running -= 1
            world.finished += 1

    @strawberry.subscription
    async def forever(self, info: ToyInfo) -> AsyncGenerator[int, None]:
        world = info.context.world
        world.running += 1
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # clean-up may await
            world.running -= 1
            world.finished += 1

    @strawberry.subscription
    async def flood(self, info: ToyInfo) -> AsyncGenerator[str, None]:
        world = info.context.world
        world.running += 1
        try:
            while True:
                yield "x" * 10_000
        finally:
            world.running -= 1
            world.finished += 1

    @strawberry.subscription(metadata=SIGNED_IN)  # type: ignore[untyped-decorator]
    async def private(self) -> AsyncGenerator[int, None]:
        yield 1

    @strawberry.subscription
    async def breaks(self) -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("private")


FILE = strawberry.scalar(name="Upload", serialize=str, parse_value=as_file)
schema = strawberry.Schema(Query, Mutation, Subscription, config=StrawberryConfig(scalar_map={File: FILE}))


def toy_app(  # noqa: PLR0913  each is something that a test sets
    world: World,
    *,
    limits: Limits | None = None,
    admission: Admission | None = None,
    operation_timeout: float = 15.0,
    init_timeout: float = 10.0,
    send_timeout: float = 10.0,
    form_timeout: float = 10.0,
    origins: tuple[str, ...] = (),
    compress: bool = True,
    max_sockets: int = 100,
) -> Starlette:
    """The toy as an application; the token is the identity, and "bad" is a bad one."""

    async def authenticate(token: str | None) -> str | None:
        if world.authentication_down:
            raise Outage
        return None if token == "bad" else token

    def make_context(identity: str | None, request_id: str, address: str) -> Context:
        context = Context(world, identity, request_id, address)
        world.contexts.append(context)
        return context

    hooks = Hooks(
        authenticate=authenticate,
        make_context=make_context,
        identity_of=lambda context: context.identity,
        watch=world.watch,
        is_outage=lambda error: isinstance(error, Outage),
        account=lambda identity: identity,
    )
    engine = Engine(schema, hooks, limits=limits, operation_timeout=operation_timeout, admission=admission)
    drain = Drain()
    health = Health({"mongo": world.check}, drain, wanted={"s3": world.check_storage}, is_stuck=lambda: world.stuck)
    timeouts = {"init_timeout": init_timeout, "send_timeout": send_timeout}
    socket = GraphQLSocket(engine, drain, origins=origins, max_sockets=max_sockets, **timeouts)
    app = Starlette(
        routes=routes(engine, health, graphiql=True, origins=origins, form_timeout=form_timeout),
        middleware=middleware(socket, origins, compress=compress),
        lifespan=_lifespan,
    )
    app.state.drain = drain
    app.state.world = world
    app.state.admission = admission
    return app


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    yield


if __name__ == "__main__":
    configure_logging("json", "INFO")
    port, notice, drain = map(float, sys.argv[1:])
    settings = Settings(port=int(port), drain_timeout=drain, drain_notice=notice, environment="test")
    with closing(listen(settings.host, settings.port)) as listener:
        build_server(toy_app(World()), settings).run([listener])
