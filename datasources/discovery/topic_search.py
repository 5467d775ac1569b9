"""Finding hashtags and places by their names: those that posts are listed under, which strangers may see.

`topics` lies by ids, so in a cluster a search asks every shard, each for one page.
"""

from datasources.mongo.client import Database, Readable
from datasources.mongo.search_keys import KEYS, find_by_key
from domain.paging import Match
from domain.topic_search import MATCH_GROUPS
from domain.topics import TopicKind


class TopicSearch:
    """Reads of `topics` by the keys that `datasources/posts/topics.py` keeps there."""

    def __init__(self, database: Database) -> None:
        self._topics: Readable = database["topics"]

    async def named(self, kind: TopicKind, key: str, limit: int, after: Match | None = None) -> list[Match]:
        """As `find_by_key`, of topics of one kind."""
        fields = KEYS[:1] if kind is TopicKind.HASHTAG else KEYS
        where = {"kind": kind.value}
        return await find_by_key(self._topics, fields, key, limit, after, MATCH_GROUPS[kind], where)
