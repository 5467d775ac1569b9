"""Counts the fields of an answer: what an operation has cost in the end."""

from collections.abc import Mapping
from itertools import chain
from typing import Any


def count_fields(data: Mapping[str, Any] | None) -> int:
    """The fields of an answer, of all its objects together. Goes level by level, as calls would cost more."""
    count = 0
    objects: list[Any] = [] if data is None else [data]
    while objects:
        count += sum(map(len, objects))
        values: Any = chain.from_iterable(map(dict.values, objects))
        objects, lists = [], []
        for value in values:
            kind = type(value)
            if kind is dict:
                objects.append(value)
            elif kind is list:
                lists.append(value)
        while lists:
            items = chain.from_iterable(lists)
            lists = []
            for item in items:
                kind = type(item)
                if kind is dict:
                    objects.append(item)
                elif kind is list:
                    lists.append(item)
    return count
