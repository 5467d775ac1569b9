"""The making of indexes on databases that have many documents already."""

import pytest
from pymongo import monitoring

from config import Settings
from datasources.mongo.client import LONGEST_SECONDS, open_mongo
from datasources.mongo.copies import copy_into
from datasources.mongo.prepared import ensure_indexes, missing_indexes


class Limits(monitoring.CommandListener):
    """The longest time that MongoDB is given for each command, in milliseconds."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        limit = event.command.get("maxTimeMS", 0)
        self.longest[event.command_name] = max(limit, self.longest.get(event.command_name, 0))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Noted when it started."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Noted when it started."""


@pytest.mark.new_database
async def test_what_goes_through_a_collection_may_take_longer_than_a_request(settings: Settings) -> None:
    limits = Limits()
    async with open_mongo(settings, [limits]) as client:
        database = client[settings.mongo_database]
        await database["old"].insert_one({"_id": 1})
        await copy_into(database, "old", "new", [{"$match": {}}])
        await ensure_indexes(database)
        assert await missing_indexes(database) == []
        assert await database["new"].count_documents({}) == 1
    request = settings.mongo_timeout * 1000
    assert limits.longest["insert"] <= request
    assert request * 100 < limits.longest["createIndexes"] <= LONGEST_SECONDS * 1000
    assert request * 100 < limits.longest["aggregate"] <= LONGEST_SECONDS * 1000
