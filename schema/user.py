"""People, as the viewer may see them."""

from datetime import datetime
from typing import Any

import strawberry

from domain.paging import PageRequest
from domain.records import UserRecord
from domain.visibility import can_view_content
from schema.connection import EMPTY, Connection, PostConnection, UserConnection, visible_page
from schema.context import Info
from schema.enums import FollowState
from schema.fields import After, Before, First, Last, computed, plain, viewers
from schema.image import Image
from schema.node import Node, presents
from schema.scalars import Url

_RELATION = "relation_by_user"


@strawberry.type(description="A person's account as the viewer may see it.")
class User(Node):
    """Presents a `UserRecord`."""

    is_type_of = presents(UserRecord)

    username: str = plain("Unique handle, without the @.")
    display_name: str = plain("Name to show.")
    biography: str | None = plain("About the person; at most 150 characters.")
    website: Url | None = plain("Their website.")
    avatar: Image | None = plain("Profile picture.")
    is_private: bool = plain("Whether only accepted followers see their posts.")
    created_at: datetime = plain("When the account was made.")
    post_count: int = plain("How many posts they have.")
    follower_count: int = plain("How many users follow them.")
    following_count: int = plain("How many users they follow.")

    @computed(PostConnection | None, "Their posts, newest first; empty where the viewer may not see them.")
    async def posts(
        root: strawberry.Parent[UserRecord],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection:
        request = PageRequest.of(first, after, last, before)
        context = info.context
        if not await _may_view_content(root, info):
            return EMPTY
        own = root.id == context.viewer_id

        async def fetch(step: PageRequest) -> Any:
            return await context.sources.posts.by_author(root.id, step, every_status=own)

        return await visible_page(request, fetch, context.loaders.visible_post_by_id.load_many)

    @computed(UserConnection | None, "Who follows them, latest first; empty where the viewer may not see their posts.")
    async def followers(
        root: strawberry.Parent[UserRecord],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection:
        request = PageRequest.of(first, after, last, before)
        if not await _may_view_content(root, info):
            return EMPTY

        async def fetch(step: PageRequest) -> Any:
            return await info.context.sources.graph.followers(root.id, step)

        return await visible_page(request, fetch, info.context.loaders.met_user_by_id.load_many)

    @computed(UserConnection | None, "Whom they follow, latest first; empty where the viewer may not see their posts.")
    async def following(
        root: strawberry.Parent[UserRecord],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection:
        request = PageRequest.of(first, after, last, before)
        if not await _may_view_content(root, info):
            return EMPTY

        async def fetch(step: PageRequest) -> Any:
            return await info.context.sources.graph.following(root.id, step)

        return await visible_page(request, fetch, info.context.loaders.met_user_by_id.load_many)

    viewer_is_self: bool = viewers(bool, _RELATION, lambda to: to.is_self, description="Whether this is the viewer.")
    viewer_follow_state: FollowState = viewers(
        FollowState, _RELATION, lambda to: to.follow_state, description="How the viewer follows them."
    )
    viewer_is_following: bool = viewers(
        bool, _RELATION, lambda to: to.is_following, description="Whether the viewer follows them."
    )
    viewer_is_followed: bool = viewers(
        bool, _RELATION, lambda to: to.is_followed, description="Whether they follow the viewer."
    )
    viewer_has_blocked: bool = viewers(
        bool, _RELATION, lambda to: to.has_blocked, description="Whether the viewer has blocked them."
    )
    viewer_has_muted: bool = viewers(
        bool, _RELATION, lambda to: to.has_muted, description="Whether the viewer has muted them."
    )


async def _may_view_content(user: UserRecord, info: Info) -> bool:
    return can_view_content(user, await info.context.loaders.relation_by_user.load(user.id))
