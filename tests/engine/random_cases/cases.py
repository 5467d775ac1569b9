"""Random cases: run by graphql-core and by the engine, and compared."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    ConstDirectiveNode,
    DocumentNode,
    ExecutionResult,
    GraphQLSchema,
    NameNode,
    OperationDefinitionNode,
    execute,
)
from graphql.execution import Executor, execute_subscription_event

from engine import Unsupported, compile_operation
from tests.engine.comparison import Answer, Order, Path, Problem, described, differences, position_types
from tests.engine.random_cases.data import random_data
from tests.engine.random_cases.operations import CaseOperation, random_operation, random_variables
from tests.engine.random_cases.schemas import CaseSchema, random_schema
from tests.engine.random_cases.specs import Record, Spec
from tests.engine.random_cases.stages import Call, Mode, Stage
from tests.engine.random_cases.values import make

OPERATIONS_OF_A_SCHEMA = 12
DATA_OF_AN_OPERATION = 6
ORDERS = {Mode.SYNC: Order.EXACT, Mode.PACED: Order.VISIBLE, Mode.RACING: Order.ANY}
NEVER_AWAITED = "coroutines were never awaited"


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that decides an answer."""

    seed: int
    schema: CaseSchema
    operation: CaseOperation
    variables: dict[str, Any]
    data: Record
    loads: dict[int, Spec]
    mode: Mode

    @property
    def has_async_lists(self) -> bool:
        """Whether graphql-core completes a part of it for the engine, and may leave coroutines behind as in its own."""
        return "kind='async'" in repr((self.data, self.loads))

    def __str__(self) -> str:
        return (
            f"seed {self.seed}, {self.mode}\n{self.schema.sdl}\nresolvers: {sorted(self.schema.resolved)}\n"
            f"types: {self.schema.typed_by} {self.schema.checked}\n\n{self.operation.source}\n"
            f"name: {self.operation.name} variables: {self.variables}\n\n{self.data}\n\n"
            f"plans: {self.schema.plans}\nloads: {self.loads}"
        )


@dataclass(slots=True)
class Run:
    """What one execution did."""

    answer: Answer
    was_awaited: bool
    calls: list[Call]
    late: list[str] = field(default_factory=list)
    """What is wrong with what happened after the answer."""


def random_cases(seed: int, count: int) -> Iterator[Case]:
    """So many cases, the same for the same seed."""
    made = 0
    for schema_number in range(count):
        rng = random.Random(f"{seed} {schema_number}")
        schema = random_schema(rng)
        for _ in range(OPERATIONS_OF_A_SCHEMA):
            operation = random_operation(schema.schema, rng)
            if operation is None:
                continue
            for _ in range(DATA_OF_AN_OPERATION):
                if made == count:
                    return
                made += 1
                mode = rng.choice(tuple(Mode))
                trouble = rng.choice((0.0, 0.02, 0.08, 0.25))
                data, loads = random_data(schema, operation, rng, mode, trouble=trouble)
                yield Case(seed, schema, operation, random_variables(operation, rng), data, loads, mode)


class Comparison:
    """Compares cases and counts what they covered."""

    def __init__(self) -> None:
        self.covered: Counter[str] = Counter()
        self._compiled: tuple[CaseOperation, Any] | None = None

    async def compare(self, case: Case) -> list[str]:
        """What is different and not accepted."""
        self.covered["cases"] += 1
        compiled = self._compile(case)
        if compiled is None:
            return []
        try:
            reference = await run(case, lambda stage, root: by_graphql_core(case, stage, root))
        except asyncio.CancelledError:  # two fields share an awaitable, and graphql-core cancelled it for one of them
            self.covered["cancelled by graphql-core"] += 1
            return []
        fallbacks = compiled.fallbacks
        own = await run(case, lambda stage, root: compiled.execute(root, stage, dict(case.variables)))
        is_left_to_graphql_core = compiled.fallbacks > fallbacks or case.has_async_lists
        self._count(case, reference)
        types = position_types(case.schema.schema, case.operation.document, definition_of(case.operation))
        found = await self._differences(case, reference, own, types)
        found += [each for each in own.late if each != NEVER_AWAITED or not is_left_to_graphql_core]
        if case.mode is Mode.SYNC and own.was_awaited:
            found.append("nothing is asynchronous, but the answer is")
        return found + _call_differences(case, reference, own)

    async def _differences(self, case: Case, reference: Run, own: Run, types: Any) -> list[str]:
        order = Order.ANY if case.loads else ORDERS[case.mode]  # the values of a batch are there at once
        possible: Sequence[Problem] = ()
        if order is not Order.EXACT and Counter(reference.answer.problems) != Counter(own.answer.problems):
            self.covered["other errors beneath a null"] += 1
            document = without_propagation(case.operation)
            everything = await run(case, lambda stage, root: by_graphql_core(case, stage, root, document))
            possible = everything.answer.problems
            if case.has_async_lists:  # which errors of one that breaks are seen is a matter of time
                possible = [*possible, *reference.answer.problems, *own.answer.problems]
        return differences(reference.answer, own.answer, order=order, types=types, without_bubbling=lambda: possible)

    def _compile(self, case: Case) -> Any:
        if self._compiled is not None and self._compiled[0] is case.operation:
            return self._compiled[1]
        compiled = None
        try:
            compiled = compile_operation(
                case.schema.schema, case.operation.document, case.operation.name, plan=case.schema.plan
            )
            self.covered["operations compiled"] += 1
        except Unsupported as error:
            self.covered[f"unsupported: {error}"] += 1
        self._compiled = case.operation, compiled
        return compiled

    def _count(self, case: Case, reference: Run) -> None:
        covered = self.covered
        covered[case.mode.name.lower()] += 1
        covered[case.operation.kind] += 1
        covered["awaited"] += reference.was_awaited
        problems = reference.answer.problems
        covered["with errors"] += bool(problems)
        covered["without errors"] += not problems
        covered["with batch fields"] += bool(case.loads)
        covered["nulled entirely"] += reference.answer.data is None
        for problem in problems:
            for text, name in KINDS_OF_ERRORS.items():
                covered[name] += text in problem.message


