"""The stores by which people find accounts and posts."""

from datasources.discovery.caption_search import CaptionSearch
from datasources.discovery.mutual_followers import MutualFollowerStore
from datasources.discovery.people_search import PeopleSearch
from datasources.discovery.topic_search import TopicSearch
from datasources.mongo.client import Database


class DiscoveryStores:
    """What searches and suggestions read."""

    def __init__(self, database: Database) -> None:
        self.people, self.mutual_followers = PeopleSearch(database), MutualFollowerStore(database)
        self.topics, self.captions = TopicSearch(database), CaptionSearch(database)
