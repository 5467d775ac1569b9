"""Compiled operations: one for each operation of a document, with a variant for each combination of its conditions."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLResolveInfoHelpers,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    default_field_resolver,
    default_type_resolver,
    is_object_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.execution.values import VariableValues, get_variable_values

from engine.errors import Bubble, Unsupported
from engine.execution import Execution
from engine.kept import KeptObjects, keep
from engine.loads import BatchLoad
from engine.plans import Classes, Planner
from engine.positions import Tree
from engine.source import Source

log = logging.getLogger(__name__)

VARIANTS_MAX = 8  # of an operation: one for each combination of the variables in @skip and @include
FIELDS_MAX = 2_000  # of a variant; no variant follows when all have so many together
CONDITIONS = ("skip", "include")


class Variant:
    """The generated functions of an operation, for certain values of its conditions."""

    def __init__(self, operation: "CompiledOperation", variables: VariableValues) -> None:
        self.operation = operation
        tree = Tree(
            operation.schema,
            operation.fragments,
            operation.node,
            variables,
            plan=operation.options.plan,
            max_fields=operation.options.max_fields,
        )
        if operation.options.kept is not None:
            keep(operation.options.kept, tree.root)
        is_mutation = operation.node.operation is OperationType.MUTATION
        source = Source(tree, serial=is_mutation, exact_classes=operation.exact_classes(tree))
        self.fields = len(tree.fields)
        names = source.names.all
        exec(compile(source.text, f"<{operation.node.operation.value}>", "exec"), names)  # noqa: S102  our own source
        self.positions = tree.positions
        for position in tree.positions:
            position.function = names[f"c{position.number}"]
            if position.kept is not None:
                position.template = names[f"t{position.number}"]
        self.roots = [names[name] for name in source.roots]
        self.loads = [BatchLoad(load, names[f"f{number}"]) for number, (_, load) in enumerate(source.loads)]

    def new_buckets(self) -> list[list[Any]]:
        """An empty bucket for each batch field."""
        return [[] for _ in self.loads]

    def run(self, root: Any, context: Any, variables: VariableValues) -> ExecutionResult | Awaitable[ExecutionResult]:
        """Executes the operation."""
        execution = Execution(self, root, context, variables)
        for number, function in enumerate(self.roots):
            try:
                function(root, execution.data, execution)
            except Bubble as bubble:
                execution.reject(bubble)
            execution.flush()
            if execution.data is None:
                execution.waiting.discard()
                break
            if execution.waiting:
                return self._finish(execution, number + 1)
        return ExecutionResult(execution.data, execution.errors)

    async def _finish(self, execution: Execution, number: int) -> ExecutionResult:
        """Waits for what was started; then executes the root fields from this number on, each after the one before."""
        await execution.waiting.wait(execution)
        for function in self.roots[number:]:
            if execution.data is None:
                break
            try:
                function(execution.root, execution.data, execution)
            except Bubble as bubble:
                execution.reject(bubble)
            await execution.waiting.wait(execution)
        return ExecutionResult(execution.data, execution.errors)


@dataclass(frozen=True, slots=True)
class Options:
    """How operations are compiled and executed: the arguments of `compile_operation`."""

    plan: Planner | None
    classes: Classes | None
    kept: KeptObjects | None
    executor_class: type[Executor[Any]]
    max_fields: int
    max_coercion_errors: int
    hide_suggestions: bool
    grown: Callable[[], None] | None


class CompiledOperation:
    """An operation that is executed by generated code, and by graphql-core where that cannot be.

    Safe to use again and at the same time, in one thread.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        node: OperationDefinitionNode,
        options: Options,
    ) -> None:
        self.schema = schema
        self.node = node
        self.options = options
        self.fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._conditions = _conditions(node, self.fragments)
        self._variants: dict[tuple[bool | None, ...], Variant | None] = {}
        self.fallbacks = 0  # runs that graphql-core executed
        if not self._conditions:
            self._variants[()] = _compiled(self, VariableValues({}, {}))

    @property
    def fields(self) -> int:
        """How many fields its variants have together: its memory is in proportion to it."""
        return sum(variant.fields for variant in self._variants.values() if variant is not None)

    def execute(
        self, root_value: Any = None, context_value: Any = None, variable_values: Mapping[str, Any] | None = None
    ) -> ExecutionResult | Awaitable[ExecutionResult]:
        """As `graphql.execute`, and with the same answer. Variables that do not fit are errors without data.

        A subscription's event is executed with the event as `root_value`.
        """
        variables = get_variable_values(
            self.schema,
            self.node.variable_definitions or (),
            dict(variable_values or {}),
            max_errors=self.options.max_coercion_errors,
            hide_suggestions=self.options.hide_suggestions,
        )
        if isinstance(variables, list):
            return ExecutionResult(None, variables)
        variant = self._variant(variables)
        if variant is None:
            self.fallbacks += 1
            return self.executor(root_value, context_value, variables).execute_operation()  # type: ignore[return-value]
        return variant.run(root_value, context_value, variables)

    def executor(self, root: Any, context: Any, variables: VariableValues) -> Executor[Any]:
        """graphql-core's executor of one run. It is in no cycle, so the garbage collector is not needed to free it."""
        executor = self.options.executor_class(
            self.schema,
            self.fragments,
            {name: FragmentDetails(node) for name, node in self.fragments.items()},
            root,
            context,
            self.node,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            hide_suggestions=self.options.hide_suggestions,
        )
        bound = copy(executor)  # its helpers are bound to it; a copy shares its state
        del bound.async_helpers
        helpers = GraphQLResolveInfoHelpers(gather=bound.gather_async_work, track=bound.track_async_work)
        executor.async_helpers = helpers
        return executor

    def exact_classes(self, tree: Tree) -> dict[int, type]:
        """The class expected at each position of an object type whose owner names one; tells positions all classes."""
        exact: dict[int, type] = {}
        if self.options.classes is None:
            return exact
        for position in tree.positions:
            if is_object_type(position.type):
                classes = self.options.classes(position.type)
                position.known.update(classes)
                if len(classes) == 1:
                    exact[position.number] = classes[0]
            named = [(each, of) for of in position.variants.values() for each in self.options.classes(of.type)]
            count = Counter(each for each, _ in named)
            position.by_class = {each: of for each, of in named if count[each] == 1}
        return exact

    def _variant(self, variables: VariableValues) -> Variant | None:
        key = tuple([variables.coerced.get(name) for name in self._conditions])
        if key in self._variants:
            return self._variants[key]
        is_full = len(self._variants) >= VARIANTS_MAX or self.fields >= self.options.max_fields
        if is_full or None in key:  # null is an error of its own
            return None
        try:
            variant = _compiled(self, variables)
        except Unsupported:
            variant = None
        self._variants[key] = variant
        if variant is not None and self.options.grown is not None:
            self.options.grown()
        return variant


