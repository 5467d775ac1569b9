"""Finding ids: all up to a limit come with the first answer."""

from collections import Counter

from datasources.mongo.queries import find_ids
from tests.support.factories import World
from tests.support.operation_counter import OperationCounter


async def test_ids_up_to_a_limit_are_found_by_one_operation(counted: World, operations: OperationCounter) -> None:
    numbers = counted.sources.database["numbers"]
    await numbers.insert_many([{"_id": number} for number in range(300)])
    operations.counts.clear()
    assert await find_ids(numbers, {}, sort=[("_id", 1)], limit=250) == list(range(250))
    assert operations.counts == Counter({"find numbers": 1})
