"""Mail addresses: verify one, ask for another mail, change it."""

from datasources.accounts.mail_tokens import MailToken, token_expired
from domain.email_addresses import checked_email
from domain.errors import Refusal, UserErrorCode
from domain.limits import EMAIL_TOKEN_LIFE
from domain.mails import MailKind, TokenPurpose
from domain.rate_limits import Action
from resolvers.fresh_proof import require_fresh_proof
from resolvers.mailing import expect_mails
from resolvers.rate_limits import count_use
from resolvers.root_fields import always, mutation
from resolvers.sign_in import device_of, sign_in_first
from schema.context import Info
from schema.email_inputs import RequestEmailChangeInput, RequestEmailVerificationInput, VerifyEmailInput
from schema.payloads import Payload, SessionPayload, ViewerPayload
from schema.viewer import signed_in

_HOURS = int(EMAIL_TOKEN_LIFE.total_seconds() // 3600)


@mutation(
    "Verifies an address with the token of a mail. If it is that of a registration, this makes the account and logs "
    "in; else it answers no tokens, and the viewer if the account is theirs. A token is good once, for "
    f"{_HOURS} hours from the sending of the mail. Whoever used it may send it again for a minute, and gets the same "
    "answer.",
    answers_bad_token=always,
    while_suspended=True,
)
async def verify_email(info: Info, given: VerifyEmailInput) -> SessionPayload:
    token = await info.context.sources.mail_tokens.find(given.token)
    match token.purpose:
        case TokenPurpose.REGISTRATION:
            return await _complete_registration(info, token, given)
        case TokenPurpose.EMAIL:
            return await _verify_address(info, token)
    raise token_expired()


async def _complete_registration(info: Info, token: MailToken, given: VerifyEmailInput) -> SessionPayload:
    """Makes the account, unless an earlier try or a concurrent duplicate has, and logs in."""
    device_of(info, given)  # refuses a bad name of the client before anything is made
    sources, user_id = info.context.sources, token.user_id
    if not token.used:
        try:
            await sources.account.registrations.complete(token)
        except Refusal as refusal:
            if refusal.code is not UserErrorCode.TOKEN_EXPIRED:
                raise
    if not await sources.account.emails.is_verified(user_id):
        raise token_expired()
    payload = await sign_in_first(info, user_id, given, secret=given.token.strip())
    if payload is None:
        raise token_expired()
    return payload


async def _verify_address(info: Info, token: MailToken) -> SessionPayload:
    sources, session = info.context.sources, info.context.session
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
