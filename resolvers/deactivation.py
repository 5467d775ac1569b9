"""Leaving for a while, and coming back by logging in."""

from bson import ObjectId

from datasources.accounts.session_tokens import session_id_of
from datasources.mongo import clock
from domain.errors import Refusal
from domain.limits import DEACTIVATION_PAUSE_HOURS
from domain.rate_limits import Action
from resolvers.fresh_proof import password_or_fresh_proof
from resolvers.root_fields import mutation
from schema.context import Context, Info
from schema.inputs import DeactivateAccountInput
from schema.payloads import Payload


async def _is_deactivated(context: Context) -> bool:
    """Whether the session of this request, or of its bad token, has deactivated its account, which is so still."""
    session_id = None if context.session is None else context.session.id
    if context.bad_token is not None:
        session_id = session_id_of(context.bad_token)
    if session_id is None:
        return False
    return await context.sources.account.deactivation.find_deactivated_in_session(session_id) is not None


@mutation(
    "Hides the viewer's account and everything of it from all others, and ends its sessions and access tokens, "
    "until somebody logs in to it again: then all else is back as it was. Meanwhile its handle and address stay "
    "taken, nobody can fetch its images, and counts that it is part of stay as they are. An account can be "
    f"deactivated once in {DEACTIVATION_PAUSE_HOURS} hours, and not while it is suspended. Sent again with the "
    "same token it answers as done.",
    answers_bad_token=_is_deactivated,
    while_suspended=True,  # as to who has not accepted the terms; the store refuses the suspended
    limited_as=Action.PROOF,
)
async def deactivate_account(info: Info, given: DeactivateAccountInput) -> Payload:
    if not await _is_deactivated(info.context):
        session_id = info.context.require_session().id
        try:
            viewer_id = await password_or_fresh_proof(info, given.password)
        except Refusal:
            if not await _is_deactivated(info.context):  # by a concurrent duplicate
                raise
        else:
            await _leave(info, viewer_id, session_id)
    info.context.session = None  # the rest of the operation is anonymous
    return Payload()


async def _leave(info: Info, viewer_id: ObjectId, session_id: ObjectId) -> None:
    sources = info.context.sources
    await sources.account.deactivation.deactivate(viewer_id, clock.now(), session_id=session_id)
    await sources.sessions.end_all(viewer_id)
    await sources.feed_states.note_absence(viewer_id, clock.now())
