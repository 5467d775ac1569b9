"""The viewer's own profile."""

from typing import Any

from strawberry import UNSET

from domain.errors import NotFound
from domain.ids import expect_id
from domain.languages import checked_language
from domain.limits import TURNS_TO_PUBLIC_PER_DAY
from domain.rate_limits import Action
from domain.records.images import ImageRecord
from domain.text import checked_biography, checked_display_name, checked_website
from resolvers.rate_limits import count_use
from resolvers.root_fields import mutation, not_cleared
from resolvers.spam import count_words
from schema.context import Info
from schema.inputs import UpdatePreferencesInput, UpdateProfileInput
from schema.payloads import UserPayload, ViewerPayload
from schema.viewer import signed_in


@mutation(
    "Changes what others see of the viewer, and the language of mails. A member that is left out stays as it "
    "is; null clears it.",
)
async def update_profile(info: Info, given: UpdateProfileInput) -> UserPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    changes: dict[str, Any] = {}
    if given.display_name is not UNSET:
        changes["display_name"] = await _display_name(info, given.display_name)
    if given.biography is not UNSET:
        changes["biography"] = checked_biography(given.biography or "")
    if given.website is not UNSET:
        changes["website"] = checked_website(given.website or "")
    if given.is_private is not UNSET:
        changes["is_private"] = not_cleared(given.is_private, "isPrivate")
    if given.language is not UNSET:
        changes["language"] = checked_language(given.language)
    words = [changes[name] for name in ("display_name", "biography", "website") if changes.get(name)]
    await count_words(info, Action.EDIT, " ".join(words))
    if given.avatar_upload_id is not UNSET:
        changes["avatar"] = await _avatar(info, given.avatar_upload_id)  # takes it: after all that may refuse
    if not changes:
        return UserPayload(user=await info.context.loaders.user_by_id.load(viewer_id))
    user = await sources.users.update_profile(viewer_id, changes, turns_to_public=TURNS_TO_PUBLIC_PER_DAY)
    return UserPayload(user=user)


async def _display_name(info: Info, name: str | None) -> str:
    """The name to show: the handle for null."""
    if name is not None:
        return checked_display_name(name)
    user = await info.context.loaders.user_by_id.load(info.context.require_viewer())
    return "" if user is None else user.username


async def _avatar(info: Info, global_id: str | None) -> ImageRecord | None:
    if global_id is None:
        return None
    upload_id = expect_id(global_id, "MediaUpload")
    if upload_id is not None:
        upload = await info.context.sources.uploads.take_as_avatar(upload_id, info.context.require_viewer())
        if upload is not None and upload.image is not None:
            return upload.image
    raise NotFound("ready upload of yours", field=["avatarUploadId"])


@mutation("Changes what the viewer prefers. A member that is left out stays as it is.", while_suspended=True)
async def update_preferences(info: Info, given: UpdatePreferencesInput) -> ViewerPayload:
    viewer_id, preferences = info.context.require_viewer(), info.context.sources.account.preferences
    sensitive = None if given.sensitive_content is UNSET else not_cleared(given.sensitive_content, "sensitiveContent")
    approves = None if given.approves_tags is UNSET else not_cleared(given.approves_tags, "approvesTags")
    is_in_search = None if given.is_in_search is UNSET else not_cleared(given.is_in_search, "isInSearch")
    suggested = given.shows_suggested_posts
    suggests = None if suggested is UNSET else not_cleared(suggested, "showsSuggestedPosts")
    if sensitive is not None:
        await preferences.set_sensitive_content(viewer_id, sensitive)
    if approves is not None:
        await preferences.set_approves_tags(viewer_id, approves)
    if is_in_search is not None and is_in_search != await preferences.is_in_search(viewer_id):
        await count_use(info, Action.EDIT)  # each change has all posts of the account listed anew
        await preferences.set_in_search(viewer_id, is_in_search)
    if suggests is not None:
        await preferences.set_shows_suggested_posts(viewer_id, suggests)
    return ViewerPayload(viewer=signed_in(info.context.session))
