"""Paying everything that is owed, without waiting for rings: what `repair` does, and what lets a test assert."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from domain.jobs import Effect, Fact, Ring, rings_for
from workers.registry import HANDLERS
from workers.runtime.handler import NotYet, Tools
from workers.runtime.invoke import pay

ROUNDS = 20  # an effect may leave others owed: a post's assembling, its fan-out
MOST = 10_000


async def owed(tools: Tools) -> set[Ring]:
    """The rings that would pay what is owed now, for up to `MOST` facts of each kind; parked facts are left alone."""
    rings: set[Ring] = set()
    for fact in Fact:
        query = {"outbox": {"$exists": True}, "ring_at": {"$exists": True}}
        documents = tools.sources.database[f"{fact.value}s"].find(query, limit=MOST)
        async for document in documents:
            rings.update(rings_for(fact, document))
    return rings


async def pay_all(tools: Tools, failures: dict[Ring, Exception] | None = None) -> set[Ring]:
    """Pays whatever can be paid now, in rounds; returns what is still owed because it waits for something.

    Safe to run beside the workers. Raises what a handler raises, unless `failures` is there to take it: then that work
    is left alone, and only an outage ends the paying.
    """
    left: set[Ring] = set()
    for _ in range(ROUNDS):
        rings, before = await owed(tools) - set(failures or ()), left
        left = set()
        for effect, fact, keys in _calls(rings):
            outcome = await pay(tools, HANDLERS[effect, fact], keys)
            if outcome.outage is not None:
                raise outcome.outage
            for key, error in outcome.raised.items():
                if isinstance(error, NotYet):
                    left.add(Ring(effect, fact, key))
                elif failures is None:
                    raise error
                else:
                    failures[Ring(effect, fact, key)] = error
        if rings == left == before or not rings:
            break
    return left


def _calls(rings: Iterable[Ring]) -> Iterator[tuple[Effect, Fact, list[str]]]:
    for (effect, fact), group in groupby(sorted(rings), key=lambda ring: (ring.effect, ring.fact)):
        keys, batch = [ring.key for ring in group], HANDLERS[effect, fact].batch
        for start in range(0, len(keys), batch):
            yield effect, fact, keys[start : start + batch]
