"""Uploads, what may be uploaded, and how much of it."""

from datetime import datetime

import strawberry

from domain import limits
from domain.records.uploads import UploadRecord
from schema.enums import SourceFormat, UploadStatus
from schema.fields import computed, plain
from schema.image import Image
from schema.node import Node, presents
from schema.scalars import Url
from schema.user_error import UserError, failure_field


@strawberry.type(description="The image quota of an account; images count, not posts.")
class UploadQuota:
    """Presents a `QuotaUse`."""

    used_today: int = plain("Images reserved or used today (UTC).")
    remaining_today: int = plain("Images left today.")
    used_this_month: int = plain("Images reserved or used this month (UTC).")
    remaining_this_month: int = plain("Images left this month.")
    resets_at: datetime = plain("When today's count starts again, or the month's if that is used up.")


@strawberry.type(description="What may be uploaded.")
class UploadLimits:
    """What `domain.limits` promises and this installation can read."""

    max_bytes: int = plain("Largest file in bytes.")
    max_pixels: int = plain(
        f"Largest width times height; WEBP and AVIF have at most {limits.MAX_WEB_PIXELS:,}, animations fewer."
    )
    max_frames: int = plain("Most frames of an animation.")
    formats: list[SourceFormat] = plain(
        "Formats taken here; HEIC is not among them everywhere.", max_items=len(SourceFormat)
    )
    max_images_per_post: int = plain("Most images in one post.")
    images_per_day: int = plain("Most images of one account on one day (UTC).")
    images_per_month: int = plain("Most images of one account in one month (UTC).")


@strawberry.type(description="A file on its way to becoming an image.")
class MediaUpload(Node):
    is_type_of = presents(UploadRecord)

    status: UploadStatus = plain("Where it is in its life.")

    @computed(UploadStatus, "The same as `status`, for a query that asks `Post.status`, of another type, beside it.")
    def upload_status(root: strawberry.Parent[UploadRecord]) -> UploadStatus:
        return root.status

    image: Image | None = plain("The image, once it is ready.")
    failure: UserError | None = failure_field("Why it was refused, if it was.")
    expires_at: datetime = plain("When it expires if nothing more happens.")


@strawberry.type(description="A header to send.")
class HttpHeader:
    name: str = plain("Its name.")
    value: str = plain("Its value.")


@strawberry.type(description="How to send the file: one HTTP request, straight to storage.")
class UploadRequest:
    method: str = plain("HTTP method.")
    url: Url = plain("Where to.")
    headers: list[HttpHeader] = plain("Headers that must be sent as they are.", max_items=limits.UPLOAD_HEADERS_MAX)
    expires_at: datetime = plain("Until when it is good.")
