"""Posts: creating, changing and deleting them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry
from bson import ObjectId
from strawberry import UNSET

from datasources.jobs.idempotency import Idempotency
from datasources.mongo import clock
from datasources.targets import PostTarget
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import (
    ALT_TEXT_MAX,
    CAPTION_MAX,
    IMAGES_PER_POST,
    LOCATION_NAME_MAX,
    MENTIONS_MAX,
    TAGS_PER_IMAGE,
)
from domain.places import EASTMOST, NORTHMOST
from domain.rate_limits import Action
from domain.records.images import TagRecord
from domain.records.posts import LocationRecord, PostDraft, PostImage, PostRecord
from domain.records.uploads import UploadStatus
from domain.text import checked_line, checked_text, checked_words, hashtags, mentions
from resolvers.root_fields import mutation, not_cleared, query
from resolvers.spam import count_words
from schema.context import Info
from schema.payloads import DeletePostPayload, PostPayload, ShownPostPayload
from schema.post import Post
from schema.post_inputs import CreatePostInput, LocationInput, PostIdInput, PostImageInput, UpdatePostInput
from schema.selections import asks_for


@query(Post | None, "One post by global id; null where there is none or the viewer may not see it.")
async def post(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Global id of a post.")]
) -> PostRecord | None:
    post_id = expect_id(id, "Post")
    return None if post_id is None else await info.context.loaders.visible_post_by_id.load(post_id)


async def visible_post(info: Info, global_id: str) -> PostTarget:
    """The post a mutation is about, and the viewer's acts that its answer shows. Raises NotFound where the viewer may
    not see it.
    """
    viewer_id, post_id = info.context.require_viewer(), expect_id(global_id, "Post")
    with_comments = asks_for(info, "commentCount", "previewComments")
    target = post_id and await info.context.sources.targets.post(post_id, viewer_id, with_comments=with_comments)
    if not target:
        raise NotFound("post", field=["postId"])
    return target


async def mentioned_ids(info: Info, text: str) -> list[ObjectId]:
    """The accounts that a text mentions, each once, in order; unknown handles are left out."""
    handles = mentions(text)[:MENTIONS_MAX]
    ids = await info.context.sources.users.ids_by_username(handles)
    return list(dict.fromkeys(ids[handle] for handle in handles if handle in ids))


@mutation("Makes a post from uploads; it becomes visible when its images are ready.")
async def create_post(info: Info, given: CreatePostInput) -> PostPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    idempotency = Idempotency.of(given.idempotency_key, "createPost", strawberry.asdict(given))
    earlier = await sources.publishing.created_earlier(viewer_id, idempotency)
    if earlier is not None:
        return _created(earlier)
    caption = checked_words(given.caption or "", "caption", max_length=CAPTION_MAX)
    tagged = sum(len(image.tagged_users or ()) for image in given.images)
    await count_words(info, Action.POST, caption, tagged=tagged)
    draft = PostDraft(
        images=[await _checked_image(info, image) for image in _checked_images(given.images)],
        caption=caption,
        hashtags=hashtags(caption),
        mention_ids=await mentioned_ids(info, caption),
        location=_checked_location(given.location),
        comments_enabled=given.comments_enabled is not False,
    )
    await _check_uploads(info, viewer_id, draft.images)
    created = await sources.publishing.create(viewer_id, draft, clock.now(), idempotency)
    await sources.uploads.check_now([image.upload_id for image in draft.images])
    return _created(created)


@mutation(
    "Changes a post. A member that is left out stays as it is; null clears it. People whom the caption newly mentions "
    "are notified; the notifications of people whom it no longer mentions are withdrawn.",
)
async def update_post(info: Info, given: UpdatePostInput) -> PostPayload:
    viewer_id = info.context.require_viewer()
    post = _own((await visible_post(info, given.post_id)).post, viewer_id)
    changes: dict[str, Any] = {}
    if given.caption is not UNSET:
        caption = checked_words(given.caption or "", "caption", max_length=CAPTION_MAX)
        await count_words(info, Action.EDIT, caption)
        changes["caption"], changes["hashtags"] = caption, hashtags(caption)
        changes["mention_ids"] = await mentioned_ids(info, caption)
    if given.location is not UNSET:
        changes["location"] = _checked_location(given.location)
    if given.comments_enabled is not UNSET:
        changes["comments_enabled"] = not_cleared(given.comments_enabled, "commentsEnabled")
    return PostPayload(post=await info.context.sources.posts.update(post.id, viewer_id, changes, clock.now()))


@mutation(
    "Removes the viewer's tags from all images of a post and withdraws the notification about them. It works even if "
    "the viewer may not see the post. Repeating it changes nothing.",
)
async def remove_tag(info: Info, given: PostIdInput) -> ShownPostPayload:
    return await _change_tags(info, given, info.context.sources.posts.untag)


@mutation(
    "Approves the viewer's tags in a post, so that others see them too. It works even if the viewer may not see the "
    "post. Repeating it changes nothing.",
)
async def approve_tag(info: Info, given: PostIdInput) -> ShownPostPayload:
    return await _change_tags(info, given, info.context.sources.posts.approve_tags)


async def _change_tags(
    info: Info, given: PostIdInput, change: Callable[[ObjectId, ObjectId, datetime], Awaitable[None]]
) -> ShownPostPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    post_id = expect_id(given.post_id, "Post")
    if post_id is None:
        raise NotFound("post", field=["postId"])
    await change(post_id, viewer_id, clock.now())
    shown = await info.context.loaders.visible_post_by_id.load(post_id)
    return ShownPostPayload(post=None if shown is None else await sources.read_your_writes.post(post_id, viewer_id))


@mutation(
    "Deletes a post and everything about it. Authors also use it to dismiss a post that FAILED.", while_suspended=True
)
async def delete_post(info: Info, given: PostIdInput) -> DeletePostPayload:
    viewer_id = info.context.require_viewer()
    post_id = expect_id(given.post_id, "Post")
    if post_id is None:
        raise NotFound("post", field=["postId"])
    post = await info.context.loaders.visible_post_by_id.load(post_id)
    if post is not None:  # else it may be deleted already, and deleting it again does no harm
        _own(post, viewer_id)
    await info.context.sources.posts.delete(post_id, viewer_id, clock.now())
    return DeletePostPayload(deleted_post_id=given.post_id)


def _created(post: PostRecord) -> PostPayload:
    """The answer with a new post. Raises NotFound if a repeated request made it and it was deleted since."""
    if post.deleted:
        raise NotFound("post", field=["idempotencyKey"])
    return PostPayload(post=post)


def _own(post: PostRecord, viewer_id: ObjectId) -> PostRecord:
    """The post, if it is the viewer's. Raises Refusal (NOT_ALLOWED) if not."""
    if post.author_id != viewer_id:
        raise Refusal(UserErrorCode.NOT_ALLOWED, "This is somebody else's post.", field=["postId"])
    return post


