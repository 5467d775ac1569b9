"""What mutations answer: what is so now, or why it could not be done.

A payload holds records, and says beside each as which type of the API it is shown. `user_errors` comes last.
"""

from typing import Any, Self, TypeVar, dataclass_transform

import strawberry

from datasources.accounts.sessions import Tokens
from domain.errors import Refusal
from domain.limits import USER_ERRORS_MAX
from domain.records.comments import CommentRecord
from domain.records.posts import PostRecord
from domain.records.uploads import UploadRecord
from domain.records.users import UserRecord
from schema.comment import Comment
from schema.connection import CommentEdge, EdgeData
from schema.fields import plain
from schema.post import Post
from schema.upload import MediaUpload, Presigned, UploadRequest
from schema.user import User
from schema.user_error import UserError, to_user_error
from schema.viewer import AuthTokens, SignedIn, Viewer

AnyPayload = TypeVar("AnyPayload", bound="Payload")


@strawberry.type
class Payload:
    """The base of every payload; not a type of the API itself."""

    user_errors: list[UserError] = plain(
        "Why it could not be done; empty when it was.", max_items=USER_ERRORS_MAX, default_factory=list
    )

    @classmethod
    def refused(cls, refusal: Refusal) -> Self:
        """The payload of a mutation that was not done."""
        return cls(user_errors=[to_user_error(refusal)])


@dataclass_transform(kw_only_default=True)
def payload(cls: type[AnyPayload]) -> type[AnyPayload]:
    """Makes a type of the API of a class `XPayload`: the answer of the mutation `x`."""
    name = cls.__name__.removesuffix("Payload")
    made = strawberry.type(cls, description=f"Answer of {name[0].lower()}{name[1:]}.")
    made.__strawberry_definition__.fields.sort(key=lambda field: field.python_name == "user_errors")  # type: ignore[attr-defined]
    return made


def shown(graphql_type: Any, description: str) -> Any:
    """A field that holds a record, or None, and is shown as this type."""
    return plain(description, graphql_type=graphql_type | None, default=None)


@strawberry.type
class _SessionPayload(Payload):
    tokens: Tokens | None = shown(AuthTokens, "Tokens of the new session.")
    viewer: SignedIn | None = shown(Viewer, "The signed-in person.")


@strawberry.type
class _ViewerPayload(Payload):
    viewer: SignedIn | None = shown(Viewer, "The viewer, as it is now.")


@strawberry.type
class _UserPayload(Payload):
    user: UserRecord | None = shown(User, "The user, as it is now.")


@strawberry.type
class _PostPayload(Payload):
    post: PostRecord | None = shown(Post, "The post, as it is now.")


@strawberry.type
class _CommentPayload(Payload):
    comment: CommentRecord | None = shown(Comment, "The comment, as it is now.")


@payload
class RegisterPayload(_SessionPayload): ...


@payload
class LoginPayload(_SessionPayload): ...


@payload
class RefreshSessionPayload(_SessionPayload): ...


@payload
class LogoutPayload(Payload): ...


@payload
class RevokeSessionPayload(_ViewerPayload): ...


@payload
class DeleteAccountPayload(Payload):
    deleted_user_id: strawberry.ID | None = plain("The id that the account had.", default=None)


@payload
class UpdateProfilePayload(_UserPayload): ...


@payload
class CreateUploadPayload(Payload):
    upload: UploadRecord | None = shown(MediaUpload, "The upload.")
    request: Presigned | None = shown(UploadRequest, "How to send the file.")


@payload
class CancelUploadPayload(Payload):
    upload: UploadRecord | None = shown(MediaUpload, "The upload, as it is now.")


@payload
class UploadImagePayload(Payload):
    upload: UploadRecord | None = shown(MediaUpload, "The upload.")


@payload
class CreatePostPayload(_PostPayload): ...


@payload
class UpdatePostPayload(_PostPayload): ...


@payload
class RemoveTagPayload(Payload):
    post: PostRecord | None = shown(Post, "The post, as it is now; null if the viewer may not see it.")


@payload
class DeletePostPayload(Payload):
    deleted_post_id: strawberry.ID | None = plain("Its id.", default=None)


@payload
class LikePostPayload(_PostPayload): ...


@payload
class UnlikePostPayload(_PostPayload): ...


@payload
class AddCommentPayload(Payload):
    comment_edge: EdgeData | None = shown(CommentEdge, "The new comment.")
    post: PostRecord | None = shown(Post, "The post, as it is now.")


@payload
class DeleteCommentPayload(Payload):
    deleted_comment_id: strawberry.ID | None = plain("Its id.", default=None)
    post: PostRecord | None = shown(Post, "The post, as it is now; null if the viewer may not see it.")


@payload
class LikeCommentPayload(_CommentPayload): ...


@payload
class UnlikeCommentPayload(_CommentPayload): ...


@payload
class FollowUserPayload(_UserPayload): ...


@payload
class UnfollowUserPayload(_UserPayload): ...


@payload
class AcceptFollowRequestPayload(_UserPayload): ...


@payload
class DeclineFollowRequestPayload(_UserPayload): ...


@payload
class RemoveFollowerPayload(_UserPayload): ...


@payload
class BlockUserPayload(_UserPayload): ...


@payload
class UnblockUserPayload(Payload):
    user: UserRecord | None = shown(User, "The user, as it is now; null if they have blocked the viewer.")


@payload
class MuteUserPayload(_UserPayload): ...


@payload
class UnmuteUserPayload(_UserPayload): ...


@payload
class MarkNotificationsSeenPayload(_ViewerPayload): ...


@payload
class MarkNotificationsReadPayload(_ViewerPayload): ...
