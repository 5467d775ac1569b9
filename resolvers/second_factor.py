"""One-time codes as a second factor: turned on and off, and the second step of logging in by password."""

import base64
import hashlib
import hmac

from bson import ObjectId

from datasources.accounts.challenges import Purpose
from datasources.accounts.users import Credentials
from datasources.mongo import clock
from domain.errors import Refusal, UserErrorCode
from domain.limits import CODE_TRIES, CODE_TRIES_WINDOW, LOGIN_CHALLENGE, RECOVERY_CODES
from domain.one_time_codes import is_one_time_code, provisioning_url, typed_code
from domain.rate_limits import Action
from domain.records.factors import FactorsRecord, SecondFactorMethod
from resolvers.fresh_proof import password_or_fresh_proof, require_fresh_proof
from resolvers.proofs import prove_by_code, prove_by_passkey
from resolvers.rate_limits import count_use
from resolvers.root_fields import always, mutation
from resolvers.sign_in import device_of, known_device, sign_in
from schema.context import Info
from schema.payloads import SessionPayload, ViewerPayload
from schema.second_factor import SecondFactorStep
from schema.sign_in_inputs import (
    CompleteLoginInput,
    DisableSecondFactorInput,
    OneTimeCodeInput,
    PasswordInput,
)
from schema.sign_in_payloads import BeginSecondFactorPayload, LoginPayload, RecoveryCodesPayload
from schema.viewer import signed_in


