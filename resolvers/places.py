"""Places around a point."""

from typing import Annotated

import strawberry

from domain.errors import BadInput
from domain.limits import PLACES_WITHIN_METERS
from domain.paging import PageRequest
from domain.places import EASTMOST, NORTHMOST, Point
from domain.rate_limits import Action
from resolvers.rate_limits import count_use
from resolvers.root_fields import query
from schema.connection import ConnectionData, to_connection
from schema.context import Info
from schema.fields import After, First
from schema.place import PlaceConnection


@query(
    PlaceConnection | None,
    "Places around a point, the nearest first; only those where posts that everybody may see were taken. Each page "
    "counts as a search.",
)
async def places_near(
    info: Info,
    latitude: Annotated[float, strawberry.argument(description=f"Degrees north, from -{NORTHMOST} to {NORTHMOST}.")],
    longitude: Annotated[float, strawberry.argument(description=f"Degrees east, from -{EASTMOST} to {EASTMOST}.")],
    within_meters: Annotated[
        int, strawberry.argument(description=f"How far away at most; 1 to {PLACES_WITHIN_METERS:,}.")
    ] = 1_000,
    first: First = None,
    after: After = None,
) -> ConnectionData:
    request = PageRequest.of(first, after)
    if not (abs(latitude) <= NORTHMOST and abs(longitude) <= EASTMOST):
        raise BadInput(f"A latitude is within {NORTHMOST} degrees, and a longitude within {EASTMOST}.")
    if not 1 <= within_meters <= PLACES_WITHIN_METERS:
        raise BadInput(f"withinMeters must be from 1 to {PLACES_WITHIN_METERS}.")
    await count_use(info, Action.SEARCH)
    point = Point(latitude, longitude)
    return to_connection(await info.context.sources.listings.places.near(point, within_meters, request))
