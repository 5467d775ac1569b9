"""The job queue: small messages, for each worker a queue of its own, that wake the workers.

Nothing that matters is kept here: the facts' outboxes hold what is pending, and the outbox relay enqueues again what a
lost message left. So enqueueing is best effort and short, and a message is deleted as soon as it is handled. Messages
wait in Redis (`redis_queue.py`), or in SQS behind a topic of SNS (`sns_queue.py`, `sqs_consumer.py`); `opening.py`
chooses.
"""

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog
from bson import ObjectId
from bson.errors import InvalidId

from datasources.concurrency.batcher import Batcher, BatchTimeout
from datasources.jobs.origin import Origin
from datasources.mongo import clock
from datasources.telemetry.tracing import TRACEPARENT, current_traceparent
from domain.jobs import JOBS, Fact, Job, Task, jobs_of

log = structlog.get_logger(__name__)

ENQUEUE_SECONDS = 0.25  # a mutation waits no longer than this for the queue
# Nothing is added to a queue of this length: its workers have enough to do, and the outboxes keep what is pending.
MAX_QUEUE_LENGTH = 100_000
SILENCE_SECONDS = 1.0
MAX_BATCH = 1_000  # callers whose jobs are sent together
MAX_UNSENT = 50_000  # jobs that wait in a process until earlier ones are sent; the relay enqueues later ones again
SET_ASIDE = "dead"  # in a worker's place: the messages that the queue itself has set aside
MESSAGE_LEASE = 15.0  # seconds; a message that its worker has not renewed for so long is taken over by another


class JobQueueOutage(Exception):
    """SNS or SQS did not do what was asked; `code` says why. The same call may succeed later.

    Missing queues and permissions count as an outage, because workers go on by themselves once they are there.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Message(msgspec.Struct, frozen=True):
    """A message as it came, its job (None for a malformed message), and where the job comes from.

    `lost_by` names the consumer that had started the work when its lease expired.
    """

    id: bytes
    fields: dict[bytes, bytes]
    job: Job | None
    lost_by: str | None = None

    @property
    def origin(self) -> Origin:
        return Origin.of(self.fields)


class Sent(NamedTuple):
    """What became of messages: the workers whose queues are full, and why other queues could not be reached."""

    full: Collection[str] = ()
    unanswered: Mapping[str, Exception] = {}


class JobTransport(Protocol):
    """Where messages wait. Methods raise an outage (`datasources.outages`)."""

    async def send(self, messages: Mapping[Job, Mapping[str, str]]) -> Sent:
        """Puts a message with these fields for each job on its worker's queue. May raise if no queue answers."""
        ...

    async def put_back(self, worker: str, fields: Mapping[bytes, bytes]) -> None:
        """Puts a message back on a worker's queue."""
        ...

    async def depth(self, worker: str) -> int:
        """How many messages wait for a worker or are in flight, or are `SET_ASIDE`."""
        ...

    async def ping(self) -> None:
        """Raises an outage if messages cannot be sent now."""
        ...


class QueueConsumer(Protocol):
    """One worker's queue; processes of the same worker share its messages.

    A message is in flight at its consumer for `lease` seconds, which may be renewed, until it is acknowledged. If the
    lease expires before (the consumer died), another consumer gets the message. Methods raise an outage
    (`datasources.outages`) unless they say otherwise; all work after the queue has lost everything.
    """

    worker: str
    consumer: str
    lease: float
    read_wait: float  # how long a read should wait, so that stopping is noticed soon

    async def read(self, limit: int, wait: float) -> list[Message]:
        """Up to `limit` messages that are in flight at nobody, after at most about `wait` seconds."""
        ...

    async def mark_started(self, message_ids: Sequence[bytes]) -> None:
        """Records that the work of these messages starts. Best effort: never raises, at most `ENQUEUE_SECONDS`."""
        ...

    async def renew_leases(self, message_ids: Sequence[bytes]) -> None:
        """Starts the leases of messages anew. Safe to repeat."""
        ...

    async def claim_expired(self, limit: int) -> list[Message]:
        """Takes over up to `limit` messages whose leases have expired, unless `read` does; to be called regularly."""
        ...

    async def acknowledge(self, message_ids: Sequence[bytes]) -> None:
        """Deletes messages, as their jobs are done. Safe to repeat."""
        ...

    async def leave(self, unfinished: Sequence[bytes] = ()) -> None:
        """Ends the leases of unfinished messages, so that others get them now. Nothing is read after it."""
        ...