def _checked_images(images: Sequence[PostImageInput]) -> Sequence[PostImageInput]:
    if not 1 <= len(images) <= IMAGES_PER_POST:
        raise Refusal(UserErrorCode.INVALID_INPUT, f"A post has 1 to {IMAGES_PER_POST} images.", field=["images"])
    if len({image.upload_id for image in images}) < len(images):
        raise Refusal(UserErrorCode.UPLOAD_USED, "Each image is an upload of its own.", field=["images"])
    return images


async def _checked_image(info: Info, given: PostImageInput) -> PostImage:
    upload_id = expect_id(given.upload_id, "MediaUpload")
    if upload_id is None:
        raise NotFound("upload", field=["images", "uploadId"])
    alt_text = checked_text(given.alt_text or "", "images.altText", max_length=ALT_TEXT_MAX) or None
    return PostImage(upload_id=upload_id, alt_text=alt_text, tagged_users=await _checked_tags(info, given))


async def _checked_tags(info: Info, given: PostImageInput) -> list[TagRecord]:
    tags = given.tagged_users or []
    if len(tags) > TAGS_PER_IMAGE or not all(0 <= tag.x <= 1 and 0 <= tag.y <= 1 for tag in tags):
        message = f"At most {TAGS_PER_IMAGE} people are tagged in an image, at positions from 0 to 1."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["images", "taggedUsers"])
    ids = [expect_id(tag.user_id, "User") for tag in tags]
    known = await info.context.loaders.met_user_by_id.load_many([user_id for user_id in ids if user_id is not None])
    people = {user.id for user in known if user is not None}
    if not all(user_id in people for user_id in ids):
        raise NotFound("user", field=["images", "taggedUsers", "userId"])
    approving = await info.context.sources.account.preferences.approving_tags(sorted(people))
    approving.discard(info.context.require_viewer())
    return [
        TagRecord(user_id=user_id, x=tag.x, y=tag.y, is_pending=user_id in approving)
        for user_id, tag in zip(ids, tags, strict=True)
        if user_id is not None
    ]


def _checked_location(given: LocationInput | None) -> LocationRecord | None:
    if given is None:
        return None
    name = checked_line(given.name, "location.name", min_length=1, max_length=LOCATION_NAME_MAX)
    for field, other, value, limit in (
        ("latitude", given.longitude, given.latitude, NORTHMOST),
        ("longitude", given.latitude, given.longitude, EASTMOST),
    ):
        if value is None and other is not None:
            message = "A place has both a latitude and a longitude, or neither."
            raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["location", field])
        if value is not None and not abs(value) <= limit:
            message = f"A {field} is from -{limit} to {limit} degrees."
            raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["location", field])
    return LocationRecord(name=name, latitude=given.latitude, longitude=given.longitude)


async def _check_uploads(info: Info, viewer_id: ObjectId, images: Sequence[PostImage]) -> None:
    """Raises Refusal unless every upload is the viewer's own and can still become an image of a post."""
    uploads = await info.context.sources.uploads.readable_by_ids([image.upload_id for image in images])
    for upload in uploads:
        if upload is None or upload.owner_id != viewer_id:
            raise NotFound("upload", field=["images", "uploadId"])
        if upload.failure is not None:
            raise Refusal(upload.failure.code, upload.failure.message, field=["images", "uploadId"])
        if upload.status is UploadStatus.EXPIRED:
            message = "This upload was not finished in time; start another one."
            raise Refusal(UserErrorCode.UPLOAD_EXPIRED, message, field=["images", "uploadId"])
        if upload.used_as_avatar:
            message = "This upload is an avatar; a post needs one of its own."
            raise Refusal(UserErrorCode.UPLOAD_USED, message, field=["images", "uploadId"])
