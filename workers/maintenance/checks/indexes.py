"""Indexes that went missing since the start: they hold rules, such as one like of each, and not only speed."""

from collections.abc import Sequence
from typing import Any

from datasources.mongo.prepared import ensure_indexes, missing_indexes
from datasources.sources import Sources
from workers.maintenance.checks.check import Check, Finding

INDEX = "index"


async def _find_missing(sources: Sources, _ids: Sequence[Any]) -> list[Finding]:
    why = "an index is missing, and with it the rule it holds or the speed it gives"
    return [Finding(kind=INDEX, id=name, why=why) for name in await missing_indexes(sources.database)]


async def _make(sources: Sources, _finding: Finding) -> None:
    """Raises IndexesMissingError where documents are in the way."""
    await ensure_indexes(sources.database)


INDEXES = Check(collection=None, find=_find_missing, repairs={INDEX: _make})
