"""Everything that is read through Redis; `docs/design/caches.md` says how old each can be."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import Metric

from datasources.accounts.cached_users import UserCache, user_cache
from datasources.discovery.known_people import KnownPeopleCache, known_people_cache
from datasources.feed.first_pages import FirstPagesCache, first_pages_cache
from datasources.graph.cached_relations import RelationCache, relation_cache
from datasources.posts.cached_comments import CommentCache, comment_cache
from datasources.posts.cached_posts import PostCache, post_cache
from datasources.posts.kept_likes import LikeMarks, like_marks
from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Cache
from datasources.telemetry.metrics import counters


class Caches:
    """What is read through Redis, each declared in the package whose values it holds.

    Only `datasources/loaders.py`, the feed and searches for people read here; stores invalidate what they write.
    """

    def __init__(self, servers: CacheServers) -> None:
        self.aclose = servers.aclose
        self.users: UserCache = user_cache(servers)
        self.posts: PostCache = post_cache(servers)
        self.comments: CommentCache = comment_cache(servers)
        self.relations: RelationCache = relation_cache(servers)
        self.like_marks: LikeMarks = like_marks(servers)
        self.first_pages: FirstPagesCache = first_pages_cache(servers)
        self.known_people: KnownPeopleCache = known_people_cache(servers)

    def read_counts(self) -> Iterator[Metric]:
        """How many keys were found, and not found, by the kind of value; for Prometheus."""
        caches: dict[str, Cache[Any, Any]] = {
            "users": self.users,
            "posts": self.posts,
            "comments": self.comments,
            "relations": self.relations,
            "likes": self.like_marks,
            "first_pages": self.first_pages,
            "known_people": self.known_people,
        }
        samples = [
            ((name, result), count)
            for name, cache in caches.items()
            for result, count in (("hit", cache.hits), ("miss", cache.misses))
        ]
        yield counters("photogram_cache_reads", "Keys read from the cache.", ("cache", "result"), samples)
