"""Fresh proof of who one is, for what matters most: a session that somebody left open, or stole, is not enough."""

from datasources.mongo import clock
from domain.errors import Refusal, UserErrorCode
from domain.limits import PROOF_FRESH
from domain.rate_limits import Action
from domain.records.users import SessionRecord
from resolvers.fair_password_checks import is_password_right
from resolvers.root_fields import mutation
from schema.context import Info
from schema.payloads import ConfirmIdentityPayload
from schema.sign_in_inputs import ConfirmIdentityInput

_MINUTES = PROOF_FRESH.seconds // 60


async def require_fresh_proof(info: Info) -> SessionRecord:
    """The viewer's session, if they have proved who they are in it within `PROOF_FRESH`, or opened it since.

    Raises Unauthenticated, and Refusal (IDENTITY_NOT_CONFIRMED). A personal access token never proves anything. What is
    stored decides, not what a socket knew when it was opened.
    """
    session = info.context.require_session()
    if session.scopes is None and await info.context.sources.fresh_proofs.is_fresh(session.id, clock.now()):
        return session
    message = f"This needs a proof of who you are that is at most {_MINUTES} minutes old: send confirmIdentity first."
    raise Refusal(UserErrorCode.IDENTITY_NOT_CONFIRMED, message)


@mutation(
    "Proves again who the viewer is, which the session then knows for "
    f"{_MINUTES} minutes. Mutations that change how the account is entered, or end it, need that: they answer "
    "IDENTITY_NOT_CONFIRMED otherwise. Logging in counts as a proof.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def confirm_identity(info: Info, given: ConfirmIdentityInput) -> ConfirmIdentityPayload:
    session, sources = info.context.require_session(), info.context.sources
    password_hash = await sources.users.password_hash(session.user_id)
    if not await is_password_right(info, password_hash, given.password, session.user_id):
        raise Refusal(UserErrorCode.INVALID_CREDENTIALS, "The password is wrong.", field=["password"])
    now = clock.now()
    await sources.fresh_proofs.confirm(session.id, now)
    return ConfirmIdentityPayload(confirmed_until=now + PROOF_FRESH)
