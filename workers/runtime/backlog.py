"""What a worker has read and not finished, and what of it comes next."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from bson import ObjectId

from datasources.jobs.queue import Message
from domain.jobs import Effect, Fact, Ring
from workers.runtime.rotation import Rotation

Kind = tuple[Effect, Fact]
Lane = tuple[Kind, bool]  # the second says that it is the lane of what takes long


class Backlog:
    """Rings that wait, in the order they came, and those in hand, with a message for each.

    A twin of what waits says nothing new. Of a ring in hand another may wait.
    """

    def __init__(self) -> None:
        self.waiting: dict[Ring, bytes] = {}
        self.in_hand: dict[Ring, bytes] = {}
        self._suspects: dict[Ring, str] = {}  # of what waits, what may have killed the consumer that had begun it
        self._long: set[Ring] = set()
        self._rotation = Rotation()

    @property
    def messages(self) -> list[bytes]:
        """Of everything that is not finished."""
        return [*self.waiting.values(), *self.in_hand.values()]

    @property
    def lanes(self) -> set[Lane]:
        """Those in which something waits."""
        return {self._lane(ring) for ring in self.waiting}

    def add(self, ring: Ring, message: Message) -> bool:
        """Lets a ring wait; False if its message is not needed.

        The same message comes again when this process was held up for longer than a lease: that changes nothing.
        """
        if message.id in (self.waiting.get(ring), self.in_hand.get(ring)):
            return True
        if message.lost_by is not None:
            self._suspects[ring] = message.lost_by
        return self.waiting.setdefault(ring, message.id) == message.id

    def learn(self, owners: Mapping[Ring, ObjectId]) -> None:
        """Notes whose work these rings are; it is taken in rotation."""
        self._rotation.keep({*self.waiting, *self.in_hand})
        self._rotation.learn(owners)

    def begin(self, lane: Lane, most: int, *, rotates: bool) -> list[Ring]:
        """Takes up to `most` rings of a lane in hand: none of what is in hand already, and suspects alone."""
        free = (ring for ring in self.waiting if ring not in self.in_hand and self._lane(ring) == lane)
        first = self._rotation.first(free, self.in_hand) if rotates else next(free, None)
        if first is None:
            return []
        others = (ring for ring in free if ring not in self._suspects)
        rings = [first] if first in self._suspects else [first, *islice(others, most - 1)]
        self.in_hand.update({ring: self.waiting.pop(ring) for ring in rings})
        if rotates:
            self._rotation.serve(first)
        return rings

    def lost_by(self, ring: Ring) -> str | None:
        """The consumer that a ring may have killed; asked for once."""
        return self._suspects.pop(ring, None)

    def take_long(self, rings: Iterable[Ring]) -> None:
        """Puts rings into the lane of what takes long, as long as they wait or are in hand."""
        self._long.update(rings)

    def again(self, ring: Ring) -> None:
        """Lets a ring in hand wait again, behind the others."""
        self.waiting[ring] = self.in_hand[ring]

    def end(self, rings: Sequence[Ring]) -> None:
        """These are in hand no more."""
        for ring in rings:
            del self.in_hand[ring]
            if ring not in self.waiting:
                self._long.discard(ring)

    def _lane(self, ring: Ring) -> Lane:
        return (ring.effect, ring.fact), ring in self._long
