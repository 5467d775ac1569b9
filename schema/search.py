"""What a search finds."""

from typing import Annotated

import strawberry

from schema.connection import EDGES, PAGE_INFO, Edge, PageInfo
from schema.fields import plain
from schema.hashtag import Hashtag
from schema.place import Place
from schema.post import Post
from schema.user import User

SearchResult = Annotated[
    User | Hashtag | Place | Post,
    strawberry.union("SearchResult", description="What a search finds. Other kinds may be added."),
]


@strawberry.type(description="One item of a SearchConnection and where it stands.")
class SearchEdge(Edge[SearchResult]):
    """Presents an `EdgeData`."""


@strawberry.type(description="A page of what a search found, the best first.")
class SearchConnection:
    """Presents a `ConnectionData`."""

    edges: list[SearchEdge] = plain(EDGES)
    page_info: PageInfo = plain(PAGE_INFO)
