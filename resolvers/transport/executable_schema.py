"""The product's schema as it is executed: by code that was compiled for an operation, else by graphql-core.

It is the only module that drives either of them.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeGuard, cast

import strawberry
import structlog
from graphql import DocumentNode, ExecutionResult, GraphQLError, GraphQLSchema
from graphql.execution import (
    Executor,
    create_source_event_stream,
    execute_root_selection_set,
    execute_subscription_event,
)
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from domain.limits import REQUEST_ERRORS_MAX
from engine import CompiledOperation, KeptObjects, Unsupported, compile_operation
from resolvers.transport.documents import COMPILED_FIELDS_MAX, Operation
from schema.plans import Plans

log = structlog.stdlib.get_logger(__name__)

COERCION_ERRORS_SHOWN = REQUEST_ERRORS_MAX - 1  # the last one says that there are more

Executing = ExecutionResult | Awaitable[ExecutionResult]

is_awaitable = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


class SubscriptionExecutor(Executor[Any]):
    """Strawberry's executor without the parts for `@defer` and `@stream`, which would take two kilobytes a socket."""

    operation_extensions = None
    build_resolve_info = StrawberryGraphQLCoreExecutionContext.build_resolve_info


class ExecutableSchema:
    """Compiles and executes operations. Extensions of the Strawberry schema are not run.

    Of records that last, answers keep up to `kept_objects` for later answers.
    """

    def __init__(self, schema: strawberry.Schema, kept_objects: int) -> None:
        # Strawberry keeps the executable schema private and offers no other way to a parsed document's execution.
        self.core: GraphQLSchema = schema._schema  # noqa: SLF001
        self._executor_class: type[Executor[Any]] = schema.execution_context_class
        self._plans = Plans(schema)
        self._kept = KeptObjects(self._plans.lasts, kept_objects) if kept_objects else None

    def compile(
        self, document: DocumentNode, operation_name: str | None, grown: Callable[[], None]
    ) -> CompiledOperation | None:
        """Compiles an operation of a valid document; None if the engine does not support it.

        `grown` is called whenever the compiled operation takes more memory.
        """
        try:
            return compile_operation(
                self.core,
                document,
                operation_name,
                plan=self._plans.plan,
                classes=self._plans.classes,
                kept=self._kept,
                executor_class=self._executor_class,
                max_fields=COMPILED_FIELDS_MAX,
                max_coercion_errors=COERCION_ERRORS_SHOWN,
                hide_suggestions=True,
                grown=grown,
            )
        except Unsupported as error:
            log.info("operation.not_compiled", operation=operation_name, reason=str(error))
            return None

    def execute(self, operation: Operation, context: object) -> Executing:
        """The answer to a query or a mutation. Variables that do not fit are errors without data."""
        if operation.compiled is not None:
            return operation.compiled.execute(None, context, operation.variables)
        executor = self._executor(self._executor_class, operation, context)
        return executor if isinstance(executor, ExecutionResult) else execute_root_selection_set(executor)

    async def subscribe(
        self, operation: Operation, context: object
    ) -> tuple[Executor[Any] | None, AsyncGenerator[Any]] | ExecutionResult:
        """What executes a subscription's events, and the events; errors without data if it cannot start.

        A compiled operation needs no executor for its events.
        """
        executor = self._executor(SubscriptionExecutor, operation, context)
        if isinstance(executor, ExecutionResult):
            return executor
        starting = create_source_event_stream(executor)
        source = await starting if is_awaitable(starting) else starting
        if isinstance(source, ExecutionResult):
            return source
        return executor if operation.compiled is None else None, cast("AsyncGenerator[Any]", source)

    def execute_event(
        self, operation: Operation, executor: Executor[Any] | None, event: object, context: object
    ) -> Executing:
        """The answer to an event of a subscription, with what `subscribe` returned for its events."""
        if operation.compiled is not None:
            return operation.compiled.execute(event, context, operation.variables)
        if executor is None:
            raise ValueError("an operation that is not compiled needs an executor")
        executor = executor.build_per_event_executor(event)
        executor.context_value = context
        return execute_subscription_event(executor)

    def _executor(
        self, executor_class: type[Executor[Any]], operation: Operation, context: object
    ) -> Executor[Any] | ExecutionResult:
        built: Executor[Any] | list[GraphQLError] = executor_class.build(
            self.core,
            operation.document,
            context_value=context,
            raw_variable_values=dict(operation.variables),
            operation_name=operation.name,
            max_coercion_errors=COERCION_ERRORS_SHOWN,
            is_awaitable=is_awaitable,
            hide_suggestions=True,
        )
        return ExecutionResult(None, built) if isinstance(built, list) else built
