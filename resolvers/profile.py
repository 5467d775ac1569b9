"""The viewer's own profile."""

from typing import Any

from domain.errors import NotFound
from domain.ids import expect_id
from domain.records import ImageRecord
from domain.text import checked_biography, checked_display_name, checked_website
from resolvers.roots import Input, mutation
from schema.context import Info
from schema.inputs import UpdateProfileInput
from schema.payloads import Payload, UpdateProfilePayload


@mutation(UpdateProfilePayload, "Changes what others see of the viewer.")
async def update_profile(info: Info, given: Input[UpdateProfileInput]) -> Payload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    changes: dict[str, Any] = {}
    if given.display_name is not None:
        changes["display_name"] = checked_display_name(given.display_name)
    if given.biography is not None:
        changes["biography"] = checked_biography(given.biography)
    if given.website is not None:
        changes["website"] = checked_website(given.website)
    if given.is_private is not None:
        changes["is_private"] = given.is_private
    if given.avatar_upload_id is not None:
        changes["avatar"] = await _avatar(info, given.avatar_upload_id)
    if not changes:
        return Payload(user=await info.context.loaders.user_by_id.load(viewer_id))
    return Payload(user=await sources.users.update_profile(viewer_id, changes))


async def _avatar(info: Info, global_id: str) -> ImageRecord:
    upload_id = expect_id(global_id, "MediaUpload")
    if upload_id is not None:
        upload = await info.context.sources.uploads.take_as_avatar(upload_id, info.context.require_viewer())
        if upload is not None and upload.image is not None:
            return upload.image
    raise NotFound("ready upload of yours", field=["avatarUploadId"])
