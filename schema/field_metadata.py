"""What fields, arguments and input fields declare for the transport: how long a list may be, and who may ask.

The limit of a list comes from `domain/limits.py` and is in the description. From it the transport computes how much an
answer can hold, and refuses a list that is far too long unread.
"""

from typing import Any

from graphql import GraphQLArgument, GraphQLField, GraphQLInputField
from strawberry.schema.schema_converter import GraphQLCoreConverter

Definition = GraphQLField | GraphQLArgument | GraphQLInputField

_MAX_ITEMS = "max_items"
SIGNED_IN = {"needs_session": True}  # the metadata of a root field that needs a session


def bounded(description: str, max_items: int | None) -> dict[str, Any]:
    """The options of a field or an argument: a list of at most `max_items`, or no list if that is None."""
    if max_items is None:
        return {"description": description}
    return {"description": f"{description} At most {max_items:,}.", "metadata": {_MAX_ITEMS: max_items}}


def max_items_of(definition: Definition) -> int | None:
    """The declared limit of a list; None where none is declared."""
    max_items: int | None = metadata_of(definition).get(_MAX_ITEMS)
    return max_items


def needs_session(definition: GraphQLField) -> bool:
    """Whether a root field is for signed-in viewers only."""
    return bool(metadata_of(definition).get("needs_session"))


def metadata_of(definition: Definition) -> Any:
    """All that a field, an argument or an input field declares."""
    declared = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return {} if declared is None else declared.metadata
