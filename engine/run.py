"""The state of one run of a compiled operation: what it loads, reads, calls and waits for."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from graphql import GraphQLResolveInfo
from graphql.execution import Executor
from graphql.execution.values import VariableValues, get_argument_values

from engine.answer import Answer
from engine.paths import Link, object_of
from engine.plans import Attribute, Call, Compute, Item
from engine.positions import Field, Position
from engine.resolve_info import Info
from engine.waiting import Slot, Waiting

if TYPE_CHECKING:
    from engine.execution import Execution
    from engine.loads import Bucket
    from engine.operation import Variant


class Run(Answer):
    """What generated code uses of a run, but for the completion of values."""

    __slots__ = ("_arguments", "_executor", "buckets", "context", "root", "variables", "variant", "waiting")

    def __init__(self, variant: "Variant", root: Any, context: Any, variables: VariableValues) -> None:
        super().__init__()
        self.variant = variant
        self.root = root
        self.context = context
        self.variables = variables
        self.buckets: list[list[Any]] = variant.new_buckets()
        self.waiting = Waiting()
        self._executor: Executor[Any] | None = None
        self._arguments: dict[Field, Any] = {}

    @property
    def executor(self) -> Executor[Any]:
        """graphql-core's executor of this run."""
        if self._executor is None:
            self._executor = self.variant.operation.executor(self.root, self.context, self.variables)
            self._executor.collected_errors = self.collected
        return self._executor

    # Loads

    def flush(self) -> None:
        """Loads all keys gathered, and those gathered meanwhile, until every load is awaited."""
        loads, buckets = self.variant.loads, self.buckets
        for _ in range(len(loads) + 1):
            is_done = True
            for number, load in enumerate(loads):
                bucket = buckets[number]
                if bucket:
                    buckets[number] = []
                    is_done = False
                    bucket = self.alive(bucket) if self.nulled else bucket
                    if bucket:
                        load.start(cast("Execution", self), bucket)
            if is_done:
                return

    def alive(self, bucket: "Bucket") -> "Bucket":
        """The places of a bucket that are still in the answer."""
        return [each for each in bucket if self.container(each[2]) is each[1]]

    # Reading and calling

    def read(self, fields: Iterable[Field], source: Any) -> list[Any]:
        """The values of these fields, each read alone; an exception in the place of a value that cannot be read."""
        values = []
        for field in fields:
            try:
                values.append(self._read(field, source))
            except Exception as error:  # noqa: BLE001  whatever it is, it is the field's error
                values.append(error)
        return values

    def _read(self, field: Field, source: Any) -> Any:
        match field.plan:
            case Attribute(name):
                return getattr(source, name)
            case Item(key):
                return source[key]
            case Compute(function):
                return function(source)
            case _:
                return source.get(field.name) if isinstance(source, Mapping) else getattr(source, field.name, None)

    def called(self, value: Any, field: Field, link: Link) -> Any:
        """What graphql-core's default resolver makes of a callable attribute; an exception that it raises."""
        try:
            return value(Info(self, field, link), **self.arguments(field))
        except Exception as error:  # noqa: BLE001  whatever it is, it is the field's error
            return error

    def arguments(self, field: Field) -> dict[str, Any]:
        """The keyword arguments of a field's resolver, made once. Raises what their coercion raises."""
        if field.constants is not None:
            return field.constants
        arguments = self._arguments.get(field)
        if arguments is None:
            try:
                arguments = get_argument_values(
                    field.definition,
                    field.nodes[0],
                    self.variables,
                    field.details[0].fragment_variable_values,
                    self.variant.operation.options.hide_suggestions,
                )
                if isinstance(field.plan, Call) and field.plan.convert is not None:
                    arguments = field.plan.convert(arguments, Info(self, field, None))
                if field.is_constant:
                    field.constants = arguments
            except Exception as error:  # noqa: BLE001  it is the error of the field wherever it stands
                arguments = error
            self._arguments[field] = arguments
        if isinstance(arguments, Exception):
            raise arguments.with_traceback(None)
        return arguments

    def info(self, position: Position, parent: Link) -> GraphQLResolveInfo[Any]:
        """What functions of a position's type are told: the info of its field."""
        return cast("GraphQLResolveInfo[Any]", Info(self, position.field, object_of(position, parent)))

    # Waiting

    def later(
        self, awaitable: Any, position: Position, parent: Link, key: Any, complete: Callable[[Any], Any] | None = None
    ) -> Any:
        """Null, until a value is there that is completed by `complete`, or else as the position's."""
        self.waiting.add(Slot(awaitable, position, parent, key, complete))
        return None

    def wait(self, awaitable: Any, position: Position, parent: Link, key: Any) -> Slot:
        """As `later`, for a value whose container the caller puts into the slot."""
        slot = Slot(awaitable, position, parent, key)
        self.waiting.add(slot)
        return slot
