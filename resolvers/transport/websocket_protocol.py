"""GraphQL over WebSocket: the graphql-transport-ws protocol, one `Socket` for each connection."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import orjson
import structlog
from graphql import OperationType
from starlette.types import Receive, Send

from datasources.concurrency.tasks import cancel_tasks
from datasources.telemetry.tracing import operation_part
from domain.errors import RequestErrorCode
from domain.limits import SOCKET_OPERATIONS_MAX
from domain.rate_limits import RateLimited
from resolvers.transport.admission import Busy
from resolvers.transport.answer import Answer
from resolvers.transport.documents import GraphQLRequest, Operation
from resolvers.transport.errors import MASKED, Rejected, bad_request, error_codes, error_with_code, to_rejection
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.hooks import Identity, Watch
from resolvers.transport.operation_metrics import OPERATION_METRICS
from resolvers.transport.websocket_messages import (
    Closed,
    id_of,
    message_of,
    next_message,
    payload_of,
    request_of,
    short,
    token_of,
)
from resolvers.transport.websocket_sent import Sent

log = structlog.stdlib.get_logger(__name__)

CLOSE_TIMEOUT = 1.0  # and the close frame


@dataclass(slots=True, eq=False)
class Socket:
    """One connection. Its task reads messages. Each operation has a task of its own and ends with the connection."""

    _executor: OperationExecutor
    _receive: Receive
    _send: Send
    _request_id: str
    _address: str
    _send_timeout: float
    _write_now: Callable[[bytes], bool] | None = None  # writes a text, if the client takes it without a wait
    _initialised: bool = False
    _acknowledged: bool = False
    _retiring: bool = False
    _closed: bool = False
    _abandoned: bool = False
    _reader: asyncio.Task[Any] | None = None
    _watch: Watch | None = None
    _ending: set[asyncio.Task[None]] | None = None  # tasks that end an operation, or the socket
    _identity: Identity | None = None
    _source: Hashable = None  # to whom refused requests count
    _operations: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by id, until the client is told the end
    # All running operations, and whether they end by themselves.
    _tasks: dict[asyncio.Task[None], bool] = field(default_factory=dict)
    _count: int = 0

    async def serve(self, init_timeout: float) -> None:
        """Serves until either side closes. Then every operation is stopped and its generator closed."""
        started, ended = time.monotonic(), Closed(1011, "Internal error")
        self._reader = asyncio.current_task()
        log.info("socket opened")
        try:
            await self._read_messages(init_timeout)
        except Closed as closed:
            ended = closed
        except asyncio.CancelledError:
            ended = Closed(1006, by_client=True)
            if not self._abandoned:
                raise
        except Exception:
            log.exception("socket failed")
        finally:
            if not ended.by_client:
                await self._close(ended.code, ended.reason)
            await self._stop()
            seconds = round(time.monotonic() - started, 1)
            log.info("socket closed", code=ended.code, seconds=seconds, operations=self._count)

    async def retire(self, within: float) -> None:
        """Takes no new operation, lets queries and mutations finish within the seconds, and closes with 1012."""
        self._retiring = True
        finite = [task for task, ends in self._tasks.items() if ends]
        if finite:
            await asyncio.wait(finite, timeout=within)
        await self._close(1012, "Service Restart")

    # Reading

    async def _read_messages(self, init_timeout: float) -> NoReturn:
        try:
            async with asyncio.timeout(init_timeout):
                while not self._initialised:
                    await self._handle(message_of(await self._receive()))
        except TimeoutError:
            raise Closed(4408, "Connection initialisation timeout") from None
        while True:
            await self._handle(message_of(await self._receive()))

    async def _handle(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "connection_init":
                await self._initialise(payload_of(message))
            case "ping":
                payload = payload_of(message)
                await self._send_message({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
            case "pong":
                payload_of(message)
            case "subscribe":
                await self._subscribe(id_of(message), request_of(message))
            case "complete":
                self._complete(id_of(message))
            case _:
                raise Closed(4400, "Unknown type of message")

    async def _initialise(self, payload: Mapping[str, Any] | None) -> None:
        if self._initialised:
            raise Closed(4429, "Too many initialisation requests")
        self._initialised = True
        token = token_of(payload or {})
        try:
            self._executor.hooks.refused.check(self._executor.source(token, self._address))
            self._identity = await self._executor.authenticate(token, self._request_id)
        except (Rejected, RateLimited):
            raise Closed(1013, "Try again later") from None
        self._source = self._executor.source(token, self._address)
        if token is not None and self._identity is None:
            self._executor.hooks.refused.count(self._source)
            raise Closed(4403, "Forbidden")
        self._acknowledged = True
        await self._send_message({"type": "connection_ack"})
        if self._identity is not None:
            self._watch = self._executor.hooks.watch(self._identity, self._forbid)

    async def _subscribe(self, id_: str, payload: dict[str, Any]) -> None:
        if not self._acknowledged:
            raise Closed(4401, "Unauthorized")
        if id_ in self._operations:
            raise Closed(4409, f"Subscriber for {id_} already exists")
        try:
            if len(self._tasks) >= SOCKET_OPERATIONS_MAX:
                raise bad_request(f"A socket has at most {SOCKET_OPERATIONS_MAX} operations at once.")
            if self._retiring:
                return  # the socket closes in a moment; the client reconnects to another process
            self._executor.hooks.refused.check(self._source)
            operation = self._executor.operation(GraphQLRequest.from_json(payload))
        except (Rejected, RateLimited) as error:
            rejection = to_rejection(error) if isinstance(error, RateLimited) else error
            if rejection is error and 400 <= rejection.status < 500:  # else a hash that a client may ask for
                self._executor.hooks.refused.count(self._source)
            codes = error_codes(rejection.errors)
            OPERATION_METRICS.count_unread(codes)
            log.info("operation", codes=codes)
            await self._send_message({"id": id_, "type": "error", "payload": rejection.errors})
            return
        self._count += 1
        task = asyncio.create_task(self._operate(id_, operation, f"{self._request_id}-{self._count}"))
        self._operations[id_] = task
        self._tasks[task] = operation.kind is not OperationType.SUBSCRIPTION
        task.add_done_callback(self._tasks.pop)

    def _complete(self, id_: str) -> None:
        task = self._operations.pop(id_, None)
        if task is not None:  # else it has just completed by itself
            self._end(cancel_tasks([task]))

    def _forbid(self) -> None:
        """The session was revoked, or its token has expired."""
        self._end(self._close(4403, "Forbidden"))

    def _end(self, work: Coroutine[Any, Any, None]) -> None:
        ending = asyncio.create_task(work)
        if self._ending is None:
            self._ending = set()
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    # Working

    async def _operate(self, id_: str, operation: Operation, request_id: str) -> None:
        """Runs one operation to its end, and sends how it ended."""
        started, sent = time.perf_counter(), Sent(id_)
        try:
            if operation.kind is OperationType.SUBSCRIPTION:
                subscribing = self._executor.subscribe(
                    operation,
                    self._identity,
                    request_id,
                    address=self._address,
                    send_now=self._write_now and partial(self._send_now, sent, asyncio.current_task()),
                )
                async with aclosing(subscribing) as answers:
                    async for answer in answers:
                        sent.events += 1
                        sent.note(answer.codes)
                        await self._answer(id_, answer)
            else:
                answer = await self._run(operation, request_id)
                sent.note(answer.codes)
                if self._watch is not None and answer.identity is not None:
                    self._watch.renew(answer.identity)
                await self._answer(id_, answer)
            await self._finish(id_, {"id": id_, "type": "complete"})
        except (Rejected, Busy) as error:
            rejection = to_rejection(error) if isinstance(error, Busy) else error
            sent.note(error_codes(rejection.errors))
            await self._finish(id_, {"id": id_, "type": "error", "payload": rejection.errors})
        finally:
            if self._operations.get(id_) is asyncio.current_task():
                del self._operations[id_]
            account = self._executor.hooks.name_in_logs(self._identity)
            sent.report(operation, request_id, account, time.perf_counter() - started)

    async def _run(self, operation: Operation, request_id: str) -> Answer:
        """Runs a query or a mutation. Raises Busy."""
        account = self._executor.hooks.name_in_logs(self._identity)
        with operation_part(operation.name and operation.name[:64], operation.kind.value) as part:
            part.set(account=account, request_id=request_id, cost=operation.cost)
            async with self._executor.admitted(operation, self._executor.caller(self._identity, self._address)):
                answer = await self._executor.run(operation, self._identity, request_id, address=self._address)
            if answer.codes:
                part.fail(", ".join(answer.codes))
            return answer

    async def _answer(self, id_: str, answer: Answer) -> None:
        if not answer.executed:
            raise Rejected(answer.payload["errors"])
        if self._operations.get(id_) is asyncio.current_task():
            await self._send_message({"id": id_, "type": "next", "payload": answer.payload})

    async def _finish(self, id_: str, message: dict[str, Any]) -> None:
        """Sends the last message of an id. The client may then use the id again."""
        if self._operations.get(id_) is asyncio.current_task():
            del self._operations[id_]
            await self._send_message(message)

    # Writing

    def _send_now(self, sent: Sent, task: asyncio.Task[Any] | None, answer: Answer, encoded: bytes) -> bool:
        """Sends an event's answer, given with its JSON, if the client takes it without a wait; whether it was sent."""
        if self._closed or self._operations.get(sent.id) is not task or self._write_now is None:
            return False
        if not self._write_now(next_message(sent.id, encoded)):
            return False
        sent.events += 1
        if "errors" in answer.payload:
            sent.note(answer.codes)
        return True

    async def _send_message(self, message: dict[str, Any]) -> None:
        """Sends one message; a client that does not take it in time loses the socket."""
        try:
            text = orjson.dumps(message).decode()
        except TypeError as error:  # a scalar let a Python object through
            log.exception("answer cannot be encoded")
            raise Rejected([error_with_code(RequestErrorCode.INTERNAL_SERVER_ERROR, MASKED)]) from error
        try:
            async with asyncio.timeout(self._send_timeout):
                await self._send_event({"type": "websocket.send", "text": text})
        except TimeoutError:
            await self._close(4410, "Messages are not being read")

    async def _close(self, code: int, reason: str) -> None:
        """Closes the socket, once. Reading then ends by itself."""
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._send_event({"type": "websocket.close", "code": code, "reason": short(reason)})
        except TimeoutError:
            log.info("socket abandoned", code=code)
            self._abandoned = True
            if self._reader is not None and self._reader is not asyncio.current_task():
                self._reader.cancel()  # it would wait for ever for the client

    async def _send_event(self, message: dict[str, Any]) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError):
            return  # closed meanwhile, by either side; the reader notices

    async def _stop(self) -> None:
        """Stops all operations. A generator that does not finish in some seconds is left behind."""
        if self._watch is not None:
            self._watch.stop()
        await cancel_tasks({*self._tasks, *(self._ending or ())} - {asyncio.current_task()})
