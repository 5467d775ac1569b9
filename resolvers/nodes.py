"""Any object by its global id, one's own account, and people by handle."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import strawberry
from bson import ObjectId

from datasources.mongo import clock
from domain.errors import BadInput
from domain.ids import from_global_id
from domain.limits import NODES_MAX
from domain.moderation import TOLD
from domain.records.exports import ExportRecord
from domain.records.factors import IdentityRecord, PasskeyRecord
from domain.records.images import ImageRecord
from domain.records.moderation import CaseRecord, DecisionRecord
from domain.records.notifications import NotificationRecord
from domain.records.uploads import UploadRecord
from domain.records.users import AccessTokenRecord, SessionRecord, UserRecord
from resolvers.moderation import find_case, find_moderator
from resolvers.root_fields import query
from schema.context import Context, Info
from schema.field_metadata import bounded
from schema.node import Node
from schema.notification import NOTIFICATION_TYPES, type_name_of
from schema.user import User
from schema.viewer import SignedIn, Viewer, signed_in

AnyRecord = TypeVar("AnyRecord")
GlobalId = Annotated[strawberry.ID, strawberry.argument(description="Global id.")]


@query(Viewer | None, "The signed-in person; null without a valid token.")
def viewer(info: Info) -> SignedIn | None:
    return signed_in(info.context.session)


@query(User | None, "One user by handle.")
async def user(
    info: Info,
    username: Annotated[
        str,
        strawberry.argument(description="Handle in any case; spaces around it and one @ before it make no difference."),
    ],
) -> UserRecord | None:
    loaders = info.context.loaders
    user_id = await loaders.id_by_handle(username)
    return _note_visit(info.context, None if user_id is None else await loaders.visible_user_by_id.load(user_id))


@query(Node | None, "One object by global id; null where there is none or the viewer may not see it.")
async def node(info: Info, id: GlobalId) -> Any:
    return _note_visit(info.context, await _node(info.context, id))


@query(
    list[Node | None],
    "Several objects by global id, in the same order; null in the place of what is not one, is not there, or may not "
    "be seen.",
    max_items=NODES_MAX,
)
async def nodes(
    info: Info,
    ids: Annotated[list[strawberry.ID], strawberry.argument(**bounded("Global ids.", NODES_MAX))],
) -> list[Any]:
    if len(ids) > NODES_MAX:
        raise BadInput(f"At most {NODES_MAX} ids at once.")
    return list(await asyncio.gather(*(_node_if_any(info.context, global_id) for global_id in ids)))


def _note_visit(context: Context, record: AnyRecord) -> AnyRecord:
    """Notes for the viewer's own ranking that they looked at somebody's profile. Returns the record."""
    if isinstance(record, UserRecord) and context.viewer_id is not None:
        context.sources.visits.note(context.viewer_id, record.id, clock.now())
    return record


async def _node_if_any(context: Context, global_id: str) -> Any:
    """As `_node`, but None for a malformed id: it must not take away the answer for the other ids."""
    try:
        return await _node(context, global_id)
    except BadInput:
        return None


async def _node(context: Context, global_id: str) -> Any:
    type_name, object_id = from_global_id(global_id)
    find = _FINDERS.get(type_name)
    return None if find is None else await find(context, object_id)


async def _image(context: Context, image_id: ObjectId) -> ImageRecord | None:
    """An image by its upload: visible with its post, as an avatar, and to its uploader."""
    upload = await context.loaders.upload_by_id.load(image_id)
    if upload is None:
        return None
    post = await context.sources.publishing.of_upload(upload.owner_id, upload.id)
    shown = None if post is None else await context.loaders.visible_post_by_id.load(post.id)
    in_post = [image for image in shown.posted_images if image.id == image_id] if shown is not None else []
    if in_post:
        return in_post[0]
    owner = await context.loaders.visible_user_by_id.load(upload.owner_id)
    if owner is not None and owner.avatar is not None and owner.avatar.id == image_id:
        return owner.avatar
    return upload.image if upload.owner_id == context.viewer_id else None


async def _upload(context: Context, upload_id: ObjectId) -> UploadRecord | None:
    upload = await context.loaders.upload_by_id.load(upload_id)
    return upload if upload is not None and upload.owner_id == context.viewer_id else None


async def _session(context: Context, session_id: ObjectId) -> SessionRecord | None:
    session = await context.sources.sessions.by_id(session_id)
    return session if session is not None and session.user_id == context.viewer_id else None


async def _access_token(context: Context, token_id: ObjectId) -> AccessTokenRecord | None:
    token = await context.sources.access_tokens.by_id(token_id)
    return token if token is not None and token.user_id == context.viewer_id else None


async def _passkey(context: Context, passkey_id: ObjectId) -> PasskeyRecord | None:
    if context.viewer_id is None:
        return None
    factors = await context.sources.factors.stored.of_user(context.viewer_id)
    return next((passkey for passkey in factors.passkeys if passkey.id == passkey_id), None)


async def _export(context: Context, user_id: ObjectId) -> ExportRecord | None:
    """An export has its account's id."""
    return await context.sources.account.exports.find(user_id) if user_id == context.viewer_id else None


async def _linked_identity(context: Context, identity_id: ObjectId) -> IdentityRecord | None:
    if context.viewer_id is None:
        return None
    factors = await context.sources.factors.stored.of_user(context.viewer_id)
    return next((identity for identity in factors.identities if identity.id == identity_id), None)


async def _viewer(context: Context, user_id: ObjectId) -> SignedIn | None:
    return signed_in(context.session) if user_id == context.viewer_id else None


async def _decision(context: Context, decision_id: ObjectId) -> DecisionRecord | None:
    (decision,) = await context.sources.moderation.decisions.readable_by_ids([decision_id])
    is_told = decision is not None and decision.action in TOLD and decision.subject_id == context.viewer_id
    return decision if is_told else None


async def _case(context: Context, case_id: ObjectId) -> CaseRecord | None:
    return None if await find_moderator(context) is None else await find_case(context, case_id)


def _notification(type_name: str) -> Callable[[Context, ObjectId], Awaitable[NotificationRecord | None]]:
    async def find(context: Context, notification_id: ObjectId) -> NotificationRecord | None:
        notification = await context.loaders.notification_by_id.load(notification_id)
        if notification is None or type_name_of(notification) != type_name:
            return None
        (shown,) = await context.loaders.visible_notifications([notification])
        return shown

    return find


_FINDERS: dict[str, Callable[[Context, ObjectId], Awaitable[Any]]] = {
    "User": lambda context, user_id: context.loaders.visible_user_by_id.load(user_id),
    "Place": lambda context, place_id: context.loaders.place_by_id.load(place_id),
    "Post": lambda context, post_id: context.loaders.visible_post_by_id.load(post_id),
    "Comment": lambda context, comment_id: context.loaders.visible_comment_by_id.load(comment_id),
    "Hashtag": lambda context, topic_id: context.loaders.hashtag_by_id.load(topic_id),
    "Collection": lambda context, collection_id: context.loaders.visible_collection_by_id.load(collection_id),
    "Image": _image,
    "MediaUpload": _upload,
    "AccessToken": _access_token,
    "LinkedIdentity": _linked_identity,
    "Passkey": _passkey,
    "Session": _session,
    "Export": _export,
    "Viewer": _viewer,
    "Decision": _decision,
    "ModerationCase": _case,
    **{name: _notification(name) for name in NOTIFICATION_TYPES},
}
