"""Fresh proof of who one is, for what matters most: a session that somebody left open, or stole, is not enough."""

from bson import ObjectId

from datasources.mongo import clock
from domain.errors import Refusal, UserErrorCode
from domain.limits import PROOF_FRESH
from domain.rate_limits import Action
from domain.records.users import SessionRecord
from resolvers.proofs import prove_by_code, prove_by_passkey, prove_by_password
from resolvers.root_fields import mutation
from schema.context import Info
from schema.sign_in_inputs import ConfirmIdentityInput
from schema.sign_in_payloads import ConfirmIdentityPayload

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


async def password_or_fresh_proof(info: Info, password: str | None) -> ObjectId:
    """The viewer, if this is their password, which is then a fresh proof; without one, if they have given one before.

    Raises Refusal.
    """
    if password is None:
        return (await require_fresh_proof(info)).user_id
    session = info.context.require_session()
    await prove_by_password(info, session.user_id, password)
    await info.context.sources.fresh_proofs.confirm(session.id, clock.now())
    return session.user_id


@mutation(
    "Proves again who the viewer is, which the session then knows for "
    f"{_MINUTES} minutes. Mutations that change how the account is entered, or end it, need that: they answer "
    "IDENTITY_NOT_CONFIRMED otherwise. Logging in counts as a proof.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def confirm_identity(info: Info, given: ConfirmIdentityInput) -> ConfirmIdentityPayload:
    session = info.context.require_session()
    match (given.password, given.one_time_code, given.passkey):
        case (str(password), None, None):
            await prove_by_password(info, session.user_id, password)
        case (None, str(code), None):
            await prove_by_code(info, session.user_id, code)
        case (None, None, str(answer)):
            await prove_by_passkey(info, answer, user_id=session.user_id, is_person_verified=False)
        case _:
            message = "Send one of password, oneTimeCode and passkey."
            raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["password"])
    now = clock.now()
    await info.context.sources.fresh_proofs.confirm(session.id, now)
    return ConfirmIdentityPayload(confirmed_until=now + PROOF_FRESH)
