"""When two answers are equal.

Data is equal if it is the same to the last key, in the same order, with the same types. Errors are equal if message,
path, locations, extensions and the original exception are.

Where nothing is asynchronous, the lists of errors are equal. Where awaitables end one at a time, they are equal but for
errors beneath nulled positions, which graphql-core still finds in the background. Where awaitables end in any order, or
values are loaded in batches, these differences are accepted, and no others:

- the order of the errors;
- a nulled position names one of the errors that may have nulled it. Both answers have exactly one such error for it,
  and each of the two happens when nothing bubbles;
- an error that a resolver raised with a path of its own, or below fields that object types declare differently, may
  be that of a nulled position that has no other;
- beneath a nulled position either answer may lack errors of the other, because execution beneath it may stop at any
  time. All that are there happen when nothing bubbles, and none nulls the same position as another.

"Happen when nothing bubbles" means: graphql-core reports them for the same operation without error propagation, which
executes every field and reports every error. Where awaitables race it may report others in each of its two runs, so
what either reports counts.
"""

import enum
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_abstract_type,
)

Path = tuple[str | int, ...]
Types = dict[tuple[str, ...], Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error, as far as anybody can see it."""

    message: str
    path: Path | None
    locations: tuple[tuple[int, int], ...]
    extensions: str
    original: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A result without identities: equal answers are equal for every reader."""

    data: Any
    shape: object
    """The data with the types of its leaves, to be compared."""
    problems: tuple[Problem, ...]


def described(result: ExecutionResult) -> Answer:
    assert type(result) is ExecutionResult
    assert result.errors is None or (type(result.errors) is list and result.errors), "no errors are None"
    return Answer(result.data, shape(result.data), tuple(_problem(each) for each in result.errors or ()))


def shape(value: object) -> object:
    if type(value) is dict:
        return ("object", tuple((key, shape(each)) for key, each in value.items()))
    if type(value) is list:
        return ("list", tuple(shape(each) for each in value))
    return (type(value).__name__, repr(value))


def _problem(error: GraphQLError) -> Problem:
    original = error.original_error
    return Problem(
        error.message,
        None if error.path is None else tuple(error.path),
        tuple((each.line, each.column) for each in error.locations or ()),
        repr(error.extensions),
        f"{type(original).__name__}: {original}",
    )


class Order(enum.Enum):
    """How much the order of errors tells."""

    EXACT = "nothing is asynchronous"
    VISIBLE = "awaitables end one at a time: so do the errors of positions that the answer has"
    ANY = "awaitables end in any order"


def differences(
    reference: Answer,
    compiled: Answer,
    *,
    order: Order,
    types: Types,
    without_bubbling: Callable[[], Sequence[Problem]],
) -> list[str]:
    """What is different and not accepted, one sentence each."""
    if reference.shape != compiled.shape:
        return [f"data differs:\n  {reference.data!r}\n  {compiled.data!r}"]
    if reference.problems == compiled.problems:
        return []
    both = f"{_lines(reference.problems)}\n  {_lines(compiled.problems)}"
    if order is Order.EXACT:
        return [f"errors differ:\n  {both}"]
    if order is Order.VISIBLE and _visible(reference, types) != _visible(compiled, types):
        return [f"errors that are seen differ:\n  {both}"]
    if Counter(reference.problems) == Counter(compiled.problems):
        return []
    possible = {*without_bubbling(), *reference.problems}
    found = [f"compiled invents {problem}" for problem in set(compiled.problems) - possible]
    nulled: dict[str, set[Path | None]] = {}
    foreign = {}
    for name, answer in (("graphql-core", reference), ("compiled", compiled)):
        targets = Counter(nulled_by(each, types) for each in answer.problems if not _is_foreign(each, types))
        found += [f"{name} has {count} errors for {target}" for target, count in targets.items() if count > 1]
        nulled[name] = {target for target in targets if _is_there(reference.data, target)}
        foreign[name] = sum(_is_foreign(each, types) for each in answer.problems)
    more, less = nulled["compiled"] - nulled["graphql-core"], nulled["graphql-core"] - nulled["compiled"]
    if len(more) > foreign["graphql-core"] or len(less) > foreign["compiled"]:
        found.append(f"errors are about other positions:\n  {both}")
    return found


def _visible(answer: Answer, types: Types) -> list[Problem]:
    """The errors of positions that are in the answer, as far as their paths tell."""
    return [
        each
        for each in answer.problems
        if not _is_foreign(each, types) and _is_there(answer.data, nulled_by(each, types))
    ]


def _lines(problems: Sequence[Problem]) -> str:
    return "\n    ".join(map(str, problems)) or "none"


def _is_there(data: Any, target: Path | None) -> bool:
    """Whether the answer has the position, so that no position above it is nulled."""
    if not target:
        return True
    for key in target[:-1]:
        if data is None:
            return False
        data = data[key]
    return data is not None


def _is_foreign(problem: Problem, types: Types) -> bool:
    """Whether its path does not say what it made null: a resolver's own path, or one over fields of several types."""
    keys = tuple(key for key in problem.path or () if isinstance(key, str))
    return any(types.get(keys[:end]) is None for end in range(1, len(keys) + 1))


def nulled_by(problem: Problem, types: Types) -> Path | None:
    """The position that an error makes null: the nearest one, itself or above it, that may be null."""
    path = problem.path
    if path is None:
        return None
    while path and isinstance(_type_at(path, types), GraphQLNonNull):
        path = path[:-1]
    return path


def _type_at(path: Path, types: Types) -> Any:
    end = len(path)
    while end and isinstance(path[end - 1], int):
        end -= 1
    kind = types.get(tuple(key for key in path[:end] if isinstance(key, str)))
    for _ in path[end:]:
        kind = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        kind = kind.of_type if isinstance(kind, GraphQLList) else kind
    return kind


def position_types(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Types:
    """The type of each position by its response keys; None where object types declare it differently."""
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    types: Types = {}

    def visit(parent: Any, selections: SelectionSetNode, path: tuple[str, ...]) -> None:
        for node in selections.selections:
            if isinstance(node, FieldNode):
                name = node.name.value
                definition = schema.get_field(parent, name)
                here = (*path, node.alias.value if node.alias else name)
                if definition:
                    possible = schema.get_possible_types(parent) if is_abstract_type(parent) else [parent]
                    declared = {str(definition.type)} if here not in types else {str(types[here])}
                    declared |= {str(found.type) for each in possible if (found := schema.get_field(each, name))}
                    types[here] = definition.type if len(declared) == 1 else None
                    if node.selection_set:
                        visit(get_named_type(definition.type), node.selection_set, here)
                continue
            fragment: Any = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            on = fragment.type_condition
            visit(schema.type_map[on.name.value] if on else parent, fragment.selection_set, path)

    root = schema.get_root_type(operation.operation)
    assert isinstance(root, GraphQLObjectType)
    visit(root, operation.selection_set, ())
    return types
