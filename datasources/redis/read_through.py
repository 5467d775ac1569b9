"""A read-through cache over Redis that never keeps a value older than the last write: leases (docs/adr/0007-caches.md).

A key holds a value, or the lease of the caller who loads it. An invalidation removes either, so a loader that read
before a write finds its lease gone and stores nothing. If Redis is slow, away or emptied, values are read from their
source, and nothing is raised.
"""

import contextlib
import zlib
from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain, islice
from secrets import token_bytes
from typing import Any, Generic, TypeVar

import msgspec
from bson import ObjectId

from datasources.redis.cache_server import CacheDown, CacheServer
from datasources.redis.decoded_values import DecodedValues

Key = TypeVar("Key")
Value = TypeVar("Value")
Load = Callable[[Sequence[Key]], Awaitable[Sequence[Value]]]

MISSING_SECONDS = 5.0  # the life of None, which says that nothing is there
DECODED_BYTES = 2 * 1024 * 1024  # of each kind, encoded, are kept decoded
PAUSES = (0.0, 0.005, 0.015, 0.03)  # before each look for a value that another is loading
_LEASE, _VALUE = b"L", b"V"
_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: value.binary)  # ObjectId is the only type it does not know


class Cache(Generic[Key, Value]):
    """Values of one kind by key. None, for a key with nothing behind it, is kept for `MISSING_SECONDS`.

    A value lives for `seconds` at most, which bounds how old it can be if an invalidation is lost. `hits` and `misses`
    count the keys that were read.
    """

    def __init__(
        self, server: CacheServer, kind: str, shape: Any, seconds: float, key_name: Callable[[Key], str] = str
    ) -> None:
        self._server = server
        self._prefix = f"{server.prefix}{kind}:"
        self._seconds = seconds
        self._key_name = key_name
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

        What is looked up `beside` is found only if all of `keys` are cached: then it was all read at one moment.
        """
        values: dict[Key, Value] = {}
        with contextlib.suppress(CacheDown):
            absent, leased = await self._look_up(dict.fromkeys(keys), values, beside)
            self.hits += len(values)
            if absent:
                names = [self._key(key) for key in absent]
                lease, held = await self._server.lease(names, _LEASE + token_bytes(12))
                to_load, also_leased = self._sort(absent, names, held, values)
                if to_load:
                    await self._load_and_store(to_load, lease, load, values)
                leased += also_leased
            await self._wait_for_others(leased, values)
        left = [key for key in dict.fromkeys(keys) if key not in values]
        if left:
            self.misses += len(left)
            values.update(zip(left, await load(left), strict=True))
        return [values[key] for key in keys]

    async def cached(self, keys: Sequence[Key]) -> dict[Key, Value]:
        """The cached values of these keys; nothing is loaded. Raises CacheDown."""
        values: dict[Key, Value] = {}
        await self._look_up(keys, values)
        return values

    async def invalidate(self, keys: Iterable[Key]) -> bool:
        """Removes values and leases; to be called after a write and before its answer.

        Never raises, and takes at most a quarter of a second. False if Redis could not be reached: then this process
        reads no cache until it has been reached.
        """
        names = [self._key(key) for key in keys]
        return await self._server.invalidate(names) if names else True

    async def must_invalidate(self, keys: Iterable[Key]) -> None:
        """As `invalidate`, for callers that must not go on before it is done. Raises CacheDown after some seconds."""
        names = [self._key(key) for key in keys]
        if names:
            await self._server.must_invalidate(names)

    def _key(self, key: Key) -> str:
        return self._prefix + self._key_name(key)

    def latest(self, keys: Iterable[Key]) -> list[Value]:
        """Values that this process has read lately of some of these keys. They may be old: they are only hints."""
        found = (self._decoded.latest(self._key(key)) for key in keys)
        return [value for value in found if value is not None]

    async def _look_up(
        self, keys: Iterable[Key], values: dict[Key, Value], beside: "Sequence[Beside[Any, Any]]" = ()
    ) -> tuple[list[Key], list[Key]]:
        """Adds what is cached to `values`; returns the keys that hold nothing, and those that hold another's lease."""
        wanted = list(keys)
        if not wanted:
            return [], []
        names = [self._key(key) for key in wanted]
        names_beside = [each.names for each in beside]
        answers = iter(await self._server.get(list(chain(names, *names_beside))))
        sorted_keys = self._sort(wanted, names, list(islice(answers, len(names))), values)
        if len(values) == len(wanted):
            for each, theirs in zip(beside, names_beside, strict=True):
                each.sort(theirs, list(islice(answers, len(theirs))))
        return sorted_keys

    def _sort(
        self, keys: Sequence[Key], names: Sequence[str], answers: Sequence[bytes | None], values: dict[Key, Value]
    ) -> tuple[list[Key], list[Key]]:
        absent: list[Key] = []
        leased: list[Key] = []
        for key, name, answer in zip(keys, names, answers, strict=True):
            if answer is None:
                absent.append(key)
            elif answer.startswith(_LEASE):
                leased.append(key)
            elif answer.startswith(self._mark):
                with contextlib.suppress(msgspec.MsgspecError, ValueError):
                    values[key] = self._decoded.decode(name, answer)
        return absent, leased

    def _decode(self, answer: bytes) -> Value:
        value: Value = self._decoder.decode(memoryview(answer)[len(self._mark) :])
        return value

    async def _load_and_store(
        self, keys: Sequence[Key], lease: bytes, load: Load[Key, Value], values: dict[Key, Value]
    ) -> None:
        loaded = dict(zip(keys, await load(keys), strict=True))
        self.misses += len(keys)
        values |= loaded
        encoded = [
            (
                self._key(key),
                self._mark + _encoder.encode(value),
                self._seconds if value is not None else MISSING_SECONDS,
            )
            for key, value in loaded.items()
        ]
        await self._server.fill(encoded, lease)

    async def _wait_for_others(self, keys: list[Key], values: dict[Key, Value]) -> None:
        for pause in PAUSES:
            if not keys:
                return
            await sleep(pause)
            before = len(values)
            _, keys = await self._look_up(keys, values)
            self.hits += len(values) - before


class Beside(Generic[Key, Value]):
    """Keys of another cache that are looked up by the same command as those of a `read`; `found` is what they hold."""

    def __init__(self, cache: Cache[Key, Value], keys: Sequence[Key]) -> None:
        self._cache = cache
        self._keys = keys
        self.found: dict[Key, Value] = {}

    @property
    def names(self) -> list[str]:
        return [self._cache._key(key) for key in self._keys]  # noqa: SLF001  one thing in two classes

    def sort(self, names: Sequence[str], answers: Sequence[bytes | None]) -> None:
        self._cache._sort(self._keys, names, answers, self.found)  # noqa: SLF001
        self._cache.hits += len(self.found)


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
