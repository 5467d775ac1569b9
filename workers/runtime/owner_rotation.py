"""Owners of waiting jobs take turns, so that nobody waits behind the many jobs of somebody else."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from bson import ObjectId

from domain.jobs import Job


class OwnerRotation:
    """The owners of waiting jobs, and when each was served last. A job without a known owner is its own owner."""

    def __init__(self) -> None:
        self._owners: dict[Job, ObjectId | Job] = {}
        self._served: dict[ObjectId | Job, int] = {}
        self._turn = 0

    def set_owners(self, owners: Mapping[Job, ObjectId]) -> None:
        """Notes who owns these jobs."""
        self._owners.update(owners)

    def first(self, waiting: Iterable[Job], in_hand: Collection[Job]) -> Job | None:
        """The job whose owner has the fewest in hand, then was served the longest ago; of one owner, the first."""
        busy = Counter(map(self._owner, in_hand))

        def rank(job: Job) -> tuple[int, int]:
            owner = self._owner(job)
            return busy[owner], self._served.get(owner, 0)

        return min(waiting, key=rank, default=None)

    def serve(self, job: Job) -> None:
        """Notes that a job is begun."""
        self._turn += 1
        self._served[self._owner(job)] = self._turn

    def keep(self, jobs: Collection[Job]) -> None:
        """Drops what is known of jobs, and their owners, that are not among these."""
        self._owners = {job: owner for job, owner in self._owners.items() if job in jobs}
        owners = {self._owner(job) for job in jobs}
        self._served = {owner: turn for owner, turn in self._served.items() if owner in owners}

    def _owner(self, job: Job) -> ObjectId | Job:
        return self._owners.get(job, job)
