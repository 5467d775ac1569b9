"""Runs operations for all transports: with a context of their own, within a time limit, and masks their errors."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import strawberry
from graphql import ExecutionResult, OperationType
from graphql.execution import Executor

from datasources.rate_limits.points import Charge
from domain.errors import RequestError, RequestErrorCode, Unauthenticated
from resolvers.transport.admission import Admission, Client, Clients, Place
from resolvers.transport.answer import Answer
from resolvers.transport.answer_size import count_fields
from resolvers.transport.audiences import Audiences, SendNow
from resolvers.transport.bad_tokens import is_answered
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest, Operation
from resolvers.transport.errors import (
    TOO_SLOW,
    Culprit,
    ErrorPresenter,
    Rejected,
    bad_token_rejection,
    throttle_headers,
    to_rejection,
)
from resolvers.transport.executable_schema import ExecutableSchema
from resolvers.transport.hooks import Hooks, Identity


class OperationExecutor:
    """Executes operations: parsing, validation, limits, admission, masking of errors, and logging."""

    def __init__(
        self,
        schema: strawberry.Schema,
        hooks: Hooks,
        *,
        limits: OperationLimits | None = None,
        operation_timeout: float = 15.0,
        admission: Admission | None = None,
        introspection: bool = True,
        compile_at: int = 2,
        kept_objects: int = 10_000,
    ) -> None:
        self.hooks = hooks
        self._admission = admission or Admission()
        self._clients = Clients()
        self._audiences = Audiences()
        self.limits = limits or OperationLimits()
        self.operation_timeout = operation_timeout
        self.errors = ErrorPresenter(hooks.is_outage)
        self._schema = ExecutableSchema(schema, kept_objects)
        self._documents = Documents(
            self._schema.core,
            self.limits,
            introspection=introspection,
            compile_operation=self._schema.compile,
            compile_at=compile_at,
        )

    def operation(self, request: GraphQLRequest) -> Operation:
        """The operation asked for. Raises Rejected if it does not parse, is invalid or too large."""
        return self._documents.operation(request)

    def sender(self, token: str | None, address: str) -> Client:
        """The client that a request counts to before its token is looked up."""
        return self._clients.of(token, address)

    def source(self, token: str | None, address: str) -> Client:
        """To whom a request counts that is refused before it costs points."""
        return self._clients.source(token, address)

    def caller(self, identity: Identity | None, address: str) -> Client:
        """The client that an operation counts to."""
        return address if identity is None else self.hooks.account(identity)

    def admitted(self, operation: Operation, client: Client) -> Place:
        """Runs the block when the process has room for the operation. Raises Busy if that would take too long."""
        return self._admission.admitted(client, operation.cost)

    async def authenticate(self, token: str | None, request_id: str) -> Identity | None:
        """The identity of a token; None for no token and for a bad one. Raises Rejected if it cannot be looked up."""
        try:
            async with asyncio.timeout(self.operation_timeout):
                identity = await self.hooks.authenticate(token)
        except Exception as error:  # noqa: BLE001  a boundary: whatever it was is presented and logged
            raise self._rejection(error, None, request_id) from None
        if token is not None and identity is not None:
            self._clients.remember(token, self.hooks.account(identity))
        return identity

    async def identify(self, operation: Operation, token: str | None, request_id: str, address: str) -> Identity | None:
        """The identity of an operation's sender; None for anonymous.

        Raises Rejected if the token cannot be looked up, and (401) for a bad token, or none where one is needed.
        """
        if token is None and operation.is_private:
            raise to_rejection(Unauthenticated())
        if token is not None and operation.kind is OperationType.QUERY:
            known = self.hooks.recall(token)
            if known is not None:
                return known
        identity = await self.authenticate(token, request_id)
        if token is None or identity is not None:
            return identity
        bad_identity = self.hooks.bad_token_identity(token)
        try:
            async with asyncio.timeout(self.operation_timeout):
                context = self.hooks.make_context(bad_identity, request_id, address)
                is_served = await is_answered(self._schema.core, operation, context)
        except Exception as error:  # noqa: BLE001  a boundary: whatever it was is presented and logged
            raise self._rejection(error, operation, request_id) from None
        if not is_served:
            raise bad_token_rejection()
        return bad_identity

    async def run(
        self,
        operation: Operation,
        identity: Identity | None,
        request_id: str,
        *,
        address: str = "",
        sender: str | None = None,
        more_seconds: float = 0.0,
    ) -> Answer:
        """Runs a query or a mutation, `more_seconds` longer than others if need be. Raises only when cancelled.

        Without an identity it counts to the `sender`, by default the address.
        """
        context = self.hooks.make_context(identity, request_id, address)
        try:
            charge = await self._charge(operation, identity, address, sender or address)
            result = self._schema.execute(operation, context)
            if not isinstance(result, ExecutionResult):  # what needs no waiting needs no time limit
                async with asyncio.timeout(self.operation_timeout + more_seconds):
                    result = await result
        except Exception as error:  # noqa: BLE001  a boundary: whatever it was is presented and logged
            rejection = self._rejection(error, operation, request_id)
            return Answer({"errors": rejection.errors}, rejection.status, headers=rejection.headers)
        answer = self._answer(result, operation, request_id)
        actual = min(count_fields(result.data), operation.cost)
        charge.give_back(operation.cost - actual)
        throttle = charge.throttle()
        if answer.executed:
            cost: dict[str, Any] = {"requested": operation.cost, "actual": actual, "limit": self.limits.cost}
            if throttle is not None:
                maximum, available, restore_rate = throttle
                cost["throttle"] = {"maximum": maximum, "available": available, "restoreRate": restore_rate}
            answer.payload["extensions"] = {"cost": cost}
        return Answer(answer.payload, answer.status, self.hooks.identity_of(context), throttle_headers(throttle))

    async def subscribe(
        self,
        operation: Operation,
        identity: Identity | None,
        request_id: str,
        *,
        address: str = "",
        send_now: SendNow | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """Runs a subscription: an answer for each event, until its source ends or this is closed.

        An event waits until the process has room for it, without a time limit, since clients rely on each event. Its
        source waits meanwhile. Closing it closes the source. Raises Rejected if it cannot start. Answers that
        `send_now` has sent are not yielded.
        """
        client = self.caller(identity, address)
        reader = self._audiences.start(client, operation, send_now)
        try:
            await self._charge(operation, identity, address, address)
            context = self.hooks.make_context(identity, request_id, address)
            async with asyncio.timeout(self.operation_timeout):
                started = await self._schema.subscribe(operation, context)
        except Exception as error:  # noqa: BLE001  a boundary: whatever it was is presented and logged
            raise self._rejection(error, operation, request_id) from None
        if isinstance(started, ExecutionResult):
            raise Rejected(self._answer(started, operation, request_id).payload["errors"])
        executor, source = started
        del started, context  # and below: what an idle subscription would keep for hours
        async with aclosing(source):
            try:
                async for event in source:
                    async with self._admission.admitted(client, operation.cost, patient=True):
                        context = self.hooks.make_context(identity, request_id, address)
                        result = await self._execute_event(operation, executor, event, context)
                    answer = self._answer(result, operation, request_id)
                    del event, context, result
                    if reader is None or not await reader.send(answer):
                        yield answer
                    del answer
            except Exception as error:  # noqa: BLE001  a boundary: whatever it was is presented and logged
                raise self._rejection(error, operation, request_id) from None
            finally:
                if reader is not None:
                    reader.stop()

    async def _charge(self, operation: Operation, identity: Identity | None, address: str, sender: str) -> Charge:
        """Takes the points of an operation. One that may not run costs as much as one that answers nothing."""
        charge = await self.hooks.charge(identity, address, operation.cost, sender)
        try:
            operation.check(signed_in=identity is not None, scopes=self.hooks.scopes(identity))
        except RequestError:
            charge.give_back(operation.cost)
            raise
        return charge

    async def _execute_event(
        self, operation: Operation, executor: Executor[Any] | None, event: object, context: object
    ) -> ExecutionResult:
        async with asyncio.timeout(self.operation_timeout):
            executing = self._schema.execute_event(operation, executor, event, context)
            return executing if isinstance(executing, ExecutionResult) else await executing

    def _answer(self, result: ExecutionResult, operation: Operation, request_id: str) -> Answer:
        if not result.errors:
            return Answer({"data": result.data})
        errors = self.errors.present(result.errors, _culprit(operation, request_id))
        if result.data is None and all(error.path is None for error in result.errors):
            return Answer({"errors": errors}, status=400)  # nothing was executed: variables that do not fit
        return Answer({"errors": errors, "data": result.data})

    def _rejection(self, error: Exception, operation: Operation | None, request_id: str) -> Rejected:
        match error:
            case Rejected():
                return error
            case RequestError():
                return to_rejection(error)
            case TimeoutError():
                return to_rejection(RequestError(RequestErrorCode.TIMEOUT, TOO_SLOW))
            case _:
                return self.errors.fault(error, _culprit(operation, request_id))


def _culprit(operation: Operation | None, request_id: str) -> Culprit:
    if operation is None:
        return Culprit(request_id, None, None, {})
    return Culprit(request_id, operation.name, operation.document, operation.variables)
