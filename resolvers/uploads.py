"""Uploads: announcing a file, sending one through the API, and cancelling."""

import base64

import strawberry
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from datasources.media.source_formats import check_taken, formats_taken
from datasources.mongo import clock
from domain import limits
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.records.uploads import UploadRecord, UploadStatus
from resolvers.root_fields import mutation, query
from resolvers.transport.admission import lend_place
from schema.context import Info
from schema.payloads import CancelUploadPayload, CreateUploadPayload, UploadImagePayload
from schema.post_inputs import CancelUploadInput, CreateUploadInput, UploadImageInput
from schema.scalars import Url
from schema.upload import HttpHeader, UploadLimits, UploadRequest


@query(UploadLimits | None, "What may be uploaded.")
def upload_limits() -> UploadLimits:
    return UploadLimits(
        max_bytes=limits.MAX_IMAGE_BYTES,
        max_pixels=limits.MAX_IMAGE_PIXELS,
        max_frames=limits.MAX_IMAGE_FRAMES,
        formats=list(formats_taken()),
        max_images_per_post=limits.IMAGES_PER_POST,
        images_per_day=limits.IMAGES_PER_DAY,
        images_per_month=limits.IMAGES_PER_MONTH,
    )


@mutation(
    "Announces a file and gets a request to send it straight to storage; reserves quota. An account announces at most "
    f"{limits.UPLOADS_PER_HOUR} uploads an hour, cancelled and failed ones too; then it is QUOTA_EXCEEDED with "
    "`retryAfterMs`.",
)
async def create_upload(info: Info, given: CreateUploadInput) -> CreateUploadPayload:
    viewer_id = info.context.require_viewer()
    check_taken(given.format, field=["format"])
    if given.byte_size < 1:
        raise Refusal(UserErrorCode.INVALID_INPUT, "A file has at least one byte.", field=["byteSize"])
    if given.byte_size > limits.MAX_IMAGE_BYTES:
        message = f"An image has at most {limits.MAX_IMAGE_MIB} MiB."
        raise Refusal(UserErrorCode.IMAGE_TOO_LARGE, message, field=["byteSize"])
    _check_sha256(given.sha256)
    idempotency = Idempotency.of(given.idempotency_key, "createUpload", strawberry.asdict(given))
    upload = await info.context.sources.uploads.announce(
        viewer_id, given.format, given.byte_size, given.sha256, clock.now(), idempotency
    )
    return CreateUploadPayload(upload=upload, request=await _request(info, upload))


@mutation("Sends a file in this request, for clients that cannot PUT; reserves quota.")
async def upload_image(info: Info, given: UploadImageInput) -> UploadImagePayload:
    viewer_id = info.context.require_viewer()
    idempotency = Idempotency.of(given.idempotency_key, "uploadImage", {})  # the file is compared after it arrived
    async with lend_place():  # a file may take a minute to come; how many come at once is bounded elsewhere
        upload = await info.context.sources.intake.take(viewer_id, given.file, idempotency)
    return UploadImagePayload(upload=upload)


@mutation(
    "Ends an upload whose file has not come and gives its place in the quota back; one that has ended stays as it is.",
    while_suspended=True,
)
async def cancel_upload(info: Info, given: CancelUploadInput) -> CancelUploadPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    upload_id = expect_id(given.upload_id, "MediaUpload")
    upload = await _own(info, viewer_id, upload_id)
    if upload.status is UploadStatus.AWAITING_BYTES:
        post = await sources.publishing.of_upload(viewer_id, upload.id)
        if post is not None and not post.deleted:
            message = "This upload belongs to a post; delete that instead."
            raise Refusal(UserErrorCode.UPLOAD_USED, message, field=["uploadId"])
        await sources.uploads.cancel(upload.id)
        await sources.publishing.enqueue_for_upload(viewer_id, upload.id)  # a post may have been created meanwhile
        upload = await _own(info, viewer_id, upload_id)
    if upload.status in (UploadStatus.PROCESSING, UploadStatus.READY):
        message = "The file is here already, so this counts as one of today's images."
        raise Refusal(UserErrorCode.NOT_ALLOWED, message, field=["uploadId"])
    return CancelUploadPayload(upload=upload)


async def _own(info: Info, viewer_id: ObjectId, upload_id: ObjectId | None) -> UploadRecord:
    """Raises NotFound for what is not an upload of the viewer's."""
    (upload,) = await info.context.sources.uploads.by_ids([upload_id]) if upload_id else (None,)
    if upload is None or upload.owner_id != viewer_id:
        raise NotFound("upload", field=["uploadId"])
    return upload


async def _request(info: Info, upload: UploadRecord) -> UploadRequest | None:
    """How to send the file; None if it is too late, or done."""
    seconds = int((upload.expires_at - clock.now()).total_seconds())
    if upload.status is not UploadStatus.AWAITING_BYTES or seconds <= 0:
        return None
    url, headers = await info.context.sources.blobs.presign_put(
        upload.key,
        byte_size=upload.byte_size,
        media_type=upload.format.media_type,
        sha256_base64=upload.sha256,
        expires_in=seconds,
    )
    return UploadRequest(
        method="PUT",
        url=Url(url),
        headers=[HttpHeader(name=name, value=value) for name, value in headers.items()],
        expires_at=upload.expires_at,
    )


def _check_sha256(text: str) -> None:
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != limits.SHA256_BYTES:
        message = "This is the SHA-256 of the file's bytes, in base64."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["sha256"])
