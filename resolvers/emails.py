"""Mail addresses: verify one, ask for another mail, change it."""

from bson import ObjectId

from datasources.accounts.common_passwords import is_common
from datasources.accounts.known_devices import KnownDevice
from datasources.accounts.mail_tokens import MailToken, token_expired
from domain.email_addresses import checked_email
from domain.errors import Refusal, UserErrorCode
from domain.limits import EMAIL_TOKEN_LIFE
from domain.mails import MailKind, TokenPurpose
from domain.password_rules import checked_password
from domain.rate_limits import Action
from resolvers.fair_password_checks import hash_password, is_password_right
from resolvers.fresh_proof import require_fresh_proof
from resolvers.mailing import expect_mails
from resolvers.proofs import prove_by_password
from resolvers.rate_limits import count_use
from resolvers.root_fields import always, mutation
from resolvers.sign_in import device_of, known_device, sign_in_first
from schema.context import Info
from schema.email_inputs import RequestEmailChangeInput, RequestEmailVerificationInput, VerifyEmailInput
from schema.payloads import Payload, SessionPayload, ViewerPayload
from schema.viewer import signed_in

_HOURS = int(EMAIL_TOKEN_LIFE.total_seconds() // 3600)


@mutation(
    "Verifies an address with the token of a mail. If it is that of a registration, this makes the account and logs "
    "in; it needs the `deviceToken` of that registration, or a `password`, which the account gets: whoever registers "
    "with somebody else's address must not know the password. If it is an account's, it needs a session of the "
    "account or its password, and answers no tokens. Without these it is IDENTITY_NOT_CONFIRMED, and the token stays "
    f"good. A token is good once, for {_HOURS} hours from the sending of the mail. Whoever used it may send the same "
    "again for a minute, and gets the same answer.",
    answers_bad_token=always,
    while_suspended=True,
)
async def verify_email(info: Info, given: VerifyEmailInput) -> SessionPayload:
    token = await info.context.sources.mail_tokens.find(given.token)
    match token.purpose:
        case TokenPurpose.REGISTRATION:
            return await _complete_registration(info, token, given)
        case TokenPurpose.EMAIL:
            return await _verify_address(info, token, given)
    raise token_expired()


async def _complete_registration(info: Info, token: MailToken, given: VerifyEmailInput) -> SessionPayload:
    """Makes the account, unless an earlier try or a concurrent duplicate has, and logs in."""
    device_of(info, given)  # refuses a bad name of the client before anything is made
    use = None if given.password is None else await count_use(info, Action.PROOF, name=str(token.user_id))
    is_new = not token.used and await _make_account(info, token, given)
    sources, user_id = info.context.sources, token.user_id
    if not await sources.account.emails.is_verified(user_id):
        raise token_expired()
    known = None
    if given.password is None:
        known = await known_device(info, user_id, given)
        if known is None:  # it is another's retry
            raise token_expired()
    elif not is_new:
        password_hash = await sources.users.password_hash(user_id)
        if not await is_password_right(info, password_hash, given.password, user_id):
            raise token_expired()
    payload = await sign_in_first(info, user_id, given, secret=given.token.strip(), known=known)
    if payload is None:
        raise token_expired()
    if use is not None:
        await use.give_back()
    return payload


async def _make_account(info: Info, token: MailToken, given: VerifyEmailInput) -> bool:
    """Makes the account of a registration; False if an earlier try or a concurrent duplicate has. Raises Refusal."""
    password_hash = None if given.password is None else await _hashed(info, token.user_id, given.password)
    registered_on = None if given.device_token is None else KnownDevice(given.device_token).hash
    try:
        return await info.context.sources.account.registrations.complete(
            token, registered_on=registered_on, password_hash=password_hash
        )
    except Refusal as refusal:
        if refusal.code is not UserErrorCode.TOKEN_EXPIRED:
            raise
    return False


async def _hashed(info: Info, registration_id: ObjectId, password: str) -> str | None:
    """The hash of the password that an account is to get; None if the registration is over. Raises Refusal."""
    registration = await info.context.sources.account.registrations.find(registration_id)
    if registration is None:
        return None
    names = (registration.username, registration.email, registration.email.partition("@")[0])
    return await hash_password(info, checked_password(password, names, is_common))


async def _verify_address(info: Info, token: MailToken, given: VerifyEmailInput) -> SessionPayload:
    sources, session = info.context.sources, info.context.session
    if session is None or session.user_id != token.user_id:
        await _expect_password(info, token.user_id, given.password)
    if not token.used:
        try:
            await sources.account.emails.verify(token)
        except Refusal as refusal:
            if refusal.code is not UserErrorCode.TOKEN_EXPIRED:
                raise
    if await sources.users.email_of(token.user_id) != token.email:
        raise token_expired()
    is_own = session is not None and session.user_id == token.user_id
    return SessionPayload(viewer=signed_in(session) if is_own else None)


async def _expect_password(info: Info, user_id: ObjectId, password: str | None) -> None:
    """Raises Refusal unless this is the password of the account whose address is to be verified."""
    if password is None:
        message = "Log in to the account, or send its password: then nobody gives it an address by a mail alone."
        raise Refusal(UserErrorCode.IDENTITY_NOT_CONFIRMED, message, field=["password"])
    use = await count_use(info, Action.PROOF, name=str(user_id))
    await prove_by_password(info, user_id, password)
    await use.give_back()


@mutation(
    "Sends another mail with a token for `verifyEmail`: to the address of a registration or an account that is not "
    "verified, or, with no address, to the viewer's. The answer is the same if there is none. A few mails an hour are "
    "sent to one address.",
    answers_bad_token=always,
    while_suspended=True,
)
async def request_email_verification(info: Info, given: RequestEmailVerificationInput) -> Payload:
    mails, viewer_id = expect_mails(info), info.context.viewer_id
    if given.email is not None:
        email = checked_email(given.email)
        await count_use(info, Action.MAIL, name=email.lower())
        await mails.add(MailKind.REGISTRATION, to=email)
    elif viewer_id is None:
        raise Refusal(UserErrorCode.INVALID_INPUT, "Say to which address, or sign in.", field=["email"])
    elif not await info.context.sources.account.emails.is_verified(viewer_id):
        await count_use(info, Action.MAIL)
        await mails.add(MailKind.VERIFY_EMAIL, user_id=viewer_id)
    return Payload()


@mutation(
    "Sends a mail with a token for `verifyEmail` to a new address, which becomes the viewer's when the token is used; "
    "the old address gets a mail then. Until then nothing changes. If the address is another account's, that gets a "
    "mail, and the answer is the same. Needs a fresh proof of who one is: see `confirmIdentity`.",
    scope=None,
    while_suspended=True,
)
async def request_email_change(info: Info, given: RequestEmailChangeInput) -> ViewerPayload:
    session, email, mails = await require_fresh_proof(info), checked_email(given.email), expect_mails(info)
    await count_use(info, Action.MAIL, name=email.lower())
    await mails.add(MailKind.VERIFY_EMAIL, user_id=session.user_id, to=email)
    return ViewerPayload(viewer=signed_in(session))
