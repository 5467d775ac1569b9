"""A schema that can wait, fail, count and stream, for tests of the transports."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import suppress
from dataclasses import field
from typing import Annotated

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

from domain.errors import NotFound, Unauthenticated
from resolvers.transport.audiences import Reader
from resolvers.transport.bad_tokens import ANSWERS_BAD_TOKEN
from schema.field_metadata import SIGNED_IN, bounded
from schema.fields import plain
from tests.support.toy.world import Context, Outage, World

ToyInfo = Info[Context, None]


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
        return [Post(id=post_id) for post_id in ids]

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
        """Never ends, not even when cancelled."""
        info.context.world.running += 1
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    @strawberry.field
    def block(self, seconds: float = 3600) -> str | None:
        """Blocks the whole process."""
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
    async def measure(self, info: ToyInfo, file: File) -> str | None:
        """Counts the bytes of a file."""
        return await count_bytes(info.context.world, file)

    @strawberry.mutation
    async def measure_parcel(self, info: ToyInfo, parcel: Parcel) -> str | None:
        return await count_bytes(info.context.world, parcel.files[-1])

    @strawberry.mutation
    def post_notes(self, pile: Pile) -> int:
        return len(pile.notes)

    @strawberry.mutation(metadata=SIGNED_IN)  # type: ignore[untyped-decorator]
    def keep_notes(self, pile: Pile) -> int:
        return len(pile.notes)

    @strawberry.mutation
    def refuse(self, file: File) -> str | None:  # noqa: ARG002  it reads nothing of the file
        raise Unauthenticated


async def count_bytes(world: World, file: File) -> str:
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
class Entry:
    number: int

    @strawberry.field
    def echo(self, info: ToyInfo, text: str = "") -> str:
        info.context.world.executed.append((info.context.identity, self.number))
        return f"{info.context.identity}{text}"


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
    async def log(self, info: ToyInfo, after: int = 0) -> AsyncGenerator[Entry, None]:
        log, reader = info.context.world.log, Reader.of("log", after)
        async with log.listening() as news:
            while True:
                news.clear()
                for number in await log.read(reader.position):
                    reader.position = number
                    yield Entry(number=number)
                await reader.wait(news.wait)

    @strawberry.subscription
    async def breaks(self) -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("private")


FILE = strawberry.scalar(name="Upload", serialize=str, parse_value=as_file)
schema = strawberry.Schema(Query, Mutation, Subscription, config=StrawberryConfig(scalar_map={File: FILE}))
