"""What mutations answer: what is so now, or why it could not be done.

A payload holds records, and says beside each as which type of the API it is shown. Several mutations may share the
members of their payloads; each has a type of its own, in which `user_errors` comes last.
"""

from typing import Self, TypeVar

import strawberry
from strawberry.utils.str_converters import capitalize_first

from datasources.accounts.session_tokens import Tokens
from domain.errors import Refusal
from domain.limits import KNOWN_DEVICE_KEPT, USER_ERRORS_MAX
from domain.records.comments import CommentRecord
from domain.records.exports import ExportRecord
from domain.records.posts import PostRecord
from domain.records.saves import CollectionRecord
from domain.records.topics import HashtagRecord
from domain.records.uploads import UploadRecord
from domain.records.users import UserRecord
from schema.collection import Collection
from schema.comment import Comment
from schema.connection import CommentEdge, EdgeData
from schema.export import Export
from schema.fields import plain, shown
from schema.hashtag import Hashtag
from schema.post import Post
from schema.session import AuthTokens
from schema.upload import MediaUpload, UploadRequest
from schema.user import User
from schema.user_error import UserError, to_user_error
from schema.viewer import SignedIn, Viewer

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


def payload_type(mutation: str, members: type[AnyPayload]) -> type[AnyPayload]:
    """The type `LikePostPayload` for the mutation `likePost`, with the members of a class below."""
    made = type(f"{capitalize_first(mutation)}Payload", (members,), {})
    strawberry.type(made, description=f"Answer of {mutation}.")
    made.__strawberry_definition__.fields.sort(key=lambda field: field.python_name == "user_errors")  # type: ignore[attr-defined]
    return made


@strawberry.type
class SessionPayload(Payload):
    tokens: Tokens | None = shown(AuthTokens, "Tokens of the new session.")
    viewer: SignedIn | None = shown(Viewer, "The signed-in person.")
    device_token: str | None = plain(
        "Makes this device known. Send it with the next login here. It outlives the session, until that is "
        f"revoked from another device, the viewer logs out everywhere, or {KNOWN_DEVICE_KEPT.days} days pass without a "
        "login. Keep it as safe as the tokens.",
        default=None,
    )


@strawberry.type
class ViewerPayload(Payload):
    viewer: SignedIn | None = shown(Viewer, "The viewer, as it is now.")


@strawberry.type
class UserPayload(Payload):
    user: UserRecord | None = shown(User, "The user, as it is now.")


@strawberry.type
class PostPayload(Payload):
    post: PostRecord | None = shown(Post, "The post, as it is now.")


@strawberry.type
class HashtagPayload(Payload):
    hashtag: HashtagRecord | None = shown(Hashtag, "The hashtag, as it is now.")


@strawberry.type
class CommentPayload(Payload):
    comment: CommentRecord | None = shown(Comment, "The comment, as it is now.")


@strawberry.type
class DeleteAccountPayload(Payload):
    deleted_user_id: strawberry.ID | None = plain("The id that the account had.", default=None)


@strawberry.type
class RequestExportPayload(Payload):
    export: ExportRecord | None = shown(Export, "The export, as it is now.")


@strawberry.type
class CreateUploadPayload(Payload):
    upload: UploadRecord | None = shown(MediaUpload, "The upload.")
    request: UploadRequest | None = plain("How to send the file.", default=None)


@strawberry.type
class CancelUploadPayload(Payload):
    upload: UploadRecord | None = shown(MediaUpload, "The upload, as it is now.")


@strawberry.type
class UploadImagePayload(Payload):
    upload: UploadRecord | None = shown(MediaUpload, "The upload.")


@strawberry.type
class ShownPostPayload(Payload):
    post: PostRecord | None = shown(Post, "The post, as it is now; null if the viewer may not see it.")


@strawberry.type
class CollectionPayload(Payload):
    collection: CollectionRecord | None = shown(Collection, "The collection, as it is now.")


@strawberry.type
class DeleteCollectionPayload(Payload):
    deleted_collection_id: strawberry.ID | None = plain("Its id.", default=None)


@strawberry.type
class DeletePostPayload(Payload):
    deleted_post_id: strawberry.ID | None = plain("Its id.", default=None)


@strawberry.type
class AddCommentPayload(Payload):
    comment_edge: EdgeData | None = shown(CommentEdge, "The new comment.")
    post: PostRecord | None = shown(Post, "The post, as it is now.")


@strawberry.type
class DeleteCommentPayload(Payload):
    deleted_comment_id: strawberry.ID | None = plain("Its id.", default=None)
    post: PostRecord | None = shown(Post, "The post, as it is now; null if the viewer may not see it.")


@strawberry.type
class UnblockUserPayload(Payload):
    user: UserRecord | None = shown(User, "The user, as it is now; null if they have blocked the viewer.")
