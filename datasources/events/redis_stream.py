"""Public events in a stream of Redis, of which the newest are kept.

Each entry has a `number` that grows by one, so a reader sees what it missed: it was away for longer than events are
kept, or Redis has lost them. Both keys lie in one slot of a cluster: the hash tag
is `events`.
"""

from collections.abc import Sequence

import orjson

from config import Settings
from datasources.redis.servers import RedisServers
from domain.events import Event

_ADD = """
for index = 2, #ARGV do
    local number = redis.call('INCR', KEYS[2])
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'number', number, 'event', ARGV[index])
end
"""


def stream_key(prefix: str) -> str:
    """The key of the stream."""
    return f"{prefix}{{events}}"


class RedisEventStream:
    """As `EventSink`: acknowledged events are there until they are trimmed or Redis loses them."""

    def __init__(self, servers: RedisServers, settings: Settings) -> None:
        self._servers = servers
        self._stream = stream_key(settings.key_prefix)
        self._source = settings.events_source
        self._length = settings.events_stream_length

    async def send(self, events: Sequence[Event]) -> None:
        """Appends all of these events, or none, in one step."""
        texts = [orjson.dumps(event.to_cloud_event(self._source)) for event in events]
        keys = self._stream, f"{self._stream}:number"
        await self._servers.of(self._stream).eval(_ADD, len(keys), *keys, str(self._length), *texts)
