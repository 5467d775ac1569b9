"""Bytes that MongoDB stores of each kind of document, with its indexes: `python -m benchmarks.stored`.

The documents are what the product's own stores and workers left; each is copied often, with other ids and other words.
"""

import random
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import typer
from bson import ObjectId

from benchmarks.lib.documents import insert
from benchmarks.lib.report import Table, show
from benchmarks.lib.servers import finish, servers, stores
from benchmarks.lib.unit_costs import Save, save_unit_costs
from config import Settings
from datasources.sources import Sources
from domain.image_formats import SourceFormat
from domain.records.uploads import UploadStatus
from tests.support.factories import World, image, now

LONGEST = 600.0
WORDS = ["low", "sun", "over", "harbour", "just", "before", "rain", "came", "and", "we", "walked", "home", "along"]
KINDS = {  # of each, the collections that it takes
    "user": ["users", "claims"],
    "follow": ["follows", "followers"],
    "post": ["posts"],
    "upload": ["uploads"],
    "like": ["post_likes"],
    "comment": ["comments"],
    "notification": ["notifications"],
}


class Sizes(NamedTuple):
    """Bytes a document: of data, as stored, of the indexes."""

    data: float
    stored: float
    indexes: float

    @property
    def together(self) -> float:
        return self.stored + self.indexes


def main(
    copies: Annotated[int, typer.Option(min=100, help="Documents of each kind.")] = 20_000,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    save: Save = False,
) -> None:
    """Makes one document of each kind by the product's own stores and workers, copies it, and asks MongoDB."""
    with servers() as settings:
        found = finish(_measure(settings, copies), LONGEST)
    columns = ["data", "stored, compressed", "indexes", "together"]
    table = Table(f"Bytes of a document ({copies:,} of each)", ["", *columns])
    table.rows = [[kind, *(f"{each:.0f}" for each in sizes), f"{sizes.together:.0f}"] for kind, sizes in found.items()]
    show([table], ["pymongo"], markdown=markdown)
    if save:
        save_unit_costs({"bytes of a document": {f"{kind}_bytes": of.together for kind, of in found.items()}})


async def _measure(settings: Settings, copies: int) -> dict[str, Sizes]:
    async with stores(settings) as sources:
        await _act(World(sources))
        found = {}
        for kind, collections in KINDS.items():
            sizes = [await _sizes(sources, name, copies) for name in collections]
            found[kind] = Sizes(*map(sum, zip(*sizes, strict=True)))
        return found


async def _act(world: World) -> None:
    """One of everything, with nothing pending."""
    author, reader = await world.users(2)
    await world.open_feeds(author, reader)
    await world.follow(reader, author)
    post = await world.post(author, caption=" ".join(WORDS[:12]), hashtags=["harbour", "evening"])
    await world.sources.post_likes.like(post.id, reader.id, post.created_at)
    await world.comment(post, reader, " ".join(WORDS[:6]))
    await world.drain()
    upload = await world.sources.uploads.announce(author.id, SourceFormat.JPEG, 3_000_000, "A" * 43 + "=", now())
    rendered = {"status": UploadStatus.READY.value, "image": image(upload.id).to_document()}
    done = {"$set": rendered, "$unset": dict.fromkeys(("outbox", "due_at"), "")}
    await world.sources.database["uploads"].update_one({"_id": upload.id}, done)


async def _sizes(sources: Sources, name: str, copies: int) -> Sizes:
    """Of one collection. Raises RuntimeError if there is no document to copy."""
    collection, chance = sources.database[name], random.Random(name)
    sample = await collection.find_one()
    if sample is None:
        raise RuntimeError(f"no {name}")
    await insert(sources, name, [_copied(sample, chance, {}) for _ in range(copies)])
    await sources.client.admin.command("fsync")
    stats = await sources.database.command("collStats", name)
    count = stats["count"]
    return Sizes(stats["size"] / count, stats["storageSize"] / count, stats["totalIndexSize"] / count)


def _copied(value: Any, chance: random.Random, ids: dict[ObjectId, ObjectId]) -> Any:
    """The same with other ids, and other words and letters in its texts; equal ids stay equal."""
    if isinstance(value, ObjectId):
        return ids.setdefault(value, ObjectId())
    if isinstance(value, Mapping):
        return {key: _copied(each, chance, ids) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each, chance, ids) for each in value]
    if isinstance(value, str) and " " in value:
        return " ".join(chance.choice(WORDS) for _ in value.split())
    if isinstance(value, str) and len(value) > 12:
        return value[:8] + f"{chance.getrandbits(4 * (len(value) - 8)):x}"
    return value


if __name__ == "__main__":
    typer.run(main)
