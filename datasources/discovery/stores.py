"""The stores by which people find accounts and posts."""

from pymongo import ReadPreference

from datasources.discovery.activity import RecentActivity
from datasources.discovery.caption_search import CaptionSearch
from datasources.discovery.dismissals import DismissalStore
from datasources.discovery.holds import HoldStore
from datasources.discovery.known_people import KnownPeopleCache
from datasources.discovery.mutual_followers import MutualFollowerStore
from datasources.discovery.people_search import PeopleSearch
from datasources.discovery.snapshots import SnapshotStore
from datasources.discovery.suggestions import SuggestionStore
from datasources.discovery.topic_search import TopicSearch
from datasources.mongo.client import Database
from datasources.mongo.sharded_ids import ShardedIds


class DiscoveryStores:
    """What searches, suggestions and explore read."""

    def __init__(self, database: Database, sharded_ids: ShardedIds, known_people: KnownPeopleCache) -> None:
        self.people, self.mutual_followers = PeopleSearch(database, known_people), MutualFollowerStore(database)
        self.topics, self.captions = TopicSearch(database), CaptionSearch(database)
        self.snapshots, self.holds = SnapshotStore(database), HoldStore(database)
        lagging = database.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)  # it spares the primary
        self.activity = RecentActivity(lagging)
        self.dismissals = DismissalStore(database)
        self.suggestions = SuggestionStore(database, self.dismissals, sharded_ids)
