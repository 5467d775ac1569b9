"""Places."""

import strawberry

from domain.limits import LOCATION_NAME_MAX, PLACE_METERS
from domain.records.topics import PlaceRecord
from schema.connection import Connection, PostConnection
from schema.fields import plain
from schema.hashtag import listed_posts
from schema.node import Node, presents
from schema.text_fields import text_field


@strawberry.type(
    description="A place: locations of one name that are near one another. It is there while a post that everybody may "
    "see was taken at it."
)
class Place(Node):
    is_type_of = presents(PlaceRecord)

    name: str = text_field(
        "Its name, with the case, spaces and punctuation of the first post.", max_length=LOCATION_NAME_MAX
    )
    latitude: float | None = plain(
        f"Degrees north, of a point within {PLACE_METERS} m of which the first post was taken: it says nothing more of "
        "where a post was taken. Null for a place that is known by its name alone."
    )
    longitude: float | None = plain(
        "Degrees east, of the same point; null for a place that is known by its name alone."
    )
    post_count: int = plain(
        "How many posts were taken at it that everybody may see. Posts of private accounts are not counted. It is "
        "exact some seconds after a post comes, changes or goes."
    )
    posts: PostConnection | None = listed_posts()


PlaceConnection = Connection[Place]
