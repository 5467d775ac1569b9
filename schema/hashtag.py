"""Hashtags, and the lists of posts under a topic."""

from functools import partial
from typing import Annotated, Any

import strawberry
from bson import ObjectId

from domain.limits import HASHTAG_MAX
from domain.paging import PageRequest
from domain.records.topics import HashtagRecord
from schema.connection import Connection, ConnectionData, PostConnection, visible_page
from schema.context import Info
from schema.enums import PostOrder
from schema.fields import After, Before, First, Last, computed, plain, viewer_state
from schema.node import Node, presents
from schema.text_fields import text_field

_POSTS = (
    "Its posts that everybody may see, but for those of people whom the viewer has muted, or with whom there is a "
    "block. A new post is here after some seconds. TOP lists those first that are liked and commented on, and new: "
    "twice the likes are worth a day. A post that is liked while one reads may move."
)


def listed_posts() -> Any:
    """The field `posts` of a topic."""

    async def posts(
        root: strawberry.Parent[Any],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        order: Annotated[
            PostOrder | None,
            strawberry.argument(description="In which order. Cursors of one order are not of the other."),
        ] = PostOrder.LATEST,
    ) -> ConnectionData:
        entries, topic_id = info.context.sources.listings.entries, ObjectId(root.id)
        fetch = entries.top if order is PostOrder.TOP else entries.latest
        request = PageRequest.of(first, after, last, before)
        return await visible_page(request, partial(fetch, topic_id), info.context.loaders.listed_post_by_id.load_many)

    return computed(PostConnection | None, _POSTS)(posts)


@strawberry.type(
    description="A hashtag, also one that no post has. Its id leads to it while a post that everybody may see has it."
)
class Hashtag(Node):
    is_type_of = presents(HashtagRecord)

    name: str = text_field("Its name, without the #, lower case.", max_length=HASHTAG_MAX)
    post_count: int = plain(
        "How many posts have it that everybody may see. Posts of private accounts are not counted. It is exact some "
        "seconds after a post comes, changes or goes."
    )
    viewer_is_following: bool = viewer_state(
        bool, "viewer_follows_topic", bool, description="Whether the viewer follows it."
    )
    posts: PostConnection | None = listed_posts()


HashtagConnection = Connection[Hashtag]
