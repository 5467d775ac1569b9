"""Places: topics that are recognised by the name of a location and by where it is."""

from collections.abc import Collection, Mapping, Sequence

from bson import ObjectId
from pymongo import UpdateOne

from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import find_by_ids
from datasources.posts.topics import EMPTY_KEPT, to_geojson
from domain.paging import Page, PageRequest, Ranked, cut_page
from domain.places import Point, blocks_near, cell_of, cells_near, distance, name_key, place_id, point_of
from domain.records.posts import LocationRecord
from domain.records.topics import PlaceRecord
from domain.topics import Topic, TopicKind

MAX_EQUALLY_FAR = 500  # places within a millimetre that a page puts in order
_SHOWN = {"kind": TopicKind.PLACE.value, "post_count": {"$gt": 0}}
_FIELDS = {"name": 1, "name_key": 1, "point": 1}


class PlaceStore:
    """The places of the collection `topics`. One without posts is not shown: its name is somebody's words."""

    def __init__(self, database: Database) -> None:
        self._topics = database["topics"]

    async def by_ids(self, ids: Sequence[ObjectId]) -> list[PlaceRecord | None]:
        """Places in the order of `ids`; None for one that no post is listed under. One operation."""
        found = await find_by_ids(self._topics, ids)
        places = [readable(PlaceRecord, found.get(id_)) for id_ in ids]
        return [place if place is not None and place.is_shown else None for place in places]

    async def near(self, point: Point, within_meters: int, request: PageRequest) -> Page[PlaceRecord]:
        """Places around a point, the nearest first; forward only. One operation, on the index of points alone.

        Keys are distances in millimetres.
        """
        after = request.expects(Ranked).after
        search: Document = {
            "near": to_geojson(point),
            "key": "point",
            "distanceField": "meters",
            "maxDistance": within_meters,
            "query": _SHOWN,
        }
        beyond: Document = {}
        if isinstance(after, Ranked):
            search["minDistance"] = max(0, after.score - 1) / 1000
            beyond = {
                "$or": [{"millimetres": {"$gt": after.score}}, {"millimetres": after.score, "_id": {"$gt": after.id}}]
            }
        pipeline: list[Document] = [
            {"$geoNear": search},
            {"$set": {"millimetres": {"$toLong": {"$multiply": ["$meters", 1000]}}}},
            {"$match": beyond},
            {"$limit": MAX_EQUALLY_FAR + request.limit + 1},
            {"$sort": {"millimetres": 1, "_id": 1}},
            {"$limit": request.limit + 1},
        ]
        rows = await (await self._topics.aggregate(pipeline)).to_list()
        places = [(Ranked(row["millimetres"], row["_id"]), readable(PlaceRecord, row)) for row in rows]
        return cut_page(request, [(key, place) for key, place in places if place is not None])

    async def recognise(
        self, location: LocationRecord, listed: Collection[ObjectId], new: Mapping[ObjectId, Topic], session: Session
    ) -> Topic:
        """The place of a location: of those in a cell near it one of `listed`, else the nearest, else a new one.

        Several workers make one place of a name in one neighbourhood: who makes one writes what stands for the name
        there, in the caller's transaction, which conflicts with everybody else who does. `new` are those of this
        transaction.
        """
        key, point = name_key(location.name), _point_of(location)
        if point is None:
            return Topic(place_id(key, None), TopicKind.PLACE, location.name, key)
        ids = [place_id(key, cell) for cell in cells_near(point)]
        found = await find_by_ids(self._topics, ids, projection=_FIELDS, session=session)
        topics = [*map(_to_topic, found.values()), *(new[id_] for id_ in ids if id_ in new)]
        fitting = [
            ((topic.id not in listed, distance(point, topic.point), topic.id), topic)
            for topic in topics
            if topic.key == key and topic.point is not None
        ]
        if fitting:
            return min(fitting)[1]
        await self._hold_name(key, point, session)
        cell = cell_of(point)
        own_id = place_id(key, cell)
        return Topic(own_id, TopicKind.PLACE, location.name, key, point_of(own_id, cell))

    async def _hold_name(self, key: str, point: Point, session: Session) -> None:
        """Writes a document of this name for each block of cells near a point.

        So no two transactions make places of one name near one another at once. The documents expire.
        """
        values = {
            "kind": TopicKind.PLACE_NAME.value,
            "name": "",
            "post_count": 0,
            "expires_at": clock.now() + EMPTY_KEPT,
        }
        change = {"$set": values, "$inc": {"held": 1}}
        ids = sorted(place_id(f"@{key}", block) for block in blocks_near(point))
        await self._topics.bulk_write([UpdateOne({"_id": id_}, change, upsert=True) for id_ in ids], session=session)


def _point_of(location: LocationRecord) -> Point | None:
    if location.latitude is None or location.longitude is None:
        return None
    return Point(location.latitude, location.longitude)


def _to_topic(place: Document) -> Topic:
    longitude, latitude = place["point"]["coordinates"] if "point" in place else (None, None)
    point = None if latitude is None or longitude is None else Point(latitude, longitude)
    return Topic(place["_id"], TopicKind.PLACE, place["name"], place["name_key"], point)
