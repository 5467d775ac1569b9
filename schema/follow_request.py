"""Requests to follow a private account."""

from datetime import UTC, datetime

import strawberry
from bson import ObjectId

from domain.paging import decode_cursor
from schema.connection import EDGES, PAGE_INFO, Edge, EdgeData, PageInfo
from schema.fields import computed, plain
from schema.user import User


@strawberry.type(description="One item of a FollowRequestConnection and where it stands.")
class FollowRequestEdge(Edge[User]):
    """Presents an `EdgeData`; its cursor holds the request's id, and that holds the time."""

    @computed(datetime, "When they asked.")
    def requested_at(root: strawberry.Parent[EdgeData]) -> datetime:
        key = decode_cursor(root.cursor)
        return key.generation_time if isinstance(key, ObjectId) else datetime.fromtimestamp(0, UTC)


@strawberry.type(description="A page of users who ask to follow the viewer.")
class FollowRequestConnection:
    """Presents a `ConnectionData`."""

    edges: list[FollowRequestEdge] = plain(EDGES)
    page_info: PageInfo = plain(PAGE_INFO)
