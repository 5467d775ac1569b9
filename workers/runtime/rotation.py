"""Whose turn it is: work that waits is taken from each owner in rotation, so that nobody waits for another's pile."""

from collections.abc import Collection, Iterable, Mapping

from bson import ObjectId

from domain.jobs import Ring


class Rotation:
    """The owners of rings that wait, and when each was served last; an unknown one is nobody else's."""

    def __init__(self) -> None:
        self._owners: dict[Ring, ObjectId | Ring] = {}
        self._served: dict[ObjectId | Ring, int] = {}
        self._turn = 0

    def learn(self, owners: Mapping[Ring, ObjectId]) -> None:
        """Notes whose these rings are."""
        self._owners.update(owners)

    def first(self, waiting: Iterable[Ring], in_hand: Collection[Ring]) -> Ring | None:
        """The ring whose owner has the fewest in hand, then was served the longest ago; of one owner, the first."""
        busy: dict[ObjectId | Ring, int] = {}
        for ring in in_hand:
            busy[self._owner(ring)] = busy.get(self._owner(ring), 0) + 1

        def rank(ring: Ring) -> tuple[int, int]:
            owner = self._owner(ring)
            return busy.get(owner, 0), self._served.get(owner, 0)

        return min(waiting, key=rank, default=None)

    def serve(self, ring: Ring) -> None:
        """Notes that it is begun."""
        self._turn += 1
        self._served[self._owner(ring)] = self._turn

    def keep(self, rings: Collection[Ring]) -> None:
        """Forgets all about rings, and owners, that are not among these."""
        self._owners = {ring: owner for ring, owner in self._owners.items() if ring in rings}
        owners = {self._owner(ring) for ring in rings}
        self._served = {owner: turn for owner, turn in self._served.items() if owner in owners}

    def _owner(self, ring: Ring) -> ObjectId | Ring:
        return self._owners.get(ring, ring)
