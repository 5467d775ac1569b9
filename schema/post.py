"""Posts."""

from datetime import datetime
from functools import partial
from typing import Annotated

import strawberry

from domain.limits import (
    CAPTION_MAX,
    COLLECTIONS_OF_POST_MAX,
    HASHTAGS_MAX,
    IMAGES_PER_POST,
    MENTIONS_MAX,
    PREVIEW_COMMENTS,
)
from domain.paging import PageRequest
from domain.records.likes import LikeRecord
from domain.records.posts import PostRecord
from schema.connection import CommentConnection, ConnectionData, UserConnection, connected, visible_page
from schema.context import Info
from schema.enums import CommentOrder, PostStatus
from schema.fields import After, Before, First, Last, computed, loaded, loaded_list, plain, viewer_state
from schema.image import Image
from schema.lazy_types import LazyCollection, LazyComment
from schema.node import Node, presents
from schema.place import Place
from schema.text_fields import text_field
from schema.user import User
from schema.user_error import UserError, failure_field

Order = Annotated[CommentOrder | None, strawberry.argument(description="In which order.")]


def is_liked(like: LikeRecord | None) -> bool:
    """Whether a like, if there is a document of one, stands."""
    return like is not None and like.liked


@strawberry.type(description="Where a post was taken, as the author gave it.")
class Location:
    """Presents a `PlacedLocation`."""

    name: str = plain("Its name.")
    latitude: float | None = plain("Degrees north.")
    longitude: float | None = plain("Degrees east.")
    place: Place | None = loaded(
        "place_by_id",
        key="place_id",
        description="The place where other posts were taken too; null for posts that not everybody may see, and in the "
        "first seconds of a post.",
    )


@strawberry.type(description="One or more photographs with a caption.")
class Post(Node):
    is_type_of = presents(PostRecord, lasts=True)

    author: User = loaded("user_by_id", key="author_id", description="Who posted it.")
    caption: str = text_field("Its words.", max_length=CAPTION_MAX)
    posted_images: list[Image] = plain(
        "Its images, in order; none before the post is ready.", name="images", max_items=IMAGES_PER_POST
    )
    placed_location: Location | None = plain("Where it was taken.", name="location")
    hashtags: list[str] = plain("Hashtags in the caption, without the #, lower case.", max_items=HASHTAGS_MAX)
    mentions: list[User] = loaded_list(
        "met_user_by_id", key="mention_ids", description="Users mentioned in the caption.", max_items=MENTIONS_MAX
    )
    status: PostStatus = plain("Where it is in its life.")
    is_sensitive: bool = plain(
        "Whether moderators have labelled it sensitive: show it behind a veil, unless "
        "Viewer.preferences.sensitiveContent is SHOW."
    )
    failure: UserError | None = failure_field("Why it failed, if it did.")
    created_at: datetime = plain("When it was posted.")
    edited_at: datetime | None = plain("When its caption or its place was last changed; null if neither ever was.")
    like_count: int = plain("How many likes it has.")
    comment_count: int = plain("How many comments and replies it has.")
    viewer_has_liked: bool = viewer_state(
        bool, "viewer_like_by_post", is_liked, description="Whether the viewer likes it."
    )

    viewer_has_saved: bool = viewer_state(
        bool, "viewer_has_saved_post", bool, description="Whether the viewer has saved it."
    )
    viewer_collections: list[LazyCollection] = viewer_state(
        list[LazyCollection],
        "viewer_collections_by_post",
        list,
        description="The viewer's collections that it is in, latest first.",
        max_items=COLLECTIONS_OF_POST_MAX,
    )

    @computed(bool, "Whether the viewer may comment.")
    def viewer_can_comment(root: strawberry.Parent[PostRecord], info: Info) -> bool:
        return root.comments_enabled and info.context.viewer_id is not None

    likes: UserConnection | None = connected(
        UserConnection,
        lambda context, post, page: context.sources.post_likes.likers(post.id, page),
        loader="met_user_by_id",
        description="Who likes it, latest first.",
    )

    @computed(CommentConnection | None, "Its comments; replies hang below them.")
    async def comments(
        root: strawberry.Parent[PostRecord],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        order: Order = CommentOrder.NEWEST,
    ) -> ConnectionData:
        request = PageRequest.of(first, after, last, before)
        fetch = partial(info.context.sources.comments.of_post, root.id, order=order or CommentOrder.NEWEST)
        return await visible_page(request, fetch, info.context.loaders.visible_comment_by_id.load_many)

    preview_comments: list[LazyComment] = loaded_list(
        "visible_comment_by_id",
        key="preview_comment_ids",
        description="A few comments to show below the post.",
        max_items=PREVIEW_COMMENTS,
    )
