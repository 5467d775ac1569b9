"""What the compiled engine may know of the schema's fields and types, so that it need not call Strawberry's wrappers.

A plain field is an attribute, a function is called with what it asks for, and an edge loads by batches, as it declares
in its metadata. Field extensions and permission classes have no plan, so Strawberry's own resolver is called.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLObjectType
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from engine import Attribute, Call, Plan
from schema.field_metadata import planned
from schema.node import lasts, record_of


class Plans:
    """The engine's planner of a schema: `plan` for its fields, `classes` for its types."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._config = schema.config
        self._scalars = schema.schema_converter.scalar_registry

    def plan(self, parent_type: GraphQLObjectType, field_name: str, field: GraphQLField) -> Plan | None:  # noqa: ARG002
        """The plan of a field; None: only its resolver knows."""
        declared = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if not isinstance(declared, StrawberryField) or declared.extensions or declared.is_subscription:
            return None
        plan = planned(field, parent_type.name)
        if plan is not None:
            return plan
        if declared.base_resolver is not None:
            return self._call(declared, declared.base_resolver)
        return Attribute(declared.python_name) if self._config.default_resolver is getattr else None

    @staticmethod
    def classes(object_type: GraphQLObjectType) -> Sequence[type]:
        """The classes whose direct instances an object type presents, whatever they hold."""
        record = record_of(object_type.is_type_of)
        return () if record is None else (record, *record.__subclasses__())

    @staticmethod
    def lasts(object_type: GraphQLObjectType) -> bool:
        """Whether what is read from a record of this type, or computed of it alone, may be kept with it."""
        return lasts(object_type.is_type_of)

    def _call(self, declared: StrawberryField, resolver: StrawberryResolver[Any]) -> Plan | None:
        sources = [resolver.self_parameter, resolver.parent_parameter, resolver.root_parameter]
        asked = {parameter.name for parameter in sources if parameter is not None}
        if resolver.self_parameter is not None or len(asked) > 1 or not callable(resolver.wrapped_func):
            return None
        info = resolver.info_parameter
        return Call(
            resolver.wrapped_func,
            source=next(iter(asked), None),
            info=None if info is None else info.name,
            make_info=partial(_strawberry_info, self._config.info_class, declared),
            convert=partial(self._convert, declared) if declared.arguments else None,
        )

    def _convert(self, declared: StrawberryField, values: dict[str, Any], _info: object) -> dict[str, Any]:
        return convert_arguments(values, declared.arguments, self._scalars, self._config)


def _strawberry_info(info_class: Any, declared: StrawberryField, info: Any) -> Any:
    return info_class(info, declared)
