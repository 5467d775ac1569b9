"""Searches among many people, by GraphQL: `python -m benchmarks.search`."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer
from bson import ObjectId

from benchmarks.lib.documents import follow, insert
from benchmarks.lib.loads import Stopwatch
from benchmarks.lib.people_names import NameMaker, Names
from benchmarks.lib.report import Table, show
from benchmarks.lib.servers import Api, finish, servers, session_of, stores, widen_cache
from benchmarks.lib.timed_pages import time_kinds
from config import Settings
from datasources.accounts.search_terms import search_fields
from datasources.mongo import clock
from datasources.mongo.prepared import ensure_indexes
from datasources.sources import Sources
from domain.folding import folded_words
from domain.ids import from_global_id
from domain.records.users import UserState

LONGEST = 3_000.0
BUDGET = 120.0  # seconds of rounds for each size
KNOWN = 300  # whom the viewer follows, and as many who follow the viewer
SAMPLE = 200  # searches with a typing error, of each kind
CHUNK = 20_000
PAGE = 20
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SEARCH = """
query Search($text: String!, $first: Int, $after: String) {
  search(query: $text, first: $first, after: $after) {
    edges { cursor node { ... on User { id username displayName viewerIsFollowing } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
SUGGEST = "query Suggest($text: String!, $first: Int) { suggestHandles(prefix: $text, first: $first) { id username } }"


def main(
    users: Annotated[list[int] | None, typer.Option(min=1_000, help="How many accounts; repeatable.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of every kind of search in turn.")] = 60,
    grown: Annotated[bool, typer.Option("--grown", help="Keep the indexes while accounts are inserted.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Searches by beginnings of names, whole names and names with a typing error, beside a find by id."""
    for count in users or [10_000, 100_000]:
        with servers() as settings:
            tables = finish(_measure(settings, count, repeat, grown=grown), LONGEST)
        show(tables, ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(settings: Settings, count: int, repeat: int, *, grown: bool) -> list[Table]:
    async with stores(settings) as sources:
        await widen_cache(sources)
        people = await _populate(sources, count, grown=grown)
        world = _World(sources, people)
        times = await world.times(repeat)
        return [times, await world.recall(), await world.bytes(), await world.changes()]


async def _populate(sources: Sources, count: int, *, grown: bool) -> list[tuple[ObjectId, Names]]:
    """Accounts whose followers are distributed by a power law, without avatars.

    Their indexes are built at the end unless they are to grow: a million inserts would take a quarter of an hour.
    """
    if not grown:
        await sources.database["users"].drop_indexes()
    maker, chance, people = NameMaker(count), random.Random(count), list[tuple[ObjectId, Names]]()
    for start in range(0, count, CHUNK):
        rows = list[dict[str, Any]]()
        for _ in range(min(CHUNK, count - start)):
            user_id, names = ObjectId(), maker.make()
            row: dict[str, Any] = {"_id": user_id, "username": names.handle, "username_key": names.handle}
            row |= {"email": f"{user_id}@example.com", "email_key": f"{user_id}@example.com", "password_hash": ""}
            row |= {"display_name": names.display, "created_at": clock.now(), "state": UserState.ACTIVE.value}
            row["follower_count"] = int(5 * chance.paretovariate(0.8)) - 5
            rows.append(row | {"search": search_fields(row)})
            people.append((user_id, names))
        await insert(sources, "users", rows)
        claims = [{"_id": f"username_key:{row['username']}", "user_id": row["_id"]} for row in rows]
        await insert(sources, "claims", claims)
    await ensure_indexes(sources.database)
    return people


class _World:
    """Everybody, and one viewer who knows some of them."""

    def __init__(self, sources: Sources, people: Sequence[tuple[ObjectId, Names]]) -> None:
        self._sources, self._people = sources, people
        self._api, self._chance = Api(sources), random.Random(7)
        self._viewer = people[0][0]
        self._session = session_of(self._viewer)

    async def times(self, repeat: int) -> Table:
        """What searches take, and a find of one document by its id, in the same rounds."""
        await self._get_to_know()
        kinds: dict[str, Callable[[], Awaitable[Any]]] = {
            "find one by id, bare": lambda: self._sources.database["users"].find_one({"_id": self._person()[0]}),
            "first letter": lambda: self._search(self._person()[1].display[:1]),
            "first 3 letters of a name": lambda: self._search(self._person()[1].display[:3]),
            "a whole name": lambda: self._search(self._person()[1].display),
            "a last name": lambda: self._search(self._person()[1].display.split()[-1]),
            "a whole handle": lambda: self._search(self._person()[1].handle),
            "a handle with an error": lambda: self._search(self._misspell(self._person()[1].handle)),
            "a name with an error": lambda: self._search(self._misspell(self._person()[1].display)),
            "second page of 3 letters": self._second_page,
            "suggestHandles, 3 letters": lambda: self._suggest(self._person()[1].handle[:3]),
        }
        return await time_kinds(f"Searches among {len(self._people):,} accounts", kinds, repeat, BUDGET)

    async def recall(self) -> Table:
        """How often a search with one error finds, on its first page, whom the right spelling finds there.

        And how often it finds there somebody of the name that was meant.
        """
        rows = list[Sequence[str]]()
        kinds: dict[str, Callable[[Names], str]] = {
            "handle": lambda names: names.handle,
            "whole name": lambda names: names.display,
            "last name": lambda names: names.display.split()[-1],
        }
        for kind, part in kinds.items():
            asked = there = named = 0
            for _ in range(SAMPLE):
                user_id, names = self._person()
                text = part(names)
                if sum(map(len, folded_words(text))) < 5 or user_id not in await self._found(text):
                    continue
                found = await self._found(self._misspell(text))
                asked += 1
                there += user_id in found
                named += any(folded_words(part(each)) == folded_words(text) for each in found.values())
            shares = (f"{100 * share / max(1, asked):.1f} %" for share in (there, named))
            rows.append([kind, str(asked), *shares])
        title = f"Found in spite of one error, among {len(self._people):,} accounts"
        return Table(title, ["", "searches", "the account is found", "its name is found"], rows)

    async def bytes(self) -> Table:
        """Bytes of the indexes for an account: of their files, and without what is free in these."""
        await self._sources.client.admin.command("fsync")
        stats = await self._sources.database.command("collStats", "users", indexDetails=True)
        blocks = {name: each["block-manager"] for name, each in stats["indexDetails"].items() if "search." in name}
        files = {name: each["file size in bytes"] for name, each in blocks.items()}
        used = {name: files[name] - each["file bytes available for reuse"] for name, each in blocks.items()}
        sizes = [(name, used[name], files[name]) for name in sorted(files)]
        sizes.append(("together", sum(used.values()), sum(files.values())))
        rows: list[Sequence[str]] = [
            [name, *(f"{size / len(self._people):.1f}" for size in both)] for name, *both in sizes
        ]
        return Table(f"Bytes of index for an account, of {len(self._people):,}", ["", "used", "file"], rows)

    async def changes(self) -> Table:
        """What a change of the name costs, beside one of the biography."""
        users, rows = self._sources.users, list[Sequence[str]]()
        kinds: dict[str, Callable[[], dict[str, Any]]] = {
            "biography": lambda: {"biography": str(self._chance.random())},
            "name": lambda: {"display_name": self._person()[1].display},
        }
        for name, change in kinds.items():
            watch = Stopwatch()
            for _ in range(200):
                await users.update_profile(self._person()[0], change())
            load = watch.load(200)
            rows.append([name, f"{load.own_cpu * 5:.2f}", f"{load.mongo_cpu * 5:.2f}"])
        return Table("A change of", ["", "CPU ms, ours", "CPU ms, MongoDB's"], rows)

    async def _get_to_know(self) -> None:
        known = self._chance.sample([user_id for user_id, _ in self._people[1:]], 2 * KNOWN)
        follows = [follow(self._viewer, user_id, slot) for slot, user_id in enumerate(known[:KNOWN])]
        follows += [follow(user_id, self._viewer, 0) for user_id in known[KNOWN:]]
        await insert(self._sources, "follows", follows)
        followers = [{"_id": {"u": self._viewer, "f": user_id}} for user_id in known[KNOWN:]]
        await insert(self._sources, "followers", followers)

    def _person(self) -> tuple[ObjectId, Names]:
        return self._chance.choice(self._people)

    def _misspell(self, text: str) -> str:
        """The text with one error: a letter left out, too much or wrong, or two that changed places."""
        while True:
            at, letter = self._chance.randrange(len(text)), self._chance.choice(LETTERS)
            before, here, after = text[:at], text[at], text[at + 1 :]
            wrong = [before + after, before + letter + here + after, before + letter + after]
            wrong.append(before + after[:1] + here + after[1:])
            typed = self._chance.choice(wrong)
            if folded_words(typed.replace("_", " ")) != folded_words(text.replace("_", " ")):
                return typed

    async def _search(self, text: str, after: str | None = None) -> Any:
        return await self._api.run(SEARCH, self._session, text=text, first=PAGE, after=after)

    async def _suggest(self, text: str) -> Any:
        return await self._api.run(SUGGEST, self._session, text=text)

    async def _second_page(self) -> Any:
        text = self._person()[1].display[:3]
        page = (await self._search(text))["search"]["pageInfo"]
        return await self._search(text, after=page["endCursor"])

    async def _found(self, text: str) -> dict[ObjectId, Names]:
        nodes = [edge["node"] for edge in (await self._search(text))["search"]["edges"]]
        return {from_global_id(node["id"])[1]: Names(node["username"], node["displayName"]) for node in nodes}


if __name__ == "__main__":
    typer.run(main)
