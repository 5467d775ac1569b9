"""Collections that are made of another one's documents, for databases of a version that did not have them."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo import timeout
from pymongo.errors import OperationFailure

from datasources.mongo.client import LONGEST_SECONDS, Database, Document


async def copy_into(database: Database, source: str, target: str, stages: Sequence[Document]) -> None:
    """Makes a collection of what these stages make of another one, all or nothing; not if it is there already.

    Safe to repeat and to run side by side. It may take `LONGEST_SECONDS`.
    """
    begun = f"{target}_copy_"
    names = await database.list_collection_names()
    if target not in names and source in names:
        copy = f"{begun}{ObjectId()}"
        with timeout(LONGEST_SECONDS):
            try:
                await (await database[source].aggregate([*stages, {"$out": copy}])).to_list()
                await database[copy].rename(target)
            except OperationFailure:
                if target not in await database.list_collection_names():
                    raise  # else another process was first
        names = await database.list_collection_names()
    for name in names:
        if name.startswith(begun):
            await database.drop_collection(name)  # what others, or who died, have begun
