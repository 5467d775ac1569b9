"""The client of MongoDB reads and writes as Photogram needs it, whatever the address of the settings says."""

from pymongo import ReadPreference

from config import Settings
from datasources.mongo.client import open_mongo


async def test_reads_go_to_the_primary_and_writes_wait_for_the_majority_whatever_the_address_says() -> None:
    url = "mongodb://127.0.0.1:1,127.0.0.1:2/?replicaSet=photogram&readPreference=secondary&w=1"
    async with open_mongo(Settings(environment="test", mongo_url=url)) as client:
        assert client.read_preference == ReadPreference.PRIMARY
        assert client.write_concern.document == {"w": "majority"}
