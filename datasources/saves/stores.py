"""The stores of what people save."""

from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database
from datasources.mongo.sharded_ids import ShardedIds
from datasources.saves.collection_posts import CollectionPostStore
from datasources.saves.collections import CollectionStore
from datasources.saves.savers import SaverStore
from datasources.saves.saves import SaveStore


class SavedStores:
    """Saved posts, collections of them, and how much of it an account has."""

    def __init__(self, database: Database, job_queue: JobQueue, sharded_ids: ShardedIds) -> None:
        self.savers = savers = SaverStore(database)
        self.collection_posts = collection_posts = CollectionPostStore(database)
        self.posts = SaveStore(database, savers, collection_posts, sharded_ids)
        self.collections = CollectionStore(database, job_queue, savers, collection_posts)