class JobQueue:
    """Enqueues jobs, those of concurrent callers together.

    `publishing` are the tasks that are pending too for every fact of which others are told, `screening` those that are
    pending too for posts and profiles whose words or images are new.
    """

    def __init__(
        self, transport: JobTransport, publishing: Sequence[Task] = (), screening: Sequence[Task] = ()
    ) -> None:
        self.publishing, self.screening = publishing, screening
        self.put_back, self.depth, self.ping = transport.put_back, transport.depth, transport.ping
        self._transport = transport
        self._silent_until: dict[str, float] = {}
        self._sends = Batcher(self._send, MAX_BATCH)
        self._unsent = 0

    async def enqueue(self, jobs: Iterable[Job]) -> None:
        """Wakes the workers of these jobs. Best effort: never raises and takes at most `ENQUEUE_SECONDS`.

        For `SILENCE_SECONDS` it skips workers that it could not reach or whose queue was `MAX_QUEUE_LENGTH` long; the
        outbox relay enqueues those jobs later.
        """
        await self.enqueue_traced(dict.fromkeys(jobs, current_traceparent()))

    async def enqueue_traced(self, traces: Mapping[Job, str | None]) -> None:
        """Enqueues, as `enqueue` does, jobs with the places in traces that they belong to."""
        now = time.monotonic()
        sendable = {
            job: trace for job, trace in traces.items() if now >= self._silent_until.get(JOBS[job.kind].worker, 0)
        }
        if sendable and self._unsent < MAX_UNSENT:
            self._unsent += len(sendable)
            with contextlib.suppress(BatchTimeout):  # the jobs are sent with those of other callers all the same
                await self._sends.submit(sendable, ENQUEUE_SECONDS)

    async def enqueue_pending(self, fact: Fact, documents: Iterable[Mapping[str, Any]]) -> None:
        """Enqueues, as `enqueue` does, the jobs pending for these documents of one kind."""
        await self.enqueue_traced(
            {job: document.get(TRACEPARENT) for document in documents for job in jobs_of(fact, document)}
        )

    async def _send(self, batch: Sequence[Mapping[Job, str | None]]) -> list[None]:
        """Sends each job once for all concurrent callers; a thousand likes of one post are one message."""
        traces: dict[Job, str | None] = {}
        self._unsent -= sum(map(len, batch))
        for each in batch:
            traces.update({job: trace for job, trace in each.items() if traces.get(job) is None})
        jobs, now = sorted(traces), clock.now()
        messages = {job: msgspec.to_builtins(job) | Origin(now, traces[job]).to_fields() for job in jobs}
        try:
            sent = await self._transport.send(messages)
        except Exception as error:  # noqa: BLE001  a mutation succeeds whatever becomes of its jobs
            sent = Sent(unanswered=dict.fromkeys((JOBS[job.kind].worker for job in jobs), error))
        if sent.unanswered:
            lost = sum(JOBS[job.kind].worker in sent.unanswered for job in jobs)
            log.warning("job_queue.unanswered", jobs=lost, error=error_name(next(iter(sent.unanswered.values()))))
        if sent.full:
            log.warning("job_queue.full", workers=sorted(sent.full))
        self._silence([*sent.unanswered, *sent.full])
        return [None] * len(batch)

    def _silence(self, workers: Iterable[str]) -> None:
        self._silent_until.update(dict.fromkeys(workers, time.monotonic() + SILENCE_SECONDS))


def error_name(error: BaseException) -> str:
    """The name of an error for the log: the code of SNS or SQS, or the class."""
    return error.code if isinstance(error, JobQueueOutage) else type(error).__name__


def parse_job(fields: Mapping[bytes, bytes]) -> Job | None:
    """The job of a message with these fields; None for a malformed message."""
    try:
        task, fact, key = (fields[name].decode() for name in (b"task", b"fact", b"key"))
        return Job(Task(task), Fact(fact), str(ObjectId(key)))
    except (KeyError, ValueError, InvalidId):
        return None
