"""Topics as they are shown."""

from domain.records.record import Record, Stored
from domain.topics import TopicKind


class TopicRecord(Stored, frozen=True, kw_only=True):
    """What a topic is stored as."""

    kind: TopicKind
    name: str
    post_count: int


class GeoPoint(Record, frozen=True, kw_only=True):
    """A point of GeoJSON: degrees east, then degrees north."""

    coordinates: tuple[float, float]


class PlaceRecord(Stored, frozen=True, kw_only=True):
    """A place; without a point it is known by its name alone."""

    kind: TopicKind
    name: str
    post_count: int = 0
    point: GeoPoint | None = None

    @property
    def is_shown(self) -> bool:
        """Whether it is a place, and a post is listed under it."""
        return self.kind is TopicKind.PLACE and self.post_count > 0

    @property
    def latitude(self) -> float | None:
        return None if self.point is None else self.point.coordinates[1]

    @property
    def longitude(self) -> float | None:
        return None if self.point is None else self.point.coordinates[0]


class HashtagRecord(Stored, frozen=True, kw_only=True):
    """A hashtag; one that no post has is not stored."""

    name: str
    post_count: int = 0
