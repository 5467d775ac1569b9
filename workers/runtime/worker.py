"""A worker: takes jobs from its queue, calls their handlers, and records what became of them."""

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import structlog

from datasources.concurrency.tasks import cancel_tasks, keep_running
from datasources.jobs.origin import Origin
from datasources.jobs.queue import Message, QueueConsumer, error_name
from datasources.mongo import clock
from datasources.outages import is_outage, server_of
from datasources.telemetry.tracing import call_part
from domain.jobs import JOBS, Fact, Job, JobKind, Task
from workers.registry import HANDLERS
from workers.runtime.backlog import Backlog, Lane
from workers.runtime.call_handler import Outcome, invoke
from workers.runtime.freeze_detector import FreezeDetector
from workers.runtime.handler import Handler, Tools
from workers.runtime.job_metrics import count_call, count_dead_letter

log = structlog.get_logger(__name__)

MAX_READ = 500
MAX_WAITING = 1_000  # no more is read while so many different jobs wait
# A worker that read all posts of a burst, or all chunks of a long fan-out, would keep them from other workers.
MAX_WAITING_OF = {"feed": JOBS[Task.FAN_OUT, Fact.POST].batch, "large_fan_outs": 2}
SLOW_CONCURRENCY = 2  # calls in the slow lane: one upload is rendered, and the next is read
OUTAGE_PAUSE = 1.0
LAPSED_LEASES = 10  # for so long after a silence it takes back what others may have counted
FREEZE_PART = 0.2  # of a lease: a failure during such a freeze of the process is no failed attempt


