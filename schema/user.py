"""People, as the viewer may see them."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import strawberry
from bson import ObjectId

from domain.limits import (
    BIOGRAPHY_MAX,
    MUTUAL_FOLLOWERS_AMONG,
    MUTUAL_FOLLOWERS_BRIEF_PRICE,
    MUTUAL_FOLLOWERS_PRICE,
    MUTUAL_FOLLOWERS_SHOWN,
)
from domain.paging import Page, PageRequest
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.visibility import can_view_content
from schema.connection import (
    EMPTY,
    CollectionConnection,
    ConnectionData,
    PostConnection,
    UserConnection,
    connected,
    visible_page,
)
from schema.context import Context, Info
from schema.enums import FollowState
from schema.fields import After, Before, First, Last, computed, plain, viewer_state
from schema.image import Image
from schema.mutual_followers import MutualFollowers, to_mutual_followers
from schema.node import Node, presents
from schema.scalars import Url
from schema.text_fields import text_field

_RELATION = "relation_by_user"


async def _may_view_content(user: UserRecord, info: Info) -> bool:
    return can_view_content(user, await info.context.loaders.relation_by_user.load(user.id))


async def _may_view_mutual_followers(user: UserRecord, info: Info) -> bool:
    """Whoever is suspended counts as following nobody, and a stranger follows nobody."""
    session = info.context.session
    return session is not None and not session.is_restricted and await _may_view_content(user, info)


async def _mutual_followers(context: Context, user: UserRecord, request: PageRequest) -> Page[ObjectId]:
    """A page, read beside few others of the operation: each may read all that the viewer follows."""
    async with context.loaders.turns_of_mutual_followers:
        return await context.sources.discovery.mutual_followers.page(context.require_viewer(), user.id, request)


async def _shown_tagged(context: Context, user_id: ObjectId, post_ids: Sequence[ObjectId]) -> list[PostRecord | None]:
    """These posts in their order; None for one that the viewer may not see, or not as one with a tag of the user."""
    posts = await context.loaders.visible_post_by_id.load_many(post_ids)
    tagging = [each for each in posts if each is not None and each.shows_tag_of(user_id, context.viewer_id)]
    people = await context.loaders.tagged_user_by_pair.load_many([(each.author_id, user_id) for each in tagging])
    shown = {post.id for post, person in zip(tagging, people, strict=True) if person is not None}
    return [post if post is not None and post.id in shown else None for post in posts]


@strawberry.type(description="A person's account as the viewer may see it.")
class User(Node):
    is_type_of = presents(UserRecord, lasts=True)

    username: str = plain("Unique handle, without the @.")
    display_name: str = plain("Name to show.")
    biography: str | None = text_field("About the person.", max_length=BIOGRAPHY_MAX)
    website: Url | None = plain("Their website.")
    avatar: Image | None = plain("Profile picture.")
    is_private: bool = plain("Whether only accepted followers see their posts.")
    created_at: datetime = plain("When the account was made.")
    post_count: int = plain("How many posts they have that are READY.")
    follower_count: int = plain("How many users follow them.")
    following_count: int = plain("How many users they follow.")

    posts: PostConnection | None = connected(
        PostConnection,
        lambda context, user, page: context.sources.posts.by_author(
            user.id, page, every_status=user.id == context.viewer_id
        ),
        loader="visible_post_by_id",
        is_visible=_may_view_content,
        description="Their posts, newest first; empty where the viewer may not see them. Among one's own are "
        "those that are PROCESSING, too, and those that FAILED until deletePost dismisses them.",
    )

    @computed(
        PostConnection | None,
        "Posts with images in which they are tagged, newest first; empty where the viewer may not see their posts. "
        "Among one's own are those whose tags wait for approveTag.",
    )
    async def tagged_posts(
        root: strawberry.Parent[UserRecord],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ConnectionData:
        request = PageRequest.of(first, after, last, before)
        if not await _may_view_content(root, info):
            return EMPTY
        fetch = partial(info.context.sources.tagged_posts.of_user, root.id)
        return await visible_page(request, fetch, partial(_shown_tagged, info.context, root.id))

    followers: UserConnection | None = connected(
        UserConnection,
        lambda context, user, page: context.sources.follows.followers(user.id, page),
        loader="met_user_by_id",
        is_visible=_may_view_content,
        description="Who follows them, latest first; empty where the viewer may not see their posts.",
    )
    following: UserConnection | None = connected(
        UserConnection,
        lambda context, user, page: context.sources.follows.following(user.id, page),
        loader="met_user_by_id",
        is_visible=_may_view_content,
        description="Whom they follow, latest first; empty where the viewer may not see their posts.",
    )
    mutual_followers: UserConnection | None = connected(
        UserConnection,
        _mutual_followers,
        loader="met_user_by_id",
        is_visible=_may_view_mutual_followers,
        price=MUTUAL_FOLLOWERS_PRICE,
        description="Who follows them and is followed by the viewer, whom the viewer followed latest first; empty "
        "where the viewer may not see their posts.",
    )
    followed_by_viewer_follows: MutualFollowers | None = viewer_state(
        MutualFollowers | None,
        "mutual_followers_by_user",
        to_mutual_followers,
        description=f"Up to {MUTUAL_FOLLOWERS_SHOWN} of their mutual followers, and how many there are among the "
        f"{MUTUAL_FOLLOWERS_AMONG} accounts that the viewer followed latest; nobody where the viewer may not see their "
        "posts.",
        price=MUTUAL_FOLLOWERS_BRIEF_PRICE,
    )

    collections: CollectionConnection | None = connected(
        CollectionConnection,
        lambda context, user, page: context.sources.saved.collections.of_owner(user.id, page, only_public=True),
        loader="visible_collection_by_id",
        is_visible=_may_view_content,
        description="Their public collections, newest first; empty where the viewer may not see their posts.",
    )

    viewer_is_self: bool = viewer_state(
        bool, _RELATION, lambda to: to.is_self, description="Whether this is the viewer."
    )
    viewer_follow_state: FollowState = viewer_state(
        FollowState, _RELATION, lambda to: to.follow_state, description="How the viewer follows them."
    )
    viewer_is_following: bool = viewer_state(
        bool, _RELATION, lambda to: to.is_following, description="Whether the viewer follows them."
    )
    viewer_is_followed: bool = viewer_state(
        bool, _RELATION, lambda to: to.is_followed, description="Whether they follow the viewer."
    )
    viewer_has_blocked: bool = viewer_state(
        bool, _RELATION, lambda to: to.has_blocked, description="Whether the viewer has blocked them."
    )
    viewer_has_muted: bool = viewer_state(
        bool, _RELATION, lambda to: to.has_muted, description="Whether the viewer has muted them."
    )
