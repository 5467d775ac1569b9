"""What a random case says about a value: not yet the value, which is made anew for each execution."""

from dataclasses import dataclass

from graphql import GraphQLError


@dataclass(frozen=True, slots=True)
class Value:
    """A value of an immutable type, of the right type or not."""

    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """An exception: raised where code can run, a value elsewhere, or where `as_value` says so."""

    message: str
    kind: str = "plain"
    as_value: bool = False


@dataclass(frozen=True, slots=True)
class Later:
    """An awaitable of another value."""

    kind: str
    rank: float
    result: "Spec"


@dataclass(frozen=True, slots=True)
class Many:
    """A list, or what may stand for one. One that `breaks` raises after its last item."""

    kind: str
    items: tuple["Spec", ...]
    breaks: bool = False
    rank: float = 0.0


@dataclass(frozen=True, slots=True)
class Method:
    """A callable that the default resolver calls."""

    result: "Spec"


@dataclass(frozen=True, slots=True)
class Record:
    """An object of a type; `claim` is what a type resolver says that it is, if not the truth."""

    form: str
    type_name: str
    fields: dict[str, "Spec"]
    resolved: frozenset[str]
    """The names of fields with a resolver, which are no attributes."""
    claim: "Spec | None" = None
    denied: bool = False
    """Whether its type's is_type_of says no."""
    typed: bool = True
    """Whether it carries its type's name for the default type resolver."""
    number: int = 0
    """No other record of the case has it."""


Spec = Value | Failed | Later | Many | Method | Record


class CodedError(Exception):
    """An exception with more than a text, as an application raises them."""

    def __init__(self, message: str) -> None:
        super().__init__("not shown")
        self.message = message
        self.extensions = {"code": "CODED"}


def exception(failed: Failed) -> Exception:
    match failed.kind:
        case "graphql":
            return GraphQLError(failed.message, extensions={"code": "X"})
        case "located":
            return GraphQLError(failed.message, path=["elsewhere", 3])
        case "coded":
            return CodedError(failed.message)
        case "key":
            return KeyError(failed.message)
        case "stop":
            return StopIteration(failed.message)
        case _:
            return ValueError(failed.message)
