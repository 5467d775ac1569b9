"""Collections of saved posts."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec
import strawberry

from domain.ids import to_global_id
from domain.limits import COLLECTION_DESCRIPTION_MAX, COLLECTION_NAME_MAX, COLLECTION_NOTE_MAX
from domain.paging import Page, PageRequest, fill_page
from domain.records.images import ImageRecord
from domain.records.posts import PostRecord
from domain.records.saves import CollectionRecord, SavedPost
from schema.connection import EDGES, PAGE_INFO, ConnectionData, EdgeData, PageInfo, to_connection
from schema.context import Context, Info
from schema.fields import After, Before, First, Last, computed, loaded, plain
from schema.image import Image
from schema.node import Node, presents
from schema.post import Post
from schema.scalars import Url
from schema.text_fields import text_field
from schema.user import User


class SavedPostData(EdgeData, frozen=True):
    """What a `CollectionPostEdge` presents; the node is None for a post that its saver may not see (any more)."""

    saved: SavedPost


@strawberry.type(description="A saved post, and its place in the list.")
class CollectionPostEdge:
    """Presents a `SavedPostData`."""

    cursor: str = plain("Opaque position of this item; give it as `after` or `before`.")
    node: Post | None = plain(
        "The post; null where it is not visible, for the time being or for ever. Only who saved it is shown such an "
        "edge; others are shown none."
    )

    @computed(strawberry.ID, "The post's id, by which unsavePost removes it also where it is not visible.")
    def post_id(root: strawberry.Parent[SavedPostData]) -> str:
        return to_global_id("Post", root.saved.post_id)

    @computed(datetime, "When it was saved or, in a collection, put into it.")
    def saved_at(root: strawberry.Parent[SavedPostData]) -> datetime:
        return root.saved.saved_at

    @computed(
        str | None,
        f"A note of the collection's owner about it; null outside of collections. At most {COLLECTION_NOTE_MAX:,} "
        "characters.",
    )
    def note(root: strawberry.Parent[SavedPostData]) -> str | None:
        return root.saved.note


@strawberry.type(description="A page of saved posts.")
class CollectionPostConnection:
    """Presents a `ConnectionData`."""

    edges: list[CollectionPostEdge] = plain(EDGES)
    page_info: PageInfo = plain(PAGE_INFO)


class _Item(msgspec.Struct, frozen=True):
    saved: SavedPost
    post: PostRecord | None


async def saved_page(
    context: Context,
    request: PageRequest,
    fetch: Callable[[PageRequest], Awaitable[Page[SavedPost]]],
    *,
    with_hidden: bool,
) -> ConnectionData:
    """A full page of saved posts; those that the viewer may not see have no node, and are left out for others."""

    async def load(saved: Sequence[SavedPost]) -> list[_Item | None]:
        posts = await context.loaders.visible_post_by_id.load_many([each.post_id for each in saved])
        return [
            _Item(each, post) if with_hidden or post is not None else None
            for each, post in zip(saved, posts, strict=True)
        ]

    page = await fill_page(request, fetch, load)
    return to_connection(page, lambda cursor, item: SavedPostData(cursor, item.post, item.saved))


@strawberry.type(
    description="Posts that somebody has put together. It is there for its owner alone, unless they make it public, or "
    "give others a link; and it shows each viewer the posts that they may see."
)
class Collection(Node):
    is_type_of = presents(CollectionRecord)

    owner: User = loaded("user_by_id", key="owner_id", description="Whose it is.")
    name: str = text_field("Its name.", max_length=COLLECTION_NAME_MAX)
    description: str | None = text_field("What it is about.", max_length=COLLECTION_DESCRIPTION_MAX)
    is_public: bool = plain("Whether it is there for everybody who may see its owner's posts.")
    created_at: datetime = plain("When it was made.")

    @computed(
        Image | None,
        "The first image of the post that its owner chose, if the viewer may see that post; null while the post is "
        "labelled sensitive.",
    )
    async def cover(root: strawberry.Parent[CollectionRecord], info: Info) -> ImageRecord | None:
        if root.cover_post_id is None:
            return None
        post = await info.context.loaders.visible_post_by_id.load(root.cover_post_id)
        is_shown = post is not None and not post.is_sensitive and post.posted_images
        return post.posted_images[0] if post is not None and is_shown else None

    @computed(
        int | None,
        "How many posts are in it, with those that are not visible; for its owner alone, null for others.",
    )
    def saved_post_count(root: strawberry.Parent[CollectionRecord], info: Info) -> int | None:
        return root.post_count if root.owner_id == info.context.viewer_id else None

    @computed(
        str | None,
        "What `sharedCollection` takes: whoever knows it sees the collection. Null where there is no link, and for "
        "others than its owner.",
    )
    def share_key(root: strawberry.Parent[CollectionRecord], info: Info) -> str | None:
        return root.share_key if root.owner_id == info.context.viewer_id else None

    @computed(
        Url | None,
        "A link into the app, with `shareKey` after `#key=`; null as that is, and where the operator has not told the "
        "app's address.",
    )
    def share_url(root: strawberry.Parent[CollectionRecord], info: Info) -> str | None:
        app_url = info.context.sources.settings.app_url
        if app_url is None or root.share_key is None or root.owner_id != info.context.viewer_id:
            return None
        return f"{app_url.rstrip('/')}/collection#key={root.share_key}"

    @computed(
        CollectionPostConnection | None,
        "Its posts in the order of its owner. For others than its owner those that they may not see are left out.",
    )
    async def saved_posts(
        root: strawberry.Parent[CollectionRecord],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ConnectionData:
        request = PageRequest.of(first, after, last, before)
        fetch = partial(info.context.sources.saved.collection_posts.of_collection, root.owner_id, root.id)
        return await saved_page(info.context, request, fetch, with_hidden=root.owner_id == info.context.viewer_id)