KINDS_OF_ERRORS = {
    "failure ": "failed resolvers",
    "Cannot return null": "nulls in non-null places",
    "cannot represent": "ill-typed leaves",
    "Expected Iterable": "lists that are none",
    "the list breaks": "lists that break",
    "to return non-nullable value": "leaves without a value",
    "must resolve to an Object type": "unresolved types",
    "is not a possible type": "impossible types",
    "Expected value of type": "values of another type",
    "Variable '$": "variables that do not fit",
    "Argument '": "arguments that do not fit",
    "Fussy refuses": "refusing scalars",
}


async def run(case: Case, start: Callable[[Stage, object], ExecutionResult | Awaitable[ExecutionResult]]) -> Run:
    """Executes a case. What it starts is finished when this returns."""
    stage = Stage(case.mode, case.loads)
    root = make(case.data, stage)
    started = start(stage, root)
    was_awaited = not isinstance(started, ExecutionResult)
    result = await stage.lead(started) if not isinstance(started, ExecutionResult) else started
    answer = described(result)
    calls = list(stage.calls)
    await stage.drain()
    late = []
    if described(result) != answer:
        late.append("the answer changes after it was given")
    if len(tasks := asyncio.all_tasks()) > 1:
        late.append(f"tasks are left: {tasks}")
    if stage.close():
        late.append(NEVER_AWAITED)
    return Run(answer, was_awaited, calls, late)


def by_graphql_core(
    case: Case, stage: Stage, root: object, document: DocumentNode | None = None
) -> ExecutionResult | Awaitable[ExecutionResult]:
    """The answer of graphql-core; of a subscription to the event that is the root value."""
    schema: GraphQLSchema = case.schema.schema
    document = document or case.operation.document
    name = case.operation.name
    if case.operation.kind != "subscription":
        return execute(schema, document, root, stage, dict(case.variables), name)
    built = Executor.build(schema, document, root, stage, dict(case.variables), name)
    return ExecutionResult(None, built) if isinstance(built, list) else execute_subscription_event(built)


def definition_of(operation: CaseOperation) -> OperationDefinitionNode:
    return next(
        each
        for each in operation.document.definitions
        if isinstance(each, OperationDefinitionNode)
        and (operation.name is None or (each.name is not None and each.name.value == operation.name))
    )


def without_propagation(operation: CaseOperation) -> DocumentNode:
    """The document with a directive that makes graphql-core report every error where it is."""
    chosen = definition_of(operation)
    directive = ConstDirectiveNode(name=NameNode(value="experimental_disableErrorPropagation"), arguments=())
    changed = replace(chosen, directives=(directive,))
    definitions = operation.document.definitions
    return replace(operation.document, definitions=tuple(changed if each is chosen else each for each in definitions))


def _call_differences(case: Case, reference: Run, own: Run) -> list[str]:
    """Resolvers of objects that the answer has are called once each, with the same; root mutations in order."""
    found = []
    data = reference.answer.data
    calls = [[call for call in each.calls if _is_reached(data, call.path)] for each in (reference, own)]
    if Counter(calls[0]) != Counter(calls[1]):
        more, less = Counter(calls[1]) - Counter(calls[0]), Counter(calls[0]) - Counter(calls[1])
        found.append(f"resolvers are called otherwise: {dict(more)} instead of {dict(less)}")
    if case.operation.kind == "mutation":
        roots = [[call for call in each.calls if len(call.path) == 1] for each in (reference, own)]
        if roots[0] != roots[1]:
            found.append(f"mutations run otherwise: {roots[1]} instead of {roots[0]}")
    return found


def _is_reached(data: Any, path: Path) -> bool:
    if data is None:
        return False
    for key in path[:-1]:
        data = data[key]
        if data is None:
            return False
    return True
