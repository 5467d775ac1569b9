"""Chooses the media type of an answer from a request's Accept header."""

from dataclasses import dataclass
from functools import lru_cache

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"
REMEMBERED_LENGTH_MAX = 200  # of a header whose answer is remembered


@dataclass(frozen=True, slots=True)
class _Range:
    """One media range of an Accept header, `type/subtype` in lower case, `*` standing for any."""

    media: str
    quality: float

    def precision(self, media: str) -> int:
        """How precisely this range names a media type; 0 for not at all."""
        if self.media == media:
            return 3
        if self.media == media.partition("/")[0] + "/*":
            return 2
        return 1 if self.media == "*/*" else 0


def answer_type(accept: str | None) -> str | None:
    """The media type of a GraphQL answer; None if the client accepts neither of ours.

    It is `application/json` if the client has no preference, and GraphQL's own if it names both equally.
    """
    if accept is not None and len(accept) > REMEMBERED_LENGTH_MAX:
        return _chosen(accept)
    return _remembered(accept)


def _chosen(accept: str | None) -> str | None:
    ranges = _ranges(accept)
    if not ranges:
        return JSON
    best = max((GRAPHQL_JSON, JSON), key=lambda media: _preference(ranges, media))
    return best if _preference(ranges, best)[0] > 0 else None


_remembered = lru_cache(maxsize=256)(_chosen)


def prefers_page(accept: str | None) -> bool:
    """Whether a browser asks for a page, not for an answer."""
    ranges = _ranges(accept)
    named = any(each.media == HTML for each in ranges)
    return named and _preference(ranges, HTML)[0] >= max(_preference(ranges, each)[0] for each in (JSON, GRAPHQL_JSON))


def _preference(ranges: list[_Range], media: str) -> tuple[float, bool, bool]:
    """The quality of the most precise range; then whether it is named; then whether it is plain JSON."""
    closest = max(ranges, key=lambda each: each.precision(media))
    precision = closest.precision(media)
    return (closest.quality if precision else 0.0, precision == 3, precision < 3 and media == JSON)


def _ranges(accept: str | None) -> list[_Range]:
    ranges = []
    for part in (accept or "").split(","):
        media, *parameters = (each.strip().lower() for each in part.split(";"))
        if media:
            ranges.append(_Range(media, _quality(parameters)))
    return ranges


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