def compile_operation(  # noqa: PLR0913  each is something that a caller sets
    schema: GraphQLSchema,
    document: DocumentNode,
    operation_name: str | None = None,
    *,
    plan: Planner | None = None,
    classes: Classes | None = None,
    kept: KeptObjects | None = None,
    executor_class: type[Executor[Any]] = ExecutorThrowingOnIncremental,
    max_fields: int = FIELDS_MAX,
    max_coercion_errors: int = 50,
    hide_suggestions: bool = False,
    grown: Callable[[], None] | None = None,
) -> CompiledOperation:
    """Compiles an operation of a valid document. Raises Unsupported; then graphql-core executes it.

    A fault of the compiler is logged as an error, and the operation is not supported.
    `grown` is called when an execution has compiled another variant, so that `fields` has changed.
    """
    node = _operation(document, operation_name)
    if node.directives:
        raise Unsupported("directives of an operation")
    for each in document.definitions:
        if isinstance(each, FragmentDefinitionNode) and each.variable_definitions:
            raise Unsupported("variables of fragments")
    options = Options(plan, classes, kept, executor_class, max_fields, max_coercion_errors, hide_suggestions, grown)
    return CompiledOperation(schema, document, node, options)


def _compiled(operation: CompiledOperation, variables: VariableValues) -> Variant:
    """A variant of an operation. Raises Unsupported, also for what must never happen: no client shall suffer for it."""
    try:
        return Variant(operation, variables)
    except Unsupported:
        raise
    except (GraphQLError, RecursionError) as error:
        raise Unsupported(str(error)) from error
    except Exception as error:
        log.exception("An operation could not be compiled.")
        raise Unsupported(f"a fault of the compiler: {error!r}") from error


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [
        each
        for each in document.definitions
        if isinstance(each, OperationDefinitionNode)
        and (name is None or (each.name is not None and each.name.value == name))
    ]
    if len(operations) != 1:
        raise Unsupported("there is not one operation of that name")
    return operations[0]


def _conditions(node: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> tuple[str, ...]:
    """The variables that @skip and @include depend on. Raises Unsupported for directives of incremental delivery."""
    names: dict[str, None] = {}
    for root in (node, *fragments.values()):
        for directive in _directives(root):
            if directive.name.value not in CONDITIONS:
                raise Unsupported(f"@{directive.name.value}")
            for argument in directive.arguments or ():
                if isinstance(argument.value, VariableNode):
                    names[argument.value.name.value] = None
    return tuple(names)


def _directives(node: Any) -> Iterator[Any]:
    """All directives in the selections of an operation or a fragment."""
    todo: list[Node] = [node]
    while todo:
        selection_set = getattr(todo.pop(), "selection_set", None)
        for selection in () if selection_set is None else selection_set.selections:
            yield from selection.directives or ()
            todo.append(selection)