class Worker:
    """A queue, and a bounded number of calls of handlers at once.

    Jobs of the same kind and key are done one after the other, and all that wait by one call: a handler does all that
    is pending for its key. A handler that takes many keys gets as many as wait, one call at a time.
    """

    def __init__(
        self,
        tools: Tools,
        queue: QueueConsumer,
        *,
        handlers: Mapping[JobKind, Handler] = HANDLERS,
        outage_pause: float = OUTAGE_PAUSE,
        read_wait: float | None = None,
    ) -> None:
        self._tools = tools
        self._queue = queue
        self._handlers = handlers
        self._outage_pause = outage_pause
        self._read_wait = queue.read_wait if read_wait is None else read_wait
        self._lease = queue.lease
        self._max_waiting = MAX_WAITING_OF.get(queue.worker, MAX_WAITING)
        self._max_read = min(MAX_READ, self._max_waiting)
        self.backlog = Backlog()
        self._calls: dict[asyncio.Task[None], Lane] = {}
        self._lingering: dict[Lane, asyncio.TimerHandle] = {}  # lanes of which no call begins yet
        self._origins: dict[Job, Origin] = {}  # of jobs that wait
        self._freezes = FreezeDetector(queue.lease * FREEZE_PART)
        self._is_stopping = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping` is set; then waits up to `drain_work` for jobs in hand, and gives the rest back."""
        self._freezes.start()
        renewing = asyncio.create_task(keep_running("renew leases", self._renew_leases), name="renew leases")
        try:
            while not stopping.is_set():
                if len(self.backlog.waiting) >= self._max_waiting:
                    await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await self._take(await self._read())
            self._is_stopping = True
            if self._calls:
                await asyncio.wait(self._calls, timeout=self._tools.sources.settings.drain_work)
        finally:
            self._freezes.stop()
            for timer in self._lingering.values():
                timer.cancel()
            await cancel_tasks([renewing])
        await self._give_back()

    async def _take(self, messages: Sequence[Message]) -> None:
        handled, added, before = [], list[Job](), self.backlog.lanes
        for message in messages:
            job = message.job
            if job is None or job.kind not in self._handlers:
                if await self._record_malformed(message):
                    handled.append(message.id)
            elif self.backlog.add(job, message):
                if job in self.backlog.waiting:
                    self._origins[job] = message.origin
                added.append(job)
            else:
                handled.append(message.id)
        await self._note_owners(added)
        self._linger(before)
        self._begin()
        await self._acknowledge(handled)

    def _linger(self, lanes: set[Lane]) -> None:
        """Lets lanes that are not among these wait for more jobs, if their kinds linger; none if there is no room."""
        for lane in self.backlog.lanes - lanes:
            linger = self._handlers[lane.kind].spec.linger
            if linger and lane not in self._lingering:
                loop = asyncio.get_running_loop()
                self._lingering[lane] = loop.call_later(linger, self._end_lingering, lane)
        if len(self.backlog.waiting) >= self._max_waiting:
            for lane in tuple(self._lingering):
                self._end_lingering(lane)

    def _end_lingering(self, lane: Lane) -> None:
        self._lingering.pop(lane).cancel()
        self._begin()

    async def _note_owners(self, jobs: Sequence[Job]) -> None:
        for kind in {job.kind for job in jobs}:
            owners_of = self._handlers[kind].owners
            if owners_of is None:
                continue
            keys = [job.key for job in jobs if job.kind == kind]
            try:
                owners = await owners_of(self._tools, keys)
            except Exception as error:
                if not is_outage(error):
                    raise
                continue  # then the jobs are done in the order they came
            self.backlog.set_owners({Job(*kind, key): owner for key, owner in owners.items()})

    def _begin(self) -> None:
        """Begins as many waiting jobs as there is room for; called whenever there may be more of either."""
        if self._is_stopping:
            return
        running = Counter(self._calls.values())
        for lane in self.backlog.lanes - self._lingering.keys():
            kind, handler = lane.kind, self._handlers[lane.kind]
            for _ in range(self._room(lane) - running[lane]):
                jobs = self.backlog.begin(lane, handler.spec.batch, rotates=handler.owners is not None)
                if not jobs:
                    break
                call = asyncio.create_task(self._call(lane, jobs), name=f"{kind[0].value} {kind[1].value}")
                self._calls[call] = lane
                call.add_done_callback(self._ended)

    def _room(self, lane: Lane) -> int:
        if lane.is_slow:
            return SLOW_CONCURRENCY
        spec = self._handlers[lane.kind].spec
        return spec.concurrency * (self._tools.sources.settings.render_processes if spec.per_render_process else 1)

    async def _call(self, lane: Lane, jobs: Sequence[Job]) -> None:
        kind, messages = lane.kind, {job: self.backlog.in_hand[job] for job in jobs}
        origins = [self._origins.pop(job, Origin()) for job in jobs]
        try:
            started = time.monotonic()
            await self._queue.mark_started(list(messages.values()))
            lost_by = self.backlog.pop_lost_by(jobs[0])
            if lost_by is not None and await self._count_loss(jobs[0], lost_by):
                await self._acknowledge([messages[jobs[0]]])
                return
            with call_part(*kind, [origin.traceparent for origin in origins]) as part:
                outcome = await self._outcome(lane, jobs)
                count_call(part, kind, jobs, outcome, origins, time.monotonic() - started)
            await self._record(kind, outcome)
            if lost_by is not None and not outcome.failed:
                await self._uncount_loss(lost_by, jobs[0])
            about = {"keys": len(jobs)} if len(jobs) > 1 else {"key": jobs[0].key}
            seconds = round(time.monotonic() - started, 3)
            log.info("worker.called", task=kind[0].value, fact=kind[1].value, **about, seconds=seconds)
            # A job with more to do waits again, behind the others, unless a newer one of its key waits already.
            unfinished = [job for job in jobs if job.key in outcome.has_more and job not in self.backlog.waiting]
            self.backlog.move_to_slow_lane(job for job in jobs if job.key in outcome.needs_slow_lane)
            for job in unfinished:
                self.backlog.requeue(job)
            await self._acknowledge([message for job, message in messages.items() if job not in unfinished])
        finally:
            self.backlog.finish(jobs)

    async def _outcome(self, lane: Lane, jobs: Sequence[Job]) -> Outcome:
        """What became of the call, without failures if this process stood still meanwhile."""
        kind, freezes = lane.kind, self._freezes.count
        tools = self._tools.of_slow_lane if lane.is_slow else self._tools
        outcome = await invoke(tools, self._handlers[kind], [job.key for job in jobs])
        if outcome.raised and freezes != self._freezes.count:
            errors = sorted({type(error).__name__ for error in outcome.raised.values()})
            log.warning("worker.frozen", task=kind[0].value, fact=kind[1].value, errors=errors)
            outcome.raised = {}
        return outcome

    def _ended(self, call: asyncio.Task[None]) -> None:
        del self._calls[call]
        if not call.cancelled() and (error := call.exception()):
            log.error("worker.broken", call=call.get_name(), exc_info=error)  # its messages come back after a lease
        self._begin()

    async def _record(self, kind: JobKind, outcome: Outcome) -> None:
        """Counts failed attempts, and clears those of jobs that are done. An outage is no failed attempt."""
        if outcome.outage is not None:
            cause = {"server": server_of(outcome.outage), "error": type(outcome.outage).__name__}
            log.warning("worker.outage", task=kind[0].value, **cause)
            await asyncio.sleep(self._outage_pause)
        with _unrecorded_logged(failures=len(outcome.raised)):
            await self._tools.sources.dead_letters.clear_failures(*(Job(*kind, key) for key in outcome.done))
            for key, error in outcome.failed.items():
                await self._count_failure(Job(*kind, key), error)

    async def _count_failure(self, job: Job, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        letter = await self._tools.sources.dead_letters.count_failure(job, reason, clock.now())
        if letter.dead:
            count_dead_letter(job.kind)
        log.error("worker.failed", job=str(job), attempts=letter.attempts, dead=letter.dead, exc_info=error)

    async def _count_loss(self, job: Job, lost_by: str) -> bool:
        """Counts an attempt because a consumer was lost with this job in hand; whether that was the last attempt."""
        with _unrecorded_logged(failures=1):
            letter = await self._tools.sources.dead_letters.count_loss(job, lost_by, clock.now())
            log.warning("worker.lost", job=str(job), lost_by=lost_by, attempts=letter.attempts, dead=letter.dead)
            return letter.dead
        return False

    async def _uncount_loss(self, consumer: str, job: Job | None = None) -> None:
        with _unrecorded_logged():
            await self._tools.sources.dead_letters.uncount_loss(consumer, clock.now(), job)

    async def _record_malformed(self, message: Message) -> bool:
        """Makes a message of no known job a dead letter; False if that fails, then it comes again after a lease."""
        letters = self._tools.sources.dead_letters
        try:
            letter = await letters.add_malformed(self._queue.worker, message.fields, clock.now())
        except Exception as error:  # noqa: BLE001  whatever it is, the other jobs must not wait for it
            log.warning("worker.unrecorded", message=message.id.decode(), error=type(error).__name__)
            return False
        log.error("worker.malformed", message=message.id.decode(), letter=letter and letter.id)
        return True

    async def _renew_leases(self) -> None:
        """Renews the leases of all messages held, and takes over the messages of workers that are gone.

        If this worker was silent for more than a lease, others may have taken it for dead and counted a loss: for a
        while it takes such counts back.
        """
        renewed_at, lapsed_at = time.monotonic(), -math.inf
        while True:
            await asyncio.sleep(self._lease / 3)
            with _queue_outages_logged():
                await self._queue.renew_leases(self.backlog.messages)
                before, renewed_at = renewed_at, time.monotonic()
                lapsed_at = renewed_at if renewed_at - before >= self._lease else lapsed_at
                if renewed_at - lapsed_at < self._lease * LAPSED_LEASES:
                    await self._uncount_loss(self._queue.consumer)
                if not self._is_stopping and len(self.backlog.waiting) < self._max_waiting:
                    await self._take(await self._queue.claim_expired(self._max_read))

    async def _read(self) -> list[Message]:
        with _queue_outages_logged():
            return await self._queue.read(self._max_read, self._read_wait)
        await asyncio.sleep(self._outage_pause)
        return []

    async def _acknowledge(self, message_ids: Sequence[bytes]) -> None:
        with _queue_outages_logged():
            await self._queue.acknowledge(message_ids)

    async def _give_back(self) -> None:
        unfinished = self.backlog.messages
        await cancel_tasks(self._calls)
        with _queue_outages_logged():
            await self._queue.leave(unfinished)


@contextlib.contextmanager
def _queue_outages_logged() -> Iterator[None]:
    """Goes on after an outage of the queue, which harms nothing: the outbox relay knows what is pending."""
    try:
        yield
    except Exception as error:
        if not is_outage(error) and not isinstance(error, OSError):
            raise
        log.warning("worker.queue_unreachable", error=error_name(error))


@contextlib.contextmanager
def _unrecorded_logged(**details: int) -> Iterator[None]:
    """Goes on after an outage of the server that records what became of jobs."""
    try:
        yield
    except Exception as error:
        if not is_outage(error):
            raise
        log.warning("worker.unrecorded", **details, error=type(error).__name__)
