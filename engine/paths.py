"""Paths of positions. Generated code makes linked pairs `(path of the parent, key)`, None being the root's path.

They are turned into graphql-core's paths only for errors and for resolvers that ask.
"""

from typing import Any, TypeAlias

from graphql.pyutils import Path

from engine.positions import Position

Link: TypeAlias = tuple[Any, Any] | None  # recursive: (Link, str | int)


def keys_of(link: Link) -> list[str | int]:
    """The keys from the root on."""
    keys = []
    while link is not None:
        link, key = link
        keys.append(key)
    keys.reverse()
    return keys


def to_path(position: Position | None, link: Link) -> Path | None:
    """graphql-core's path of a position; None at the root."""
    return None if position is None or link is None else path_of(position, *link)


def path_of(position: Position, parent: Link, key: str | int) -> Path:
    """graphql-core's path of a position that is not the root."""
    return Path(to_path(position.up, parent), key, position.typename)


def object_of(position: Position, parent: Link) -> Link:
    """The path of the object that has the position's field: above all lists that the position is an item of."""
    while position.typename is None and position.up is not None and parent is not None:
        position, parent = position.up, parent[0]
    return parent
