"""Reading records that are shown: one that cannot be read is left out, so that the rest of a page is shown.

It is logged once with its id, not at every read, and counted. `photogram verify` finds it.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import structlog

from domain.lenient_reading import read_leniently
from domain.records.record import Record

log = structlog.stdlib.get_logger(__name__)

Kind = TypeVar("Kind", bound=Record)

MAX_LOGGED = 10_000  # ids to remember as logged; when there are more, they are logged again

unreadable: Counter[str] = Counter()
"""How often this process could not read a record, by the record's kind."""
_logged: set[tuple[str, Any]] = set()


def readable(kind: type[Kind], document: Mapping[str, Any] | None) -> Kind | None:
    """The record of a document; None for no document and for one that cannot be read.

    What a newer version wrote is read as `domain.lenient_reading` says.
    """
    if document is None:
        return None
    try:
        return kind.from_document(document)
    except msgspec.ValidationError:
        pass
    try:
        return read_leniently(kind, document)
    except msgspec.ValidationError as error:
        _note(kind.__name__, document.get("_id"), str(error))
        return None


def _note(kind: str, record_id: Any, reason: str) -> None:
    unreadable[kind] += 1
    if len(_logged) >= MAX_LOGGED:
        _logged.clear()
    if (kind, record_id) not in _logged:
        _logged.add((kind, record_id))
        log.error("record cannot be read", kind=kind, id=str(record_id), reason=reason, so_far=unreadable[kind])
