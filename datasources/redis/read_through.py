"""A read-through cache over Redis that never keeps a value older than the last write: leases (docs/adr/0007-caches.md).

A key holds a value, or the lease of the caller who loads it. An invalidation removes either, so a loader that read
before a write finds its lease gone and stores nothing. If Redis is slow, away or emptied, values are read from their
source, and nothing is raised.
"""

import contextlib
import zlib
from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum
from itertools import chain, islice
from secrets import token_bytes
from typing import Any, Generic, TypeVar

import msgspec
from bson import ObjectId

from datasources.redis.cache_server import CacheDown
from datasources.redis.cache_servers import CacheServers, Lease
from datasources.redis.decoded_values import DecodedValues
from domain.ids import raw_ids

Key = TypeVar("Key")
Value = TypeVar("Value")
Name = TypeVar("Name")
Load = Callable[[Sequence[Key]], Awaitable[Sequence[Value]]]

MISSING_SECONDS = 5.0  # the life of None, which says that nothing is there
DECODED_BYTES = 4 * 1024 * 1024  # of each kind, encoded, are kept decoded, which takes some five times as much
PAUSES = (0.0, 0.005, 0.015, 0.03)  # before each look for a value that another is loading
_LEASE, _VALUE = b"L", b"V"
_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: value.binary)  # ObjectId is the only type it does not know


class _Gap(Enum):
    """What there is in the place of a value."""

    NOTHING = "nothing"
    LEASE = "lease"
    UNREADABLE = "unreadable"


def plain_names(keys: Iterable[Any]) -> Iterable[str]:
    return map(str, keys)


def id_names(ids: Iterable[ObjectId]) -> Iterable[str]:
    """As `plain_names`, in C."""
    return map(bytes.hex, raw_ids(ids))


class Cache(Generic[Key, Value]):
    """Values of one kind by key. None, for a key with nothing behind it, is kept for `MISSING_SECONDS`.

    A value lives for `seconds` at most, which bounds how old it can be if an invalidation is lost. `hits` and `misses`
    count the keys that were read.
    """

    def __init__(
        self,
        servers: CacheServers,
        kind: str,
        shape: Any,
        seconds: float,
        key_names: Callable[[Iterable[Any]], Iterable[str]] = plain_names,
    ) -> None:
        self._servers = servers
        self._prefix = f"{servers.prefix}{kind}:"
        self._seconds = seconds
        self._key_names = key_names
        self._decoder = msgspec.msgpack.Decoder(shape, dec_hook=_as_object_id)
        self._decoded: DecodedValues[Value] = DecodedValues(self._decode, DECODED_BYTES)
        # Processes of two releases, while one is rolled out, neither read nor replace each other's values.
        checksum = zlib.crc32(_describe(msgspec.inspect.type_info(shape)).encode())
        self._mark = _VALUE + checksum.to_bytes(4, "big")
        self.hits = 0
        self.misses = 0

    async def read(
        self, keys: Sequence[Key], load: Load[Key, Value], *, beside: "Sequence[Beside[Any, Any]]" = ()
    ) -> list[Value]:
        """The values in the order of `keys`, as new as if they were loaded now, unless an invalidation was lost.

        Missing values are loaded in one call and stored. For values that another is loading it waits some 50 ms, then
        loads them too and does not store them. Raises what `load` raises.

        What is looked up `beside` is found only if all of `keys` are cached, and if it was all read at one moment: in a
        cluster it never is.
        """
        found: dict[Key, Value] = {}
        with contextlib.suppress(CacheDown):
            values = await self._look_up(keys, beside)
            if not _has_gap(values):
                return values
            absent, leased = _sort(keys, values, found)
            if absent:
                names = self._names(absent)
                lease, held = await self._servers.lease(names, _LEASE + token_bytes(12))
                to_load, also_leased = _sort(absent, self._values(names, held), found)
                if to_load:
                    await self._load_and_store(to_load, lease, load, found)
                leased += also_leased
            await self._wait_for_others(leased, found)
        left = [key for key in dict.fromkeys(keys) if key not in found]
        if left:
            self.misses += len(left)
            found.update(zip(left, await load(left), strict=True))
        return [found[key] for key in keys]

    async def cached(self, keys: Sequence[Key]) -> dict[Key, Value]:
        """The cached values of these keys; nothing is loaded. Raises CacheDown."""
        found: dict[Key, Value] = {}
        _sort(keys, await self._look_up(keys), found)
        return found

    def latest(self, keys: Iterable[Key]) -> list[Value]:
        """Values that this process has read lately of some of these keys. They may be old: they are only hints."""
        return [value for value in map(self._decoded.latest, self._names(keys)) if value is not None]

    async def invalidate(self, keys: Iterable[Key]) -> bool:
        """Removes values and leases; to be called after a write and before its answer.

        Never raises, and takes at most a quarter of a second. False if Redis could not be reached: then this process
        reads no cache until it has been reached.
        """
        names = self._names(keys)
        return await self._servers.invalidate(names) if names else True

    async def must_invalidate(self, keys: Iterable[Key]) -> None:
        """As `invalidate`, for callers that must not go on before it is done. Raises CacheDown after some seconds."""
        names = self._names(keys)
        if names:
            await self._servers.must_invalidate(names)

    def _names(self, keys: Iterable[Key]) -> list[str]:
        prefix = self._prefix
        return [prefix + name for name in self._key_names(keys)]

    async def _look_up(self, keys: Sequence[Key], beside: "Sequence[Beside[Any, Any]]" = ()) -> list[Any]:
        """What the keys hold, in their order: values or gaps."""
        if not keys:
            return []
        if not self._servers.reads_at_one_moment:
            beside = ()
        groups = [self._names(keys), *(each.names for each in beside)]
        answers = await self._servers.get(list(chain(*groups)))
        values = self._values(groups[0], answers[: len(keys)])
        if beside and not _has_gap(values):
            rest = iter(answers[len(keys) :])
            for each, names in zip(beside, groups[1:], strict=True):
                each.take(names, list(islice(rest, len(names))))
        return values

    def _values(self, names: Sequence[str], answers: Sequence[bytes | None]) -> list[Any]:
        """The values or gaps that these answers stand for."""
        values: list[Any] = []
        for name, answer in zip(names, answers, strict=True):
            value: Any = _Gap.UNREADABLE
            if answer is None:
                value = _Gap.NOTHING
            elif answer.startswith(self._mark):
                try:
                    value = self._decoded.decode(name, answer)
                    self.hits += 1
                except (msgspec.MsgspecError, ValueError):
                    pass
            elif answer.startswith(_LEASE):
                value = _Gap.LEASE
            values.append(value)
        return values

    def _decode(self, answer: bytes) -> Value:
        value: Value = self._decoder.decode(memoryview(answer)[len(self._mark) :])
        return value

    async def _load_and_store(
        self, keys: Sequence[Key], lease: Lease, load: Load[Key, Value], found: dict[Key, Value]
    ) -> None:
        loaded = await load(keys)
        found.update(zip(keys, loaded, strict=True))
        self.misses += len(keys)
        encoded = [
            (name, self._mark + _encoder.encode(value), self._seconds if value is not None else MISSING_SECONDS)
            for name, value in zip(self._names(keys), loaded, strict=True)
        ]
        await self._servers.fill(encoded, lease)

    async def _wait_for_others(self, keys: list[Key], found: dict[Key, Value]) -> None:
        for pause in PAUSES:
            if not keys:
                return
            await sleep(pause)
            _, keys = _sort(keys, await self._look_up(keys), found)


