"""Following, blocking, muting, dismissing: each verb says what should be so between the viewer and one other user."""

from bson import ObjectId

from datasources.mongo import clock
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import DISMISSALS_MAX
from domain.records.users import UserRecord
from resolvers.root_fields import mutation
from resolvers.spam import count_follow
from schema.context import Info
from schema.inputs import UserIdInput
from schema.payloads import UnblockUserPayload, UserPayload


async def _other(info: Info, global_id: str) -> UserRecord:
    """The other user. Raises NotFound where the viewer may not see them, Refusal for the viewer."""
    viewer_id, user_id = info.context.require_viewer(), expect_id(global_id, "User")
    if user_id == viewer_id:
        raise Refusal(UserErrorCode.INVALID_INPUT, "That is yourself.", field=["userId"])
    user = None if user_id is None else await info.context.loaders.visible_user_by_id.load(user_id)
    if user is None:
        raise NotFound("user", field=["userId"])
    return user


async def _user_now(info: Info, user_id: ObjectId) -> UserRecord | None:
    return await info.context.sources.read_your_writes.user(user_id, info.context.require_viewer())


@mutation("Ensures that the viewer follows the user, or has asked to.")
async def follow_user(info: Info, given: UserIdInput) -> UserPayload:
    await count_follow(info)
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    relation = await info.context.loaders.relation_by_user.load(user.id)
    if relation.has_blocked:
        raise Refusal(UserErrorCode.NOT_ALLOWED, "Unblock them first.", field=["userId"])
    await info.context.sources.follows.follow(viewer_id, user.id, is_private=user.is_private, now=clock.now())
    return UserPayload(user=await _user_now(info, user.id))


@mutation("Ensures that the viewer neither follows the user nor asks to.")
async def unfollow_user(info: Info, given: UserIdInput) -> UserPayload:
    await count_follow(info, is_unfollow=True)
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    await info.context.sources.follows.unfollow(viewer_id, user.id, now=clock.now())
    return UserPayload(user=await _user_now(info, user.id))


@mutation("Lets a user follow the viewer.")
async def accept_follow_request(info: Info, given: UserIdInput) -> UserPayload:
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    if not await info.context.sources.follows.accept(user.id, viewer_id, now=clock.now()):
        raise NotFound("request", field=["userId"])
    return UserPayload(user=await _user_now(info, user.id))


@mutation("Refuses a user's request.")
async def decline_follow_request(info: Info, given: UserIdInput) -> UserPayload:
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    await info.context.sources.follows.decline(user.id, viewer_id, now=clock.now())
    return UserPayload(user=await _user_now(info, user.id))


@mutation("Ends a user's following of the viewer.")
async def remove_follower(info: Info, given: UserIdInput) -> UserPayload:
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    await info.context.sources.follows.unfollow(user.id, viewer_id, now=clock.now())
    return UserPayload(user=await _user_now(info, user.id))


@mutation("Hides the viewer and the user from each other.")
async def block_user(info: Info, given: UserIdInput) -> UserPayload:
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    await info.context.sources.blocks.block(viewer_id, user.id, now=clock.now())
    return UserPayload(user=await _user_now(info, user.id))


@mutation(
    "Ends a block. If the user has blocked the viewer too, that block stands, and the answer shows no user.",
)
async def unblock_user(info: Info, given: UserIdInput) -> UnblockUserPayload:
    viewer_id, user_id = info.context.require_viewer(), expect_id(given.user_id, "User")
    if user_id is None or await info.context.loaders.blocked_user_by_id.load(user_id) is None:
        user_id = (await _other(info, given.user_id)).id
    await info.context.sources.blocks.unblock(viewer_id, user_id, now=clock.now())
    info.context.clear_loaders()
    shown = await info.context.loaders.visible_user_by_id.load(user_id)
    return UnblockUserPayload(user=None if shown is None else await _user_now(info, user_id))


@mutation("Keeps the user's posts and acts out of the viewer's feed and notifications.")
async def mute_user(info: Info, given: UserIdInput) -> UserPayload:
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    await info.context.sources.mutes.mute(viewer_id, user.id)
    return UserPayload(user=await _user_now(info, user.id))


@mutation("Ends a mute.")
async def unmute_user(info: Info, given: UserIdInput) -> UserPayload:
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    await info.context.sources.mutes.unmute(viewer_id, user.id)
    return UserPayload(user=await _user_now(info, user.id))


@mutation(
    "Ensures that the user is no more suggested to the viewer. The latest "
    f"{DISMISSALS_MAX:,} dismissed users are remembered."
)
async def dismiss_suggestion(info: Info, given: UserIdInput) -> UserPayload:
    user, viewer_id = await _other(info, given.user_id), info.context.require_viewer()
    await info.context.sources.discovery.dismissals.dismiss(viewer_id, user.id)
    return UserPayload(user=await _user_now(info, user.id))
