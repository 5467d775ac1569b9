"""A read-through cache over Redis that never keeps what is older than the last write: leases (docs/adr/0007).

A key holds a value, or the lease of whoever is about to fill it. Forgetting takes either away, so a filler that read
before a write finds its lease gone and stores nothing. Redis may be slow, gone or emptied: then what is asked is read
from its source, and nothing is raised.
"""

import contextlib
import zlib
from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterable, Sequence
from secrets import token_bytes
from typing import Any, Generic, TypeVar

import msgspec
from bson import ObjectId

from datasources.redis.cache_server import CacheDown, CacheServer

Key = TypeVar("Key")
Value = TypeVar("Value")
Load = Callable[[Sequence[Key]], Awaitable[Sequence[Value]]]

MISSING_SECONDS = 5.0  # how long it is remembered that there is nothing
PAUSES = (0.0, 0.005, 0.015, 0.03)  # before each look at what another is filling
_LEASE, _VALUE = b"L", b"V"
_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: value.binary)  # the records' only strange type is ObjectId


class Cache(Generic[Key, Value]):
    """Values of one kind by key. A value may be None: that nothing is there is kept too, for `MISSING_SECONDS`.

    A value is kept for `seconds` at most, which is the bound on what is read if a forgetting is lost. `hits` and
    `misses` count what was asked.
    """

    def __init__(
        self, server: CacheServer, kind: str, shape: Any, seconds: float, name: Callable[[Key], str] = str
    ) -> None:
        self._server = server
        self._prefix = f"{server.prefix}{kind}:"
        self._seconds = seconds
        self._name = name
        self._decoder = msgspec.msgpack.Decoder(shape, dec_hook=_from_bytes)
        # A process of another version, while a release is rolled out, neither reads this one's values nor minds them.
        shape_now = zlib.crc32(_described(msgspec.inspect.type_info(shape)).encode())
        self._mark = _VALUE + shape_now.to_bytes(4, "big")
        self.hits = 0
        self.misses = 0

    async def read(self, keys: Sequence[Key], load: Load[Key, Value]) -> list[Value]:
        """The values in the order of `keys`, as true as if loaded now but for lost forgettings.

        What is missing is loaded, all at once, and kept; for what another is loading it waits some 50 ms and then
        loads it too, and keeps nothing. Raises what `load` raises.
        """
        found: dict[Key, Value] = {}
        with contextlib.suppress(CacheDown):
            absent, taken = await self._look(dict.fromkeys(keys), found)
            self.hits += len(found)
            if absent:
                lease, held = await self._server.lease([self._key(key) for key in absent], _LEASE + token_bytes(12))
                mine, also_taken = self._sorted(absent, held, found)
                if mine:
                    await self._fill(mine, lease, load, found)
                taken += also_taken
            await self._wait_for(taken, found)
        left = [key for key in dict.fromkeys(keys) if key not in found]
        if left:
            self.misses += len(left)
            found.update(zip(left, await load(left), strict=True))
        return [found[key] for key in keys]

    async def cached(self, keys: Sequence[Key]) -> dict[Key, Value]:
        """What is kept of these keys; nothing is loaded. Raises CacheDown."""
        found: dict[Key, Value] = {}
        await self._look(keys, found)
        return found

    async def invalidate(self, keys: Iterable[Key]) -> bool:
        """Takes values, and the leases of those who fill them, away; to be called after the write, before its answer.

        Never raises and takes at most a quarter of a second. False if Redis could not be reached: then this process
        reads nothing from any cache until it has been told after all.
        """
        names = [self._key(key) for key in keys]
        return await self._server.invalidate(names) if names else True

    async def must_invalidate(self, keys: Iterable[Key]) -> None:
        """As `forget`, for those who must not go on before it is done. Raises CacheDown, an outage, after a while."""
        names = [self._key(key) for key in keys]
        if names:
            await self._server.must_invalidate(names)

    def _key(self, key: Key) -> str:
        return self._prefix + self._name(key)

    async def _look(self, keys: Iterable[Key], found: dict[Key, Value]) -> tuple[list[Key], list[Key]]:
        """Puts what is there into `found`; returns the keys that hold nothing, and those that others are filling."""
        asked = list(keys)
        if not asked:
            return [], []
        return self._sorted(asked, await self._server.get([self._key(key) for key in asked]), found)

    def _sorted(
        self, keys: Sequence[Key], answers: Sequence[bytes | None], found: dict[Key, Value]
    ) -> tuple[list[Key], list[Key]]:
        absent: list[Key] = []
        taken: list[Key] = []
        for key, answer in zip(keys, answers, strict=True):
            if answer is None:
                absent.append(key)
            elif answer.startswith(_LEASE):
                taken.append(key)
            elif answer.startswith(self._mark):
                with contextlib.suppress(msgspec.MsgspecError, ValueError):
                    found[key] = self._decoder.decode(answer[len(self._mark) :])
        return absent, taken

    async def _fill(self, keys: Sequence[Key], lease: bytes, load: Load[Key, Value], found: dict[Key, Value]) -> None:
        values = await load(keys)
        self.misses += len(keys)
        found.update(zip(keys, values, strict=True))
        kept = [
            (
                self._key(key),
                self._mark + _encoder.encode(value),
                self._seconds if value is not None else MISSING_SECONDS,
            )
            for key, value in zip(keys, values, strict=True)
        ]
        await self._server.fill(kept, lease)

    async def _wait_for(self, keys: list[Key], found: dict[Key, Value]) -> None:
        for pause in PAUSES:
            if not keys:
                return
            await sleep(pause)
            before = len(found)
            _, keys = await self._look(keys, found)
            self.hits += len(found) - before


def _described(shape: msgspec.inspect.Type) -> str:
    """A shape with the values of its enums, which a newer version may have more of."""
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


def _from_bytes(of_type: Any, value: Any) -> Any:
    return of_type(value) if of_type is ObjectId else value
