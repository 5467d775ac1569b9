"""How large an operation may be."""

from dataclasses import dataclass, fields

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    InlineFragmentNode,
    OperationDefinitionNode,
)

from domain import limits
from domain.errors import RequestError, RequestErrorCode
from resolvers.transport.cost_multipliers import Multiplier


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """The limits of one operation, fragments expanded where it matters; `domain/limits.py` has the reasons.

    `cost` counts the fields of the answer if every page and every list is full, and of introspection those that it
    answers. The others count what is written. `repeats` and `fragments` are for the whole document.
    """

    tokens: int = limits.OPERATION_TOKENS_MAX
    depth: int = limits.OPERATION_DEPTH_MAX
    root_fields: int = limits.OPERATION_ROOT_FIELDS_MAX
    fields: int = limits.OPERATION_FIELDS_MAX
    aliases: int = limits.OPERATION_ALIASES_MAX
    directives: int = limits.OPERATION_DIRECTIVES_MAX
    introspection: int = limits.OPERATION_INTROSPECTION_MAX
    cost: int = limits.OPERATION_COST_MAX
    repeats: int = limits.DOCUMENT_REPEATS_MAX
    fragments: int = limits.DOCUMENT_FRAGMENTS_MAX


@dataclass(frozen=True, slots=True)
class OperationSize:
    """The size of a selection set; `multipliers` are the factors of its cost that depend on variables."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    introspection: int = 0
    cost: int = 0
    multipliers: frozenset[Multiplier] = frozenset()

    def __add__(self, other: "OperationSize") -> "OperationSize":
        return OperationSize(
            max(self.depth, other.depth),
            self.fields + other.fields,
            self.aliases + other.aliases,
            self.directives + other.directives,
            self.introspection + other.introspection,
            self.cost + other.cost,
            self.multipliers | other.multipliers,
        )


NOTHING = OperationSize()


def too_complex(message: str) -> RequestError:
    return RequestError(RequestErrorCode.OPERATION_TOO_COMPLEX, message)


def check(size: OperationSize, operation: OperationDefinitionNode, limits: OperationLimits) -> None:
    """Raises RequestError (OPERATION_TOO_COMPLEX) that names the first limit the operation is over."""
    if len(operation.selection_set.selections) > limits.root_fields:
        raise too_complex(f"The operation has more than {limits.root_fields} root fields.")
    for limit in fields(OperationLimits):
        _check(limit.name, getattr(size, limit.name, 0), getattr(limits, limit.name))


def check_cost(cost: int, limits: OperationLimits) -> None:
    """Raises RequestError (OPERATION_TOO_COMPLEX) for a cost over the limit."""
    _check("cost", cost, limits.cost)


def _check(name: str, size: int, allowed: int) -> None:
    if size > allowed:
        asked = str(size) if size < 10**9 else "too many"
        raise too_complex(f"The operation's {name} is {asked}; at most {allowed} is allowed.")


def check_document(document: DocumentNode, limits: OperationLimits) -> None:
    """Raises RequestError (OPERATION_TOO_COMPLEX) for a document that takes long to validate."""
    repeats = fragments = 0
    pending = [each.selection_set for each in document.definitions if isinstance(each, ExecutableDefinitionNode)]
    while pending:
        selections = pending.pop().selections
        names = [(each.alias or each.name).value for each in selections if isinstance(each, FieldNode)]
        repeats += len(names) - len(set(names))
        fragments += len(selections) - len(names)
        inner = [each.selection_set for each in selections if isinstance(each, FieldNode | InlineFragmentNode)]
        pending += [each for each in inner if each is not None]
    if repeats > limits.repeats:
        raise too_complex(f"The document asks for {repeats} fields twice; at most {limits.repeats} are allowed.")
    if fragments > limits.fragments:
        raise too_complex(f"The document uses {fragments} fragments; at most {limits.fragments} are allowed.")
