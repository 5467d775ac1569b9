"""What resolvers are told about the field they resolve."""

from typing import TYPE_CHECKING, Any

from graphql import GraphQLResolveInfo

from engine.paths import Link, path_of
from engine.positions import Field

if TYPE_CHECKING:
    from engine.run import Run


class Info:
    """Has the attributes of graphql-core's `GraphQLResolveInfo`. All but the context are made when asked for."""

    __slots__ = ("_field", "_full", "_link", "_run", "context")

    def __init__(self, run: "Run", field: Field, link: Link) -> None:
        self.context = run.context
        self._run = run
        self._field = field
        self._link = link  # of the object that has the field
        self._full: GraphQLResolveInfo[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name == "field_nodes":
            return self._field.nodes
        if name == "fragments":
            return self._run.variant.operation.fragments
        if self._full is None:
            field = self._field
            path = path_of(field.value, self._link, field.key)
            executor = self._run.executor
            self._full = executor.build_resolve_info(field.definition, field.nodes, field.parent_type, path)
        return getattr(self._full, name)