class Beside(Generic[Key, Value]):
    """Keys of another cache that are looked up by the same command as those of a `read`."""

    def __init__(self, cache: Cache[Key, Value], keys: Sequence[Key]) -> None:
        self.names = cache._names(keys)  # noqa: SLF001  this is a part of the cache
        self._cache = cache
        self._values: list[Any] = []

    def take(self, names: Sequence[str], answers: Sequence[bytes | None]) -> None:
        self._values = self._cache._values(names, answers)  # noqa: SLF001

    def found(self, keys: Sequence[Name]) -> tuple[list[Name], list[Value]]:
        """What was found: those of `keys` that there is a value for, and the values."""
        pairs = [(key, value) for key, value in zip(keys, self._values, strict=False) if type(value) is not _Gap]
        return [key for key, _ in pairs], [value for _, value in pairs]


def _has_gap(values: Iterable[Any]) -> bool:
    return any(type(value) is _Gap for value in values)


def _sort(keys: Sequence[Key], values: Sequence[Any], found: dict[Key, Any]) -> tuple[list[Key], list[Key]]:
    """Adds the values to `found`. Returns the keys that hold nothing, and those that hold another's lease."""
    absent: dict[Key, None] = {}
    leased: dict[Key, None] = {}
    for key, value in zip(keys, values, strict=True):
        if type(value) is not _Gap:
            found[key] = value
        elif value is _Gap.NOTHING:
            absent[key] = None
        elif value is _Gap.LEASE:
            leased[key] = None
    return list(absent), list(leased)


def _describe(shape: msgspec.inspect.Type) -> str:
    """A shape with the values of its enums, of which a newer release may have more."""
    enums: dict[str, list[str]] = {}
    pending = [shape]
    while pending:
        match pending.pop():
            case msgspec.inspect.EnumType(cls=enum):
                enums[enum.__name__] = [str(value.value) for value in enum]
            case msgspec.inspect.StructType(fields=fields):
                pending += [field.type for field in fields]
            case msgspec.inspect.UnionType(types=types):
                pending += types
            case msgspec.inspect.ListType(item_type=item):
                pending.append(item)
    return repr(shape) + repr(sorted(enums.items()))


def _as_object_id(wanted_type: Any, value: Any) -> Any:
    return wanted_type(value) if wanted_type is ObjectId else value
