"""What a worker has read and not finished, and what of it comes next."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from bson import ObjectId

from datasources.jobs.queue import Message
from domain.jobs import Job, JobKind
from workers.runtime.owner_rotation import OwnerRotation

Lane = tuple[JobKind, bool]  # the second says that it is the lane of what takes long


class Backlog:
    """Rings that wait, in the order they came, and those in hand, with a message for each.

    A twin of what waits says nothing new. Of a ring in hand another may wait.
    """

    def __init__(self) -> None:
        self.waiting: dict[Job, bytes] = {}
        self.in_hand: dict[Job, bytes] = {}
        self._suspects: dict[Job, str] = {}  # of what waits, what may have killed the consumer that had begun it
        self._slow: set[Job] = set()
        self._rotation = OwnerRotation()

    @property
    def messages(self) -> list[bytes]:
        """Of everything that is not finished."""
        return [*self.waiting.values(), *self.in_hand.values()]

    @property
    def lanes(self) -> set[Lane]:
        """Those in which something waits."""
        return {self._lane(job) for job in self.waiting}

    def add(self, job: Job, message: Message) -> bool:
        """Lets a ring wait; False if its message is not needed.

        The same message comes again when this process was held up for longer than a lease: that changes nothing.
        """
        if message.id in (self.waiting.get(job), self.in_hand.get(job)):
            return True
        if message.lost_by is not None:
            self._suspects[job] = message.lost_by
        return self.waiting.setdefault(job, message.id) == message.id

    def learn(self, owners: Mapping[Job, ObjectId]) -> None:
        """Notes whose work these rings are; it is taken in rotation."""
        self._rotation.keep({*self.waiting, *self.in_hand})
        self._rotation.learn(owners)

    def begin(self, lane: Lane, most: int, *, rotates: bool) -> list[Job]:
        """Takes up to `most` rings of a lane in hand: none of what is in hand already, and suspects alone."""
        free = (job for job in self.waiting if job not in self.in_hand and self._lane(job) == lane)
        first = self._rotation.first(free, self.in_hand) if rotates else next(free, None)
        if first is None:
            return []
        others = (job for job in free if job not in self._suspects)
        jobs = [first] if first in self._suspects else [first, *islice(others, most - 1)]
        self.in_hand.update({job: self.waiting.pop(job) for job in jobs})
        if rotates:
            self._rotation.serve(first)
        return jobs

    def lost_by(self, job: Job) -> str | None:
        """The consumer that a ring may have killed; asked for once."""
        return self._suspects.pop(job, None)

    def move_to_slow_lane(self, jobs: Iterable[Job]) -> None:
        """Puts rings into the lane of what takes long, as long as they wait or are in hand."""
        self._slow.update(jobs)

    def requeue(self, job: Job) -> None:
        """Lets a ring in hand wait again, behind the others."""
        self.waiting[job] = self.in_hand[job]

    def finish(self, jobs: Sequence[Job]) -> None:
        """These are in hand no more."""
        for job in jobs:
            del self.in_hand[job]
            if job not in self.waiting:
                self._slow.discard(job)

    def _lane(self, job: Job) -> Lane:
        return job.kind, job in self._slow
