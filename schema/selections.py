"""What an operation asks for below a field, for a resolver that would otherwise read what nobody wants."""

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode

from schema.context import Info


def asks_for(info: Info, *names: str) -> bool:
    """Whether a field with one of these names is selected anywhere below; also one that a directive leaves out."""
    raw = info._raw_info  # noqa: SLF001  Strawberry's own `selected_fields` converts the whole selection
    pending = [node.selection_set for node in raw.field_nodes]
    spread: set[str] = set()
    while pending:
        selection_set = pending.pop()
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FragmentSpreadNode):
                fragment = raw.fragments.get(selection.name.value)
                if fragment is not None and selection.name.value not in spread:
                    spread.add(selection.name.value)
                    pending.append(fragment.selection_set)
            if isinstance(selection, FieldNode) and selection.name.value in names:
                return True
            if isinstance(selection, FieldNode | InlineFragmentNode):
                pending.append(selection.selection_set)
    return False
