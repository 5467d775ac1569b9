"""A worker: takes rings from its queue, has handlers pay them, and decides what their ends mean."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog
from redis.exceptions import RedisError

from datasources.concurrency.tasks import cancel_tasks
from datasources.jobs.queue import Message, QueueConsumer
from datasources.mongo import clock
from datasources.outages import is_outage, server_of
from domain.jobs import JOBS, Fact, Job, JobKind, Task
from workers.registry import HANDLERS
from workers.runtime.backlog import Backlog, Lane
from workers.runtime.freeze_detector import FreezeDetector
from workers.runtime.handler import Handler, Tools
from workers.runtime.invoke import Outcome, invoke

log = structlog.get_logger(__name__)

MAX_READ = 500
READ_WAIT = 1.0
MAX_WAITING = 1_000  # no more is read while so many different rings wait
# Of these no more are read while so many wait: who took all chunks of a long fan-out would keep them from the others.
MAX_WAITING_OF = {"feed": JOBS[Task.FAN_OUT_CHUNK, Fact.FAN_OUT].concurrency}
SLOW_CONCURRENCY = 2  # of the lane of what takes long: one is rendered, and the next is read
OUTAGE_PAUSE = 1.0
MESSAGE_LEASE = 15.0  # a message that its worker has not renewed for so long is taken over by another
GONE = 10  # leases without a word after which a consumer that holds nothing is removed
FROZEN = 0.2  # of a lease: what fails in a call amid which the process stood still for so long is no attempt


class Worker:
    """One worker: a queue, and a bounded number of calls of handlers at once.

    Rings for the same work are paid one after the other, and those that wait are paid by one call: the handler settles
    all that is owed under its key. A handler that takes many keys gets as many as wait, one call at a time.
    """

    def __init__(
        self,
        tools: Tools,
        queue: QueueConsumer,
        *,
        handlers: Mapping[JobKind, Handler] = HANDLERS,
        outage_pause: float = OUTAGE_PAUSE,
        read_wait: float = READ_WAIT,
        lease: float = MESSAGE_LEASE,
    ) -> None:
        self._tools = tools
        self._queue = queue
        self._handlers = handlers
        self._outage_pause = outage_pause
        self._read_wait = read_wait
        self._lease = lease
        self._waiting_most = MAX_WAITING_OF.get(queue.worker, MAX_WAITING)
        self._read_most = min(MAX_READ, self._waiting_most)
        self._backlog = Backlog()
        self._calls: dict[asyncio.Task[None], Lane] = {}
        self._freezes = FreezeDetector(lease * FROZEN)
        self._is_stopping = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until told to stop; then lets what is in hand finish within `drain_work` and gives back the rest."""
        self._freezes.start()
        keeping = asyncio.create_task(self._keep(), name="keep")
        try:
            while not stopping.is_set():
                if len(self._backlog.waiting) >= self._waiting_most:
                    await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await self._take(await self._read())
            self._is_stopping = True
            if self._calls:
                await asyncio.wait(self._calls, timeout=self._tools.sources.settings.drain_work)
        finally:
            self._freezes.stop()
            await cancel_tasks([keeping])
        await self._give_back()

    async def _take(self, messages: Sequence[Message]) -> None:
        dealt_with, come = [], list[Job]()
        for message in messages:
            job = message.job
            if job is None or job.kind not in self._handlers:
                if await self._is_kept(message):
                    dealt_with.append(message.id)
            elif self._backlog.add(job, message):
                come.append(job)
            else:
                dealt_with.append(message.id)
        await self._learn_owners(come)
        self._begin()
        await self._done(dealt_with)

    async def _learn_owners(self, jobs: Sequence[Job]) -> None:
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
                continue  # then they come in their order
            self._backlog.learn({Job(*kind, key): owner for key, owner in owners.items()})

    def _begin(self) -> None:
        """Begins as much of what waits as there is room for; to be called whenever that may have become more."""
        if self._is_stopping:
            return
        running = Counter(self._calls.values())
        for lane in self._backlog.lanes:
            kind, handler = lane[0], self._handlers[lane[0]]
            for _ in range(self._room(lane) - running[lane]):
                jobs = self._backlog.begin(lane, handler.spec.batch, rotates=handler.owners is not None)
                if not jobs:
                    break
                call = asyncio.create_task(self._call(lane, jobs), name=f"{kind[0].value} {kind[1].value}")
                self._calls[call] = lane
                call.add_done_callback(self._ended)

    def _room(self, lane: Lane) -> int:
        kind, takes_long = lane
        if takes_long:
            return SLOW_CONCURRENCY
        spec = self._handlers[kind].spec
        return spec.concurrency * (self._tools.sources.settings.render_processes if spec.per_render_process else 1)

    async def _call(self, lane: Lane, jobs: Sequence[Job]) -> None:
        kind, messages = lane[0], {job: self._backlog.in_hand[job] for job in jobs}
        try:
            started = time.monotonic()
            await self._queue.mark_started(list(messages.values()))
            lost_by = self._backlog.lost_by(jobs[0])
            if lost_by is not None and await self._is_dead(jobs[0], lost_by):
                await self._done([messages[jobs[0]]])
                return
            outcome = await self._outcome(lane, jobs)
            await self._judge(kind, outcome)
            if lost_by is not None and not outcome.failed:
                await self._kept(lost_by, jobs[0])
            about = {"keys": len(jobs)} if len(jobs) > 1 else {"key": jobs[0].key}
            seconds = round(time.monotonic() - started, 3)
            log.info("worker.called", task=kind[0].value, fact=kind[1].value, **about, seconds=seconds)
            # What has more to do waits again, behind the others, unless a newer ring says so already.
            more = [job for job in jobs if job.key in outcome.has_more and job not in self._backlog.waiting]
            self._backlog.move_to_slow_lane(job for job in jobs if job.key in outcome.needs_slow_lane)
            for job in more:
                self._backlog.requeue(job)
            await self._done([message for job, message in messages.items() if job not in more])
        finally:
            self._backlog.finish(jobs)

    async def _outcome(self, lane: Lane, jobs: Sequence[Job]) -> Outcome:
        """What became of the call; nothing is held against work amid which this process stood still."""
        (kind, takes_long), freezes = lane, self._freezes.count
        tools = self._tools.of_slow_lane if takes_long else self._tools
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

    async def _judge(self, kind: JobKind, outcome: Outcome) -> None:
        """Writes down what failed and forgets the failures of what was paid. An outage is nobody's attempt."""
        if outcome.outage is not None:
            what = {"server": server_of(outcome.outage), "error": type(outcome.outage).__name__}
            log.warning("worker.outage", task=kind[0].value, **what)
            await asyncio.sleep(self._outage_pause)
        try:
            await self._tools.sources.dead_letters.clear_failures(*(Job(*kind, key) for key in outcome.done))
            for key, error in outcome.failed.items():
                await self._failed(Job(*kind, key), error)
        except Exception as unrecorded:
            if not is_outage(unrecorded):
                raise
            log.warning("worker.unrecorded", failures=len(outcome.raised), error=type(unrecorded).__name__)

    async def _failed(self, job: Job, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        letter = await self._tools.sources.dead_letters.count_failure(job, reason, clock.now())
        log.error("worker.failed", job=str(job), attempts=letter.attempts, dead=letter.dead, exc_info=error)

    async def _is_dead(self, job: Job, lost_by: str) -> bool:
        """Counts that another consumer was lost with this work in hand; whether it has had all its attempts."""
        try:
            letter = await self._tools.sources.dead_letters.count_loss(job, lost_by, clock.now())
        except Exception as unrecorded:
            if not is_outage(unrecorded):
                raise
            log.warning("worker.unrecorded", failures=1, error=type(unrecorded).__name__)
            return False
        log.warning("worker.lost", job=str(job), lost_by=lost_by, attempts=letter.attempts, dead=letter.dead)
        return letter.dead

    async def _kept(self, consumer: str, job: Job | None = None) -> None:
        try:
            await self._tools.sources.dead_letters.uncount_loss(consumer, clock.now(), job)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("worker.unrecorded", error=type(error).__name__)

    async def _is_kept(self, message: Message) -> bool:
        """Makes a message that nobody understands a dead letter; if that fails, it comes again after a lease."""
        letters = self._tools.sources.dead_letters
        try:
            letter = await letters.add_malformed(self._queue.worker, message.fields, clock.now())
        except Exception as error:  # noqa: BLE001  whatever it is, the others' rings are not to wait for it
            log.warning("worker.unrecorded", message=message.id.decode(), error=type(error).__name__)
            return False
        log.error("worker.malformed", message=message.id.decode(), letter=letter and letter.id)
        return True

    async def _keep(self) -> None:
        """Renews the leases of all that waits or is in hand, and takes over what workers that are gone have left.

        After more than a lease of silence others may have taken this worker for dead: then it says for a while that it
        lives.
        """
        renewed, lapsed = time.monotonic(), -math.inf
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                await self._queue.renew_leases(self._backlog.messages)
                before, renewed = renewed, time.monotonic()
                lapsed = renewed if renewed - before >= self._lease else lapsed
                if renewed - lapsed < self._lease * GONE:
                    await self._kept(self._queue.consumer)
                if not self._is_stopping and len(self._backlog.waiting) < self._waiting_most:
                    await self._take(await self._queue.claim_expired(self._read_most, self._lease))
                await self._queue.remove_gone_consumers(self._lease * GONE)
            except (RedisError, OSError) as error:
                self._unreachable(error)

    async def _read(self) -> list[Message]:
        try:
            return await self._queue.read(self._read_most, self._read_wait)
        except (RedisError, OSError) as error:
            self._unreachable(error)
            await asyncio.sleep(self._outage_pause)
            return []

    async def _done(self, message_ids: Sequence[bytes]) -> None:
        try:
            await self._queue.acknowledge(message_ids)
        except (RedisError, OSError) as error:
            self._unreachable(error)

    async def _give_back(self) -> None:
        unfinished = self._backlog.messages
        await cancel_tasks(self._calls)
        try:
            await self._queue.leave(unfinished)
        except (RedisError, OSError) as error:
            self._unreachable(error)

    def _unreachable(self, error: Exception) -> None:
        """Says that the queue could not be asked, which harms nothing: the sweeper knows what is owed."""
        log.warning("worker.queue_unreachable", error=type(error).__name__)
