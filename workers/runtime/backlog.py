"""What a worker has read and not finished, and which of it comes next."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from bson import ObjectId

from datasources.jobs.queue import Message
from domain.jobs import Job, JobKind
from workers.runtime.owner_rotation import OwnerRotation


class Lane(NamedTuple):
    """Jobs of a kind that wait together: the slow ones apart, so that the others need not wait for them."""

    kind: JobKind
    is_slow: bool = False


class Backlog:
    """Jobs that wait, in the order they came, and jobs in hand, with a message for each.

    A duplicate of a job that waits is dropped. While a job is in hand, another one of the same key may wait.
    """

    def __init__(self) -> None:
        self.waiting: dict[Job, bytes] = {}
        self.in_hand: dict[Job, bytes] = {}
        self._suspects: dict[Job, str] = {}  # of what waits: the consumer that was lost with the job in hand
        self._slow: set[Job] = set()
        self._rotation = OwnerRotation()

    @property
    def messages(self) -> list[bytes]:
        """The messages of everything that is not finished."""
        return [*self.waiting.values(), *self.in_hand.values()]

    @property
    def lanes(self) -> set[Lane]:
        """The lanes in which a job waits."""
        return {self._lane(job) for job in self.waiting}

    def add(self, job: Job, message: Message) -> bool:
        """Lets a job wait; False if its message is not needed. The same message may come again: it changes nothing."""
        if message.id in (self.waiting.get(job), self.in_hand.get(job)):
            return True
        if message.lost_by is not None:
            self._suspects[job] = message.lost_by
        return self.waiting.setdefault(job, message.id) == message.id

    def set_owners(self, owners: Mapping[Job, ObjectId]) -> None:
        """Notes who owns these jobs, so that owners take turns."""
        self._rotation.keep({*self.waiting, *self.in_hand})
        self._rotation.set_owners(owners)

    def begin(self, lane: Lane, limit: int, *, rotates: bool) -> list[Job]:
        """Takes up to `limit` jobs of a lane in hand: none whose key is in hand already, and a suspect alone."""
        free = (job for job in self.waiting if job not in self.in_hand and self._lane(job) == lane)
        first = self._rotation.first(free, self.in_hand) if rotates else next(free, None)
        if first is None:
            return []
        others = (job for job in free if job not in self._suspects)
        jobs = [first] if first in self._suspects else [first, *islice(others, limit - 1)]
        self.in_hand.update({job: self.waiting.pop(job) for job in jobs})
        if rotates:
            self._rotation.serve(first)
        return jobs

    def pop_lost_by(self, job: Job) -> str | None:
        """The consumer that was lost with this job in hand, if any; None when asked again."""
        return self._suspects.pop(job, None)

    def move_to_slow_lane(self, jobs: Iterable[Job]) -> None:
        """Puts jobs into the slow lane, as long as they wait or are in hand."""
        self._slow.update(jobs)

    def requeue(self, job: Job) -> None:
        """Lets a job in hand wait again, behind the others."""
        self.waiting[job] = self.in_hand[job]

    def finish(self, jobs: Sequence[Job]) -> None:
        """Takes these jobs out of hand."""
        for job in jobs:
            del self.in_hand[job]
            if job not in self.waiting:
                self._slow.discard(job)

    def _lane(self, job: Job) -> Lane:
        return Lane(job.kind, job in self._slow)
