"""Changing one's handle."""

from datasources.mongo import clock
from domain.errors import Refusal, UserErrorCode
from domain.limits import USERNAME_CHANGES_MAX, USERNAME_KEPT_DAYS
from domain.rate_limits import Action
from domain.usernames import checked_username, is_reserved
from resolvers.root_fields import mutation
from schema.context import Info
from schema.inputs import ChangeUsernameInput
from schema.payloads import UserPayload


def new_username(info: Info, typed: str) -> str:
    """The handle that is meant, which anybody may take. Raises Refusal."""
    username = checked_username(typed)
    if is_reserved(username, info.context.sources.settings.reserved_handles):
        raise Refusal(UserErrorCode.USERNAME_TAKEN, "This user name is not available.", field=["username"])
    return username


@mutation(
    f"Gives the viewer another handle. For {USERNAME_KEPT_DAYS} days the old one leads to the account too, by "
    "`user(username:)`, in mentions and at login. Nobody else can have it meanwhile; the viewer can take it back. A "
    f"handle can change {USERNAME_CHANGES_MAX} times in {USERNAME_KEPT_DAYS} days, not counting changes of case.",
    scope=None,
    limited_as=Action.EDIT,
)
async def change_username(info: Info, given: ChangeUsernameInput) -> UserPayload:
    viewer_id, username = info.context.require_viewer(), new_username(info, given.username)
    await info.context.sources.account.renaming.rename(viewer_id, username, clock.now())
    return UserPayload(user=await info.context.loaders.user_by_id.load(viewer_id))
