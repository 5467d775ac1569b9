"""What fields, arguments and input fields declare: how long a list may be, who may ask, and how a field is planned.

The limit of a list comes from `domain/limits.py` and is in the description. From it the transport computes how much an
answer can hold, and refuses a list that is far too long unread. Plans are for the compiled engine.
"""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLArgument, GraphQLField, GraphQLInputField
from strawberry.schema.schema_converter import GraphQLCoreConverter

from domain.access_scopes import AccessScope
from engine import Plan

Definition = GraphQLField | GraphQLArgument | GraphQLInputField

PlanOf = Callable[[str], Plan]  # the plan of a field by the name of the type that has it

_MAX_ITEMS = "max_items"
_PLAN = "plan"
_PRICE = "price"
_SCOPE = "scope"
SIGNED_IN = {"needs_session": True}  # the metadata of a root field that needs a session


def scoped(scope: AccessScope | None) -> dict[str, Any]:
    """The metadata of a root field: the scope of personal access tokens that may ask for it; None for no token."""
    return {_SCOPE: scope}


def bounded(description: str, max_items: int | None, plan: PlanOf | None = None) -> dict[str, Any]:
    """The options of a field or an argument: a list of at most `max_items`, or no list if that is None.

    `plan` says how the compiled engine may resolve a field without its resolver, with the same result.
    """
    metadata: dict[str, Any] = {} if plan is None else {_PLAN: plan}
    if max_items is not None:
        metadata[_MAX_ITEMS] = max_items
        description = f"{description} At most {max_items:,}."
    return {"description": description, "metadata": metadata} if metadata else {"description": description}


def priced(options: dict[str, Any], price: int) -> dict[str, Any]:
    """The options of a field whose reading costs as much as `price` more fields of an answer."""
    return {**options, "metadata": {**options.get("metadata", {}), _PRICE: price}} if price else options


def price_of(definition: Definition) -> int:
    """What a field costs besides the fields of its answer; 0 where nothing is declared."""
    price: int = metadata_of(definition).get(_PRICE, 0)
    return price


def max_items_of(definition: Definition) -> int | None:
    """The declared limit of a list; None where none is declared."""
    max_items: int | None = metadata_of(definition).get(_MAX_ITEMS)
    return max_items


def planned(definition: GraphQLField, type_name: str) -> Plan | None:
    """The declared plan of a type's field; None where none is declared."""
    plan: PlanOf | None = metadata_of(definition).get(_PLAN)
    return None if plan is None else plan(type_name)


def needs_session(definition: GraphQLField) -> bool:
    """Whether a root field is for signed-in viewers only."""
    return bool(metadata_of(definition).get("needs_session"))


def scope_of(definition: GraphQLField) -> AccessScope | None:
    """The scope of personal access tokens that may ask for a root field; None where it declares none."""
    scope: AccessScope | None = metadata_of(definition).get(_SCOPE)
    return scope


def metadata_of(definition: Definition) -> Any:
    """All that a field, an argument or an input field declares."""
    declared = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return {} if declared is None else declared.metadata