@mutation(
    "Begins to set up one-time codes as a second factor: an authenticator app takes the secret, and "
    "confirmSecondFactor its first code. Begun again, it makes a new secret. Needs a fresh proof (confirmIdentity), or "
    "the password.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def begin_second_factor(info: Info, given: PasswordInput) -> BeginSecondFactorPayload:
    user_id, sources = await password_or_fresh_proof(info, given.password), info.context.sources
    secret = await sources.factors.one_time_codes.begin(user_id, clock.now())
    (user,) = await sources.users.by_ids([user_id])
    return BeginSecondFactorPayload(
        secret=secret, otpauth_url=provisioning_url(secret, "" if user is None else user.username)
    )


@mutation(
    f"Turns one-time codes on, by a code of the app. Answers {RECOVERY_CODES} recovery codes, which are shown this "
    "once: each stands for one code, for who has lost the app. From then on a login by password needs a code or a "
    "passkey. A client that lost the answer gets others by renewRecoveryCodes.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def confirm_second_factor(info: Info, given: OneTimeCodeInput) -> RecoveryCodesPayload:
    session = await require_fresh_proof(info)
    codes = await info.context.sources.factors.one_time_codes.confirm(session.user_id, given.one_time_code, clock.now())
    return RecoveryCodesPayload(recovery_codes=codes, viewer=signed_in(session))


@mutation(
    "Makes new recovery codes in place of the old ones, which are worth nothing from then on. Needs a code, and a "
    "fresh proof (confirmIdentity). A client that lost the answer asks again with the next code of the app: those that "
    "nobody has read end so.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def renew_recovery_codes(info: Info, given: OneTimeCodeInput) -> RecoveryCodesPayload:
    session = await require_fresh_proof(info)
    await prove_by_code(info, session.user_id, given.one_time_code)
    codes = await info.context.sources.factors.one_time_codes.renew_recovery_codes(session.user_id)
    return RecoveryCodesPayload(recovery_codes=codes, viewer=signed_in(session))


@mutation(
    "Turns one-time codes off, with their recovery codes. Needs a code, and a fresh proof (confirmIdentity) or the "
    "password.",
    scope=None,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def disable_second_factor(info: Info, given: DisableSecondFactorInput) -> ViewerPayload:
    user_id = await password_or_fresh_proof(info, given.password)
    await prove_by_code(info, user_id, given.one_time_code)
    await info.context.sources.factors.one_time_codes.turn_off(user_id)
    return ViewerPayload(viewer=signed_in(info.context.session))


async def second_step(info: Info, account: Credentials) -> LoginPayload | None:
    """What a login answers in place of a session, once the password was right; None if that is enough."""
    factors = await info.context.sources.factors.stored.of_user(account.user_id)
    if not factors.has_codes:
        return None
    refusal = Refusal(UserErrorCode.SECOND_FACTOR_REQUIRED, "A code or a passkey is needed: send completeLogin.")
    payload = LoginPayload.refused(refusal)
    payload.second_factor = _step(info, factors, _subject(account))
    return payload


def _subject(account: Credentials) -> bytes:
    """What a login's challenge is about: the account, and the password that was right."""
    return account.user_id.binary + hashlib.sha256(account.password_hash.encode()).digest()


def _step(info: Info, factors: FactorsRecord, subject: bytes) -> SecondFactorStep:
    expires_at = clock.now() + LOGIN_CHALLENGE
    challenge = info.context.sources.factors.challenges.issue(Purpose.SECOND_FACTOR, subject, expires_at=expires_at)
    methods = [SecondFactorMethod.ONE_TIME_CODE, SecondFactorMethod.RECOVERY_CODE]
    if factors.passkeys:
        methods.append(SecondFactorMethod.PASSKEY)
    text = base64.urlsafe_b64encode(challenge).decode()
    return SecondFactorStep(challenge=text, expires_at=expires_at, methods=methods)


@mutation(
    "The second step of a login that answered SECOND_FACTOR_REQUIRED: its challenge, with a one-time code, a recovery "
    f"code, or a passkey's answer to beginPasskeyLogin. An account's wrong codes are counted: after {CODE_TRIES} in "
    f"{CODE_TRIES_WINDOW.seconds // 3600} hour codes are RATE_LIMITED, and recovery codes and passkeys still work.",
    answers_bad_token=always,
    while_suspended=True,
)
async def complete_login(info: Info, given: CompleteLoginInput) -> SessionPayload:
    device_of(info, given)  # refuses a bad name of the client before a code is spent
    challenge, account = await read_login_challenge(info, given.challenge)
    user_id = account.user_id
    if (given.one_time_code is None) is (given.passkey is None):
        message = "Send either a code or a passkey's answer."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["oneTimeCode"])
    # Only what can be guessed counts to the account, so that guessers do not hold up its other factors.
    is_guessable = given.one_time_code is not None and is_one_time_code(typed_code(given.one_time_code))
    use = await count_use(info, Action.PROOF, name=str(user_id) if is_guessable else None)
    if given.one_time_code is not None:
        await prove_by_code(info, user_id, given.one_time_code)
    else:
        await prove_by_passkey(info, given.passkey or "", user_id=user_id, is_person_verified=False)
    if not await info.context.sources.factors.challenges.spend(challenge, lifetime=LOGIN_CHALLENGE, now=clock.now()):
        raise _bad_challenge()
    await use.give_back()
    known = await known_device(info, user_id, given)
    return await sign_in(info, user_id, given, known=known, checked_hash=account.password_hash)


async def read_login_challenge(info: Info, text: str) -> tuple[bytes, Credentials]:
    """The challenge of a login's second step, and whose it is. Raises Refusal (INVALID_CREDENTIALS).

    It ends with the password that was right.
    """
    try:
        challenge = base64.urlsafe_b64decode(text)
    except ValueError:
        raise _bad_challenge() from None
    subject = info.context.sources.factors.challenges.subject(challenge, Purpose.SECOND_FACTOR, clock.now())
    if subject is None:
        raise _bad_challenge()
    user_id = ObjectId(subject[:12])
    password_hash = await info.context.sources.users.password_hash(user_id)
    account = Credentials(user_id, password_hash or "")
    if not hmac.compare_digest(_subject(account), subject):
        raise _bad_challenge()
    return challenge, account


def _bad_challenge() -> Refusal:
    message = "This login has expired or is over: log in again."
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, message, field=["challenge"])
