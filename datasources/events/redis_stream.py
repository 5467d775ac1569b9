"""Public events in a stream of Redis, of which the newest are kept, and none for long: they hold words and ids.

Each entry has a `number` that grows by one, so a reader sees what it missed: it was away for longer than events are
kept, or Redis has lost them. Both keys lie in one slot of a cluster: the hash tag
is `events`.
"""

from collections.abc import Sequence

import orjson

from config import Settings
from datasources.redis.servers import RedisServers
from domain.events import Event

# The age is that of the clock of Redis, which numbers the entries. Trimming by age is exact: a stream that grows slowly
# never fills a block.
_TRIM = """
local oldest = string.format('%.0f', (redis.call('TIME')[1] - ARGV[1]) * 1000)
local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', '=', oldest)
"""
_ADD = f"""{_TRIM}
for index = 3, #ARGV do
    local number = redis.call('INCR', KEYS[2])
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'number', number, 'event', ARGV[index])
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
        self._seconds = _seconds_kept(settings)

    async def send(self, events: Sequence[Event]) -> None:
        """Appends all of these events, or none, and removes those that are too old, in one step."""
        texts = [orjson.dumps(event.to_cloud_event(self._source)) for event in events]
        keys = self._stream, f"{self._stream}:number"
        await self._servers.of(self._stream).eval(_ADD, len(keys), *keys, self._seconds, str(self._length), *texts)


async def trim_events(servers: RedisServers, settings: Settings) -> int:
    """Removes events that are too old from the stream, also if no new ones come; returns how many. Safe to repeat."""
    stream = stream_key(settings.key_prefix)
    return int(await servers.of(stream).eval(f"{_TRIM} return trimmed", 1, stream, _seconds_kept(settings)))


def _seconds_kept(settings: Settings) -> str:
    return str(round(settings.events_stream_days * 86_400))
