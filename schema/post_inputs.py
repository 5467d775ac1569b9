"""The inputs of mutations about uploads, posts, comments and hashtags."""

import strawberry

from domain import limits
from schema.enums import SourceFormat
from schema.fields import plain
from schema.inputs import KEY
from schema.scalars import Upload
from schema.text_fields import text_field


@strawberry.input(description="A person tagged in an image.")
class TaggedUserInput:
    user_id: strawberry.ID = plain("Who.")
    x: float = plain("Horizontal position, 0 to 1 from the left.")
    y: float = plain("Vertical position, 0 to 1 from the top.")


@strawberry.input(description="One image of a new post.")
class PostImageInput:
    upload_id: strawberry.ID = plain("An upload of the viewer's, sent or being sent.")
    alt_text: str | None = text_field(
        "Description for people who cannot see it.", max_length=limits.ALT_TEXT_MAX, default=None
    )
    tagged_users: list[TaggedUserInput] | None = plain("People in it.", default=None, max_items=limits.TAGS_PER_IMAGE)


@strawberry.input(description="A place.")
class LocationInput:
    name: str = text_field("Its name, on one line.", max_length=limits.LOCATION_NAME_MAX)
    latitude: float | None = plain("Degrees north.", default=None)
    longitude: float | None = plain("Degrees east.", default=None)


@strawberry.input
class CreateUploadInput:
    format: SourceFormat = plain("Its format.")
    byte_size: int = plain("Its exact size.")
    sha256: str = text_field("SHA-256 of its bytes, base64.", max_length=limits.SHA256_BASE64_MAX)
    idempotency_key: strawberry.ID | None = plain(KEY, default=None)


@strawberry.input
class CancelUploadInput:
    upload_id: strawberry.ID = plain("An upload of the viewer's.")


@strawberry.input
class UploadImageInput:
    file: Upload = plain("The file.")
    idempotency_key: strawberry.ID | None = plain(KEY, default=None)


@strawberry.input
class CreatePostInput:
    images: list[PostImageInput] = plain("Its images, in order; at least 1.", max_items=limits.IMAGES_PER_POST)
    caption: str | None = text_field(
        f"Its words, with at most {limits.HASHTAGS_MAX} hashtags.", max_length=limits.CAPTION_MAX, default=""
    )
    location: LocationInput | None = plain("Where it was taken.", default=None)
    comments_enabled: bool | None = plain("Whether others may comment.", default=True)
    idempotency_key: strawberry.ID | None = plain(KEY, default=None)


@strawberry.input
class UpdatePostInput:
    post_id: strawberry.ID = plain("The post.")
    caption: str | None = text_field(
        "New caption; null or empty clears it.", max_length=limits.CAPTION_MAX, default=strawberry.UNSET
    )
    location: LocationInput | None = plain("New place; null takes it away.", default=strawberry.UNSET)
    comments_enabled: bool | None = plain(
        "Whether others may comment. It cannot be cleared: null is refused.", default=strawberry.UNSET
    )


@strawberry.input
class PostIdInput:
    post_id: strawberry.ID = plain("The post.")


@strawberry.input
class AddCommentInput:
    post_id: strawberry.ID = plain("The post.")
    parent_id: strawberry.ID | None = plain("The comment to reply to.", default=None)
    text: str = text_field("Its words, at least one character that can be seen.", max_length=limits.COMMENT_MAX)
    idempotency_key: strawberry.ID | None = plain(KEY, default=None)


@strawberry.input
class CommentIdInput:
    comment_id: strawberry.ID = plain("The comment.")


@strawberry.input
class HashtagInput:
    name: str = text_field("Its name, in any case, with or without the #.", max_length=limits.HASHTAG_MAX + 1)
