"""What mutations are given."""

import strawberry

from schema.enums import SourceFormat
from schema.fields import plain
from schema.scalars import Upload

_KEY = "Send the same key to retry safely; kept 24 hours."
_CLIENT = "What the client calls itself."


@strawberry.input(description="A person tagged in an image.")
class TaggedUserInput:
    user_id: strawberry.ID = plain("Who.")
    x: float = plain("Horizontal position, 0 to 1 from the left.")
    y: float = plain("Vertical position, 0 to 1 from the top.")


@strawberry.input(description="One image of a new post.")
class PostImageInput:
    upload_id: strawberry.ID = plain("An upload of the viewer's, sent or being sent.")
    alt_text: str | None = plain("Description for people who cannot see it; at most 1,000 characters.", default=None)
    tagged_users: list[TaggedUserInput] | None = plain("People in it; at most 20.", default=None)


@strawberry.input(description="A place.")
class LocationInput:
    name: str = plain("Its name; at most 100 characters.")
    latitude: float | None = plain("Degrees north.", default=None)
    longitude: float | None = plain("Degrees east.", default=None)


@strawberry.input(description="Input of register.")
class RegisterInput:
    username: str = plain("3 to 30 letters, digits, dots and underscores.")
    email: str = plain("Address.")
    password: str = plain("12 to 128 characters.")
    display_name: str | None = plain("Name to show; the handle when left out.", default=None)
    client_name: str | None = plain(_CLIENT, default=None)


@strawberry.input(description="Input of login.")
class LoginInput:
    login: str = plain("Handle or address.")
    password: str = plain("Password.")
    client_name: str | None = plain(_CLIENT, default=None)


@strawberry.input(description="Input of refreshSession.")
class RefreshSessionInput:
    refresh_token: str = plain(
        "The current refresh token. This spends it; for a minute the same token gets the same answer again."
    )


@strawberry.input(description="Input of logout.")
class LogoutInput:
    everywhere: bool | None = plain("End all the viewer's sessions.", default=False)


@strawberry.input(description="Input of revokeSession.")
class RevokeSessionInput:
    session_id: strawberry.ID = plain("The session.")


@strawberry.input(description="Input of deleteAccount.")
class DeleteAccountInput:
    password: str = plain("The viewer's password.")


@strawberry.input(description="Input of updateProfile.")
class UpdateProfileInput:
    display_name: str | None = plain("New name.", default=None)
    biography: str | None = plain("New text; empty clears it.", default=None)
    website: str | None = plain("New website; empty clears it.", default=None)
    avatar_upload_id: strawberry.ID | None = plain("A ready upload of the viewer's.", default=None)
    is_private: bool | None = plain("Whether only accepted followers see posts.", default=None)


@strawberry.input(description="Input of createUpload.")
class CreateUploadInput:
    format: SourceFormat = plain("Its format.")
    byte_size: int = plain("Its exact size.")
    sha256: str = plain("SHA-256 of its bytes, base64.")
    idempotency_key: strawberry.ID | None = plain(_KEY, default=None)


@strawberry.input(description="Input of uploadImage.")
class UploadImageInput:
    file: Upload = plain("The file.")
    idempotency_key: strawberry.ID | None = plain(_KEY, default=None)


@strawberry.input(description="Input of createPost.")
class CreatePostInput:
    images: list[PostImageInput] = plain("1 to 10 images, in order.")
    caption: str | None = plain("At most 2,200 characters, 30 hashtags.", default="")
    location: LocationInput | None = plain("Where it was taken.", default=None)
    comments_enabled: bool | None = plain("Whether others may comment.", default=True)
    idempotency_key: strawberry.ID | None = plain(_KEY, default=None)


@strawberry.input(description="Input of updatePost.")
class UpdatePostInput:
    post_id: strawberry.ID = plain("The post.")
    caption: str | None = plain("New caption.", default=None)
    location: LocationInput | None = plain("New place.", default=None)
    comments_enabled: bool | None = plain("Whether others may comment.", default=None)


@strawberry.input(description="Input of deletePost.")
class DeletePostInput:
    post_id: strawberry.ID = plain("The post.")


@strawberry.input(description="Input of likePost.")
class LikePostInput:
    post_id: strawberry.ID = plain("The post.")


@strawberry.input(description="Input of unlikePost.")
class UnlikePostInput:
    post_id: strawberry.ID = plain("The post.")


@strawberry.input(description="Input of addComment.")
class AddCommentInput:
    post_id: strawberry.ID = plain("The post.")
    parent_id: strawberry.ID | None = plain("The comment to reply to.", default=None)
    text: str = plain("1 to 2,200 characters.")
    idempotency_key: strawberry.ID | None = plain(_KEY, default=None)


@strawberry.input(description="Input of deleteComment.")
class DeleteCommentInput:
    comment_id: strawberry.ID = plain("The comment.")


@strawberry.input(description="Input of likeComment.")
class LikeCommentInput:
    comment_id: strawberry.ID = plain("The comment.")


@strawberry.input(description="Input of unlikeComment.")
class UnlikeCommentInput:
    comment_id: strawberry.ID = plain("The comment.")


@strawberry.input(description="Input of followUser.")
class FollowUserInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of unfollowUser.")
class UnfollowUserInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of acceptFollowRequest.")
class AcceptFollowRequestInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of declineFollowRequest.")
class DeclineFollowRequestInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of removeFollower.")
class RemoveFollowerInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of blockUser.")
class BlockUserInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of unblockUser.")
class UnblockUserInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of muteUser.")
class MuteUserInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of unmuteUser.")
class UnmuteUserInput:
    user_id: strawberry.ID = plain("The user.")


@strawberry.input(description="Input of markNotificationsSeen.")
class MarkNotificationsSeenInput:
    up_to_seq: int = plain("The highest seq shown.")


@strawberry.input(description="Input of markNotificationsRead.")
class MarkNotificationsReadInput:
    notification_ids: list[strawberry.ID] | None = plain("These ones.", default=None)
    up_to_seq: int | None = plain("All up to this seq.", default=None)
