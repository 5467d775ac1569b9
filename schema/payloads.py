"""What mutations answer: what is so now, or why it could not be done."""

from typing import Any

import strawberry

from domain.errors import Refusal
from domain.limits import USER_ERRORS_MAX
from schema.comment import Comment
from schema.connection import CommentEdge
from schema.fields import plain
from schema.post import Post
from schema.upload import MediaUpload, UploadRequest
from schema.user import User
from schema.user_error import UserError, to_user_error
from schema.viewer import AuthTokens, Viewer, viewer_field

_USER_ERRORS = "Why it could not be done; empty when it was."


class Payload:
    """What every payload type presents: the fields given, and null for the others."""

    user_errors: tuple[UserError, ...] = ()

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, _name: str) -> None:
        return None

    @classmethod
    def refused(cls, *refusals: Refusal) -> "Payload":
        """The payload of a mutation that was not done."""
        return cls(user_errors=[to_user_error(refusal) for refusal in refusals[:USER_ERRORS_MAX]])


@strawberry.type(description="Answer of register.")
class RegisterPayload:
    tokens: AuthTokens | None = plain("Tokens of the new session.")
    viewer: Viewer | None = viewer_field("The signed-in person.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of login.")
class LoginPayload:
    tokens: AuthTokens | None = plain("Tokens of the new session.")
    viewer: Viewer | None = viewer_field("The signed-in person.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of refreshSession.")
class RefreshSessionPayload:
    tokens: AuthTokens | None = plain("Tokens of the new session.")
    viewer: Viewer | None = viewer_field("The signed-in person.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of logout.")
class LogoutPayload:
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of revokeSession.")
class RevokeSessionPayload:
    viewer: Viewer | None = viewer_field("The viewer, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of deleteAccount.")
class DeleteAccountPayload:
    deleted_user_id: strawberry.ID | None = plain("The id that the account had.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of updateProfile.")
class UpdateProfilePayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of createUpload.")
class CreateUploadPayload:
    upload: MediaUpload | None = plain("The upload.")
    request: UploadRequest | None = plain("How to send the file.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of cancelUpload.")
class CancelUploadPayload:
    upload: MediaUpload | None = plain("The upload, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of uploadImage.")
class UploadImagePayload:
    upload: MediaUpload | None = plain("The upload.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of createPost.")
class CreatePostPayload:
    post: Post | None = plain("The post, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of updatePost.")
class UpdatePostPayload:
    post: Post | None = plain("The post, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of removeTag.")
class RemoveTagPayload:
    post: Post | None = plain("The post, as it is now; null if the viewer may not see it.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of deletePost.")
class DeletePostPayload:
    deleted_post_id: strawberry.ID | None = plain("Its id.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of likePost.")
class LikePostPayload:
    post: Post | None = plain("The post, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of unlikePost.")
class UnlikePostPayload:
    post: Post | None = plain("The post, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of addComment.")
class AddCommentPayload:
    comment_edge: CommentEdge | None = plain("The new comment.")
    post: Post | None = plain("The post, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of deleteComment.")
class DeleteCommentPayload:
    deleted_comment_id: strawberry.ID | None = plain("Its id.")
    post: Post | None = plain("The post, as it is now; null if the viewer may not see it.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of likeComment.")
class LikeCommentPayload:
    comment: Comment | None = plain("The comment, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of unlikeComment.")
class UnlikeCommentPayload:
    comment: Comment | None = plain("The comment, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of followUser.")
class FollowUserPayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of unfollowUser.")
class UnfollowUserPayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of acceptFollowRequest.")
class AcceptFollowRequestPayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of declineFollowRequest.")
class DeclineFollowRequestPayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of removeFollower.")
class RemoveFollowerPayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of blockUser.")
class BlockUserPayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of unblockUser.")
class UnblockUserPayload:
    user: User | None = plain("The user, as it is now; null if they have blocked the viewer.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of muteUser.")
class MuteUserPayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of unmuteUser.")
class UnmuteUserPayload:
    user: User | None = plain("The user, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of markNotificationsSeen.")
class MarkNotificationsSeenPayload:
    viewer: Viewer | None = viewer_field("The viewer, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)


@strawberry.type(description="Answer of markNotificationsRead.")
class MarkNotificationsReadPayload:
    viewer: Viewer | None = viewer_field("The viewer, as it is now.")
    user_errors: list[UserError] = plain(_USER_ERRORS, max_items=USER_ERRORS_MAX)
