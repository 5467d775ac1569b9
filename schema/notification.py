"""Notifications, and the events that deliver them."""

from datetime import datetime
from typing import Any

import strawberry

from domain.limits import ACTORS_SHOWN
from domain.records.moderation import DecisionRecord
from domain.records.notifications import NotificationRecord
from schema.comment import Comment
from schema.connection import Connection
from schema.context import Info
from schema.enums import FollowState, NotificationKind
from schema.fields import computed, loaded, loaded_list, plain
from schema.moderation import Decision
from schema.node import Node, presents
from schema.post import Post
from schema.user import User

NOTIFICATION_TYPES = ("PostNotification", "CommentNotification", "FollowNotification", "DecisionNotification")
_FOLLOWS = {NotificationKind.FOLLOWED, NotificationKind.FOLLOW_REQUESTED, NotificationKind.FOLLOW_ACCEPTED}
_COMMENTS = {NotificationKind.COMMENT_LIKED, NotificationKind.REPLIED}


def type_name_of(notification: NotificationRecord) -> str:
    """The GraphQL type that presents a notification."""
    if notification.kind in _FOLLOWS:
        return "FollowNotification"
    if notification.kind is NotificationKind.DECIDED:
        return "DecisionNotification"
    mentioned_in_comment = notification.kind is NotificationKind.MENTIONED and notification.comment_id is not None
    return "CommentNotification" if notification.kind in _COMMENTS or mentioned_in_comment else "PostNotification"


def _named(name: str) -> Any:
    return presents(NotificationRecord, lambda notification: type_name_of(notification) == name)


@strawberry.interface(
    description="Something that happened that the viewer cares about; acts of one kind on one thing are grouped."
)
class Notification(Node):
    """Presents a `NotificationRecord`, whatever it is about."""

    kind: NotificationKind = plain("What it tells.")
    seq: int = plain("Dense number per recipient; grows whenever the notification changes.")
    actors: list[User] = loaded_list(
        "met_user_by_id", key="actor_ids", description="Who did it: the latest few.", max_items=ACTORS_SHOWN
    )
    actor_count: int = plain("How many did it.")
    created_at: datetime = plain("When it first came.")
    updated_at: datetime = plain("When it last changed.")
    is_seen: bool = plain("Whether it was shown in the list.")
    is_read: bool = plain("Whether it was opened.")


NotificationConnection = Connection[Notification]


@strawberry.type(description="Likes and comments on a post, mentions and tags in it, its being ready or failed.")
class PostNotification(Notification):
    is_type_of = _named("PostNotification")

    post: Post | None = loaded("visible_post_by_id", key="post_id", description="The post.")
    about_post: Post | None = loaded(
        "visible_post_by_id",
        key="post_id",
        description="The same as `post`, for a query that asks `Comment.post` beside it, which is never null.",
    )
    comment: Comment | None = loaded(
        "visible_comment_by_id", key="comment_id", description="The latest comment, if it is about comments."
    )


@strawberry.type(description="Likes of a comment, replies to it, mentions in it.")
class CommentNotification(Notification):
    is_type_of = _named("CommentNotification")

    comment: Comment | None = loaded("visible_comment_by_id", key="comment_id", description="The comment.")


@strawberry.type(description="Follows, requests to follow, and requests accepted.")
class FollowNotification(Notification):
    is_type_of = _named("FollowNotification")

    @computed(FollowState, "How the viewer follows the latest actor.")
    async def viewer_follow_state(root: strawberry.Parent[NotificationRecord], info: Info) -> FollowState:
        if not root.actor_ids:
            return FollowState.NONE
        return (await info.context.loaders.relation_by_user.load(root.actor_ids[0])).follow_state


@strawberry.type(description="A decision of moderators about the viewer, or about what they posted.")
class DecisionNotification(Notification):
    is_type_of = _named("DecisionNotification")

    @computed(Decision | None, "The decision, which may be appealed.")
    async def decision(root: strawberry.Parent[NotificationRecord], info: Info) -> DecisionRecord | None:
        if root.decision_id is None:
            return None
        return (await info.context.sources.moderation.decisions.readable_by_ids([root.decision_id]))[0]


@strawberry.type(description="What can be replayed.")
class NotificationGap:
    oldest_seq: int = plain("The oldest number kept.")
    newest_seq: int = plain("The newest number there is.")


@strawberry.type(description="A new or changed notification, or the news that some cannot be replayed.")
class NotificationEvent:
    """Presents a change in the viewer's log: whether they may see it is decided when the event is executed."""

    changed: strawberry.Private[NotificationRecord | None] = None
    seq: int = plain("Its number; resume with the last one received.")
    gap: NotificationGap | None = plain(
        "Set when `after` is older than what is kept, or ahead of the log: start again from here.", default=None
    )

    @computed(Notification | None, "The notification; null when it was taken back, or in a gap.")
    async def notification(self, info: Info) -> NotificationRecord | None:
        if self.changed is None:
            return None
        (visible,) = await info.context.loaders.visible_notifications([self.changed])
        return visible
