"""Passkeys: registered and removed by who has just proved who they are, and used to log in without a password."""

from datetime import datetime

from datasources.accounts.challenges import Purpose
from datasources.mongo import clock
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import PASSKEY_CHALLENGE, PASSKEY_NAME_MAX
from domain.rate_limits import Action
from domain.records.factors import PasskeyRecord
from domain.text import checked_line
from resolvers.fresh_proof import password_or_fresh_proof, require_fresh_proof
from resolvers.proofs import prove_by_passkey
from resolvers.rate_limits import count_use
from resolvers.root_fields import always, mutation
from resolvers.second_factor import read_login_challenge
from resolvers.sign_in import device_of, known_device, sign_in
from schema.context import Info
from schema.payloads import SessionPayload, ViewerPayload
from schema.sign_in_inputs import (
    BeginPasskeyLoginInput,
    ConfirmPasskeyInput,
    LoginWithPasskeyInput,
    PasswordInput,
    RemovePasskeyInput,
)
from schema.sign_in_payloads import ConfirmPasskeyPayload, PasskeyOptionsPayload
from schema.viewer import signed_in

_MINUTES = PASSKEY_CHALLENGE.seconds // 60


@mutation(
    "Begins to add a passkey: answers the options with which a browser or phone makes it, within "
    f"{_MINUTES} minutes. Needs a fresh proof (confirmIdentity), or the password.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def begin_passkey(info: Info, given: PasswordInput) -> PasskeyOptionsPayload:
    user_id, sources = await password_or_fresh_proof(info, given.password), info.context.sources
    known = (await sources.factors.stored.of_user(user_id)).passkeys
    (user,) = await sources.users.by_ids([user_id])
    if user is None:
        raise NotFound("account")
    challenge, expires_at = _challenge(info, Purpose.PASSKEY_REGISTRATION, user_id.binary)
    ceremonies = sources.factors.ceremonies
    options = ceremonies.creation_options(user_id, user.username, user.display_name, known, challenge)
    return PasskeyOptionsPayload(options=options, expires_at=expires_at)


@mutation(
    "Adds the passkey that a browser or phone has made with the options of beginPasskey. Needs a fresh proof.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def confirm_passkey(info: Info, given: ConfirmPasskeyInput) -> ConfirmPasskeyPayload:
    name, now = _name(given.name), clock.now()
    session, stores = await require_fresh_proof(info), info.context.sources.factors
    claimed = stores.ceremonies.claimed(given.passkey)
    subject = claimed and stores.challenges.subject(claimed.challenge, Purpose.PASSKEY_REGISTRATION, now)
    if claimed is None or subject != session.user_id.binary:
        raise _not_accepted()
    new = stores.ceremonies.verify_creation(given.passkey, claimed.challenge)
    if new is None or not await stores.challenges.spend(claimed.challenge, lifetime=PASSKEY_CHALLENGE, now=now):
        raise _not_accepted()
    passkey = PasskeyRecord(
        id=clock.new_id(),
        name=name,
        credential_id=new.credential_id,
        public_key=new.public_key,
        sign_count=new.sign_count,
        transports=new.transports,
        is_backed_up=new.is_backed_up,
        created_at=now,
        last_used_at=now,
    )
    await stores.stored.add_passkey(session.user_id, passkey)
    return ConfirmPasskeyPayload(passkey=passkey, viewer=signed_in(session))


@mutation(
    "Removes one of the viewer's passkeys. Needs a fresh proof (confirmIdentity).", scope=None, while_suspended=True
)
async def remove_passkey(info: Info, given: RemovePasskeyInput) -> ViewerPayload:
    session = await require_fresh_proof(info)
    passkey_id = expect_id(given.passkey_id, "Passkey")
    if passkey_id is None or not await info.context.sources.factors.stored.remove_passkey(session.user_id, passkey_id):
        raise NotFound("passkey", field=["passkeyId"])
    return ViewerPayload(viewer=signed_in(session))


@mutation(
    "Answers the options with which a browser or phone uses a passkey, within "
    f"{_MINUTES} minutes, for loginWithPasskey, completeLogin or confirmIdentity. It asks for no name, and so tells "
    "nobody who has passkeys; with the challenge of a login, or signed in, it names those of that account.",
    answers_bad_token=always,
    while_suspended=True,
)
async def begin_passkey_login(info: Info, given: BeginPasskeyLoginInput) -> PasskeyOptionsPayload:
    stores, user_id, known = info.context.sources.factors, info.context.viewer_id, list[PasskeyRecord]()
    if given.challenge is not None:
        _, account = await read_login_challenge(info, given.challenge)
        user_id = account.user_id
    if user_id is not None:
        known = (await stores.stored.of_user(user_id)).passkeys
    challenge, expires_at = _challenge(info, Purpose.PASSKEY, b"")
    return PasskeyOptionsPayload(options=stores.ceremonies.request_options(known, challenge), expires_at=expires_at)


@mutation(
    "Opens a session by a passkey alone, which has asked for a PIN, a finger or a face: it is both factors in one.",
    answers_bad_token=always,
    while_suspended=True,
)
async def login_with_passkey(info: Info, given: LoginWithPasskeyInput) -> SessionPayload:
    device_of(info, given)  # refuses a bad name of the client before the challenge is spent
    use = await count_use(info, Action.PROOF)
    user_id = await prove_by_passkey(info, given.passkey)
    await use.give_back()
    return await sign_in(info, user_id, given, known=await known_device(info, user_id, given))


def _challenge(info: Info, purpose: Purpose, subject: bytes) -> tuple[bytes, datetime]:
    expires_at = clock.now() + PASSKEY_CHALLENGE
    return info.context.sources.factors.challenges.issue(purpose, subject, expires_at=expires_at), expires_at


def _name(name: str) -> str:
    return checked_line(name, "name", max_length=PASSKEY_NAME_MAX, min_length=1)


def _not_accepted() -> Refusal:
    message = "This passkey is not accepted: begin again."
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, message, field=["passkey"])
