"""What a mutation costs over HTTP: processor time and commands to MongoDB: `python -m benchmarks.writes`."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import typer
from bson import ObjectId

from benchmarks.lib.checkouts import Before, CheckoutApi, checkout_api, compared
from benchmarks.lib.documents import posts, users
from benchmarks.lib.http_callers import Caller, request_of
from benchmarks.lib.loads import mongod
from benchmarks.lib.mutations import (
    ADD_COMMENT,
    ADD_COMMENT_ONCE,
    FOLLOW,
    LIKE_COMMENT,
    LIKE_POST,
    UNLIKE_POST,
    spread,
    upload_requests,
)
from benchmarks.lib.report import Table, median, rounds, show, times
from benchmarks.lib.servers import finish, servers, stores
from benchmarks.lib.unit_costs import Save, save_unit_costs
from datasources.mongo import clock
from datasources.mongo.sharded_ids import new_id
from datasources.sources import Sources
from domain.ids import to_global_id
from tests.support.api_process import cpu_seconds

LONGEST = 900.0
BUDGET = 300.0  # seconds of rounds
AUTHORS = 300
POSTS_EACH = 5
ACTORS = 50  # who act in turn
UPLOADERS = 300  # each may announce ten files
WARM_UP = 60
NO_COMMANDS = {"hello", "isMaster", "ping", "serverStatus", "getMore"}  # what each connection or this command sends


class Spent(NamedTuple):
    """What one mutation has taken: milliseconds of the API and of MongoDB, and commands to MongoDB."""

    api: float
    mongod: float
    commands: float


class Side:
    """One checkout's API, people, posts and comments in its database, and what its mutations have taken."""

    def __init__(self, api: CheckoutApi, sources: Sources) -> None:
        self._api = api
        self._sources = sources
        self._requests: dict[str, Iterator[bytes]] = {}
        self.spent: dict[str, list[Spent]] = {}

    async def prepare(self) -> None:
        """Fills the database. No request comes twice, but each like is also repeated and taken back."""
        now, sources = clock.now(), self._sources
        tokens = await _tokens(sources, ACTORS)
        authors = await users(sources, AUTHORS)
        post_ids = await posts(sources, authors * POSTS_EACH)
        on_posts = zip(post_ids, authors, strict=False)
        added = [
            await sources.commenting.add(post_id, author_id, "Where?", now, new_id=new_id(author_id))
            for post_id, author_id in on_posts
        ]
        self._requests = {
            "likePost": _requests(LIKE_POST, tokens, "Post", post_ids),
            "likePost, repeated": _requests(LIKE_POST, tokens, "Post", post_ids),
            "unlikePost": _requests(UNLIKE_POST, tokens, "Post", post_ids),
            "likeComment": _requests(LIKE_COMMENT, tokens, "Comment", [comment.id for comment in added]),
            "addComment": _requests(ADD_COMMENT, tokens, "Post", post_ids),
            "addComment, with a key": _requests(ADD_COMMENT_ONCE, tokens, "Post", post_ids),
            "followUser": _requests(FOLLOW, tokens, "User", authors),
            "createUpload": upload_requests(await _tokens(sources, UPLOADERS)),
        }

    @property
    def cases(self) -> Sequence[str]:
        return list(self._requests)

    async def run(self, case: str, count: int, callers: int, *, keep: bool) -> None:
        """Sends the next requests of a case; with `keep`, notes what they have taken."""
        batch = list(itertools.islice(self._requests[case], count))
        async with Caller.many(self._api.port, callers) as senders:
            commands = await self._commands()
            api, stored = self._api.cpu, cpu_seconds(mongod())
            await asyncio.gather(*(_send(sender, batch[number::callers]) for number, sender in enumerate(senders)))
            api, stored = self._api.cpu - api, cpu_seconds(mongod()) - stored
            commands = await self._commands() - commands
        if keep:
            self.spent.setdefault(case, []).append(Spent(api / count * 1000, stored / count * 1000, commands / count))

    async def _commands(self) -> int:
        status = await self._sources.database.command("serverStatus")
        told = status["metrics"]["commands"]
        return sum(of["total"] for name, of in told.items() if isinstance(of, dict) and name not in NO_COMMANDS)


def main(
    before: Before = None,
    callers: Annotated[int, typer.Option(min=1, help="How many send at the same time.")] = 1,
    requests: Annotated[int, typer.Option(min=1, help="Mutations of a case in a round.")] = 300,
    limit: Annotated[int, typer.Option("--rounds", min=1, help="Rounds.")] = 7,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    save: Save = False,
) -> None:
    """Sends mutations to one API process of each checkout in turns, without workers, and counts what they take."""
    with servers() as settings, contextlib.ExitStack() as stack:
        apis = [stack.enter_context(checkout_api(name, path, settings)) for name, path in compared(before).items()]
        sides = finish(_measure(apis, callers, requests, limit), LONGEST)
    show([_table(sides, callers)], ["pymongo", "strawberry-graphql"], markdown=markdown)
    if save:
        save_unit_costs({case: _costs(spent) for case, spent in sides[0].spent.items()})


async def _measure(apis: Sequence[CheckoutApi], callers: int, requests: int, limit: int) -> list[Side]:
    async with contextlib.AsyncExitStack() as stack:
        sides = [Side(api, await stack.enter_async_context(stores(api.settings))) for api in apis]
        for side in sides:
            await side.prepare()
        for number in rounds(limit + 1, BUDGET):
            for case in sides[0].cases:
                for side in sides:
                    await side.run(case, requests if number else WARM_UP, callers, keep=number > 0)
    return sides


async def _tokens(sources: Sources, count: int) -> list[str]:
    """Access tokens of so many new people."""
    opened = [await sources.sessions.open(person, None, clock.now()) for person in await users(sources, count)]
    return [tokens.access_token for _, tokens in opened]


def _requests(query: str, tokens: Sequence[str], noun: str, ids: Sequence[ObjectId]) -> Iterator[bytes]:
    for token, thing_id in spread(tokens, ids):
        yield request_of(query, token, {"id": to_global_id(noun, thing_id)})


async def _send(caller: Caller, batch: Sequence[bytes]) -> None:
    for request in batch:
        answer = await caller.ask(request)
        if answer.outcome != "data":
            raise RuntimeError(answer.outcome)


def _table(sides: Sequence[Side], callers: int) -> Table:
    now, *others = sides
    columns = ["CPU ms of the API", "of MongoDB", "commands"]
    compared = [*(f"before: {name}" for name in columns), "API, now / before", "MongoDB, now / before"]
    table = Table(f"A mutation, {callers} at a time", ["", *columns, *compared * len(others)])
    for case, spent in now.spent.items():
        row = [case, *_cells(spent)]
        for side in others:
            old = side.spent[case]
            api = times([each.api for each in spent], [each.api for each in old])
            row += [*_cells(old), api, times([each.mongod for each in spent], [each.mongod for each in old])]
        table.rows.append(row)
    return table


def _costs(spent: Sequence[Spent]) -> dict[str, float]:
    api, stored, commands = (median(values) for values in zip(*spent, strict=True))
    return {"api_ms": api, "mongodb_ms": stored, "mongodb_commands": commands}


def _cells(spent: Sequence[Spent]) -> list[str]:
    api, stored, commands = (median(values) for values in zip(*spent, strict=True))
    return [f"{api:.2f}", f"{stored:.2f}", f"{commands:.1f}"]


if __name__ == "__main__":
    typer.run(main)
