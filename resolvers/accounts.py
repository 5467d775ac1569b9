"""Accounts and sessions: register, log in, refresh, log out."""

from functools import partial
from typing import Any

import strawberry
from bson import ObjectId

from datasources.accounts.common_passwords import is_common
from datasources.accounts.known_devices import KnownDevice
from datasources.accounts.session_tokens import session_id_of
from datasources.accounts.terms import FIELD as TERMS
from datasources.accounts.users import Credentials
from datasources.jobs.idempotency import Idempotency, key_reused, result_deleted
from datasources.mongo import clock
from datasources.rate_limits.actions import Use
from domain.email_addresses import checked_email, typed_login
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id, to_global_id
from domain.languages import checked_language
from domain.limits import ACCESS_OVERLAP_SECONDS, REFRESH_GRACE_SECONDS
from domain.mails import MailKind
from domain.password_rules import checked_password
from domain.rate_limits import Action, RateLimited
from domain.text import checked_display_name
from resolvers.fair_password_checks import hash_password, is_password_right
from resolvers.fresh_proof import require_fresh_proof
from resolvers.rate_limits import count_use
from resolvers.root_fields import always, mutation
from resolvers.second_factor import second_step
from resolvers.sign_in import device_of, sign_in, sign_in_first, signed_in_payload, wrong_credentials
from resolvers.terms import acceptance_of
from resolvers.transport.client_address import shown_range
from resolvers.usernames import new_username
from schema.context import Context, Info
from schema.inputs import (
    DeleteAccountInput,
    LoginInput,
    LogoutInput,
    RefreshSessionInput,
    RegisterInput,
    RevokeOtherSessionsInput,
    RevokeSessionInput,
)
from schema.payloads import DeleteAccountPayload, Payload, SessionPayload, ViewerPayload
from schema.sign_in_payloads import LoginPayload
from schema.viewer import signed_in


@mutation(
    "Makes an account and logs in. Where addresses have to be verified, it has a mail sent instead, and answers a "
    "`deviceToken`, but neither tokens nor viewer: `verifyEmail` then makes the account and logs in. The answer is the "
    "same if another account has the address; its owner gets a mail that says so. Sent again with the same "
    "`idempotencyKey` it answers the same: the account, and the same tokens as long as they are valid.",
    answers_bad_token=always,
    while_suspended=True,
    limited_as=Action.REGISTER,
)
async def register(info: Info, given: RegisterInput) -> SessionPayload:
    device_of(info, given)  # refuses a bad name of the client before anything is made
    sources = info.context.sources
    idempotency = Idempotency.of_registration(given.idempotency_key, _known_before(given))
    earlier, new_id = await _registered(info, given, idempotency), clock.new_id()
    device = _first_device(info, new_id, idempotency)
    account = earlier or await _make_account(info, given, idempotency, new_id, device)
    if sources.settings.verification == "required":
        if account.user_id != new_id:  # an earlier try or a concurrent duplicate has made it
            device = _first_device(info, account.user_id, idempotency)
        return SessionPayload(device_token=device.token)
    if sources.settings.verification == "later":
        await sources.mails.add(MailKind.VERIFY_EMAIL, user_id=account.user_id, mail_id=account.user_id)
    payload = await sign_in_first(info, account.user_id, given, secret=given.idempotency_key)
    if payload is None:
        raise result_deleted()
    return payload


def _first_device(info: Info, user_id: ObjectId, idempotency: Idempotency | None) -> KnownDevice:
    """The device of a registration; the same again for its idempotency key."""
    devices = info.context.sources.known_devices
    return devices.new(user_id) if idempotency is None else devices.of_first_session(user_id, idempotency.key)


def _known_before(given: RegisterInput) -> dict[str, object]:
    """What a key of a registration goes with: what a version before knew too, so that a retry may come to either."""
    arguments = strawberry.asdict(given)
    for name in ("platform", "language", "terms_version", "age_range"):
        del arguments[name]
    return {**arguments, "password": None}


async def _registered(info: Info, given: RegisterInput, idempotency: Idempotency | None) -> Credentials | None:
    """The account, or the registration to be verified, that an earlier try of this request made.

    Raises Refusal if the key came with other input.
    """
    sources = info.context.sources
    account = await sources.account.registrations.find_earlier(idempotency) or await sources.users.find_registered(
        idempotency
    )
    if account is None:
        return None
    if not await is_password_right(info, account.password_hash, given.password, account.user_id):
        raise key_reused()
    return account


async def _make_account(
    info: Info, given: RegisterInput, idempotency: Idempotency | None, new_id: ObjectId, device: KnownDevice
) -> Credentials:
    """Makes an account; or, if its address has to be verified first, a registration with this id and this device.

    Returns that of a concurrent duplicate if that was faster. Raises Refusal.
    """
    sources = info.context.sources
    username = new_username(info, given.username)
    email = checked_email(given.email)
    password = checked_password(given.password, (username, email, email.partition("@")[0]), is_common)
    name, language = checked_display_name(given.display_name or username), checked_language(given.language)
    acceptance = acceptance_of(sources.settings, given.terms_version, given.age_range, field="termsVersion")
    accepted: dict[str, Any] = {} if acceptance is None else {TERMS: [acceptance.to_document()]}
    password_hash, now = await hash_password(info, password), clock.now()
    try:
        if sources.settings.verification == "required":
            begin = partial(sources.account.registrations.begin, registration_id=new_id, registered_on=device.hash)
            await begin(username, email, password_hash, name, language, idempotency, **accepted)
            return Credentials(new_id, password_hash)
        profile: dict[str, Any] = {"language": language, "email_verified_at": now, **accepted}
        if sources.settings.verification == "later":
            del profile["email_verified_at"]
        user = await sources.users.register(
            username, email, password_hash, name, now, idempotency=idempotency, **profile
        )
    except Refusal:
        account = await _registered(info, given, idempotency)  # a concurrent duplicate was faster
        if account is None:
            raise
        return account
    return Credentials(user.id, password_hash)


@mutation(
    "Opens a session. Spaces around the login, one `@` before a handle and its case make no difference. Brings back an "
    "account that its owner has deactivated. An account with a second factor answers SECOND_FACTOR_REQUIRED and "
    "`secondFactor`, with which completeLogin goes on. Wrong passwords are limited, for the login and for the address "
    "that they come from; who has a `deviceToken` is not held up by others' attempts. So are logins at all, for the "
    "login.",
    answers_bad_token=always,
    while_suspended=True,
)
async def login(info: Info, given: LoginInput) -> LoginPayload:
    device_of(info, given)  # refuses a bad name of the client before anything is asked
    name, token, devices = typed_login(given.login), given.device_token, info.context.sources.known_devices
    known = None if token is None else await devices.find(name, token, clock.now())
    use = await _count_login(info, name, known)
    account = await _checked_password(info, name, given.password, use)
    step = await second_step(info, account)
    return step or await sign_in(info, account.user_id, given, known=known, checked_hash=account.password_hash)


async def _count_login(info: Info, name: str, known: KnownDevice | None) -> Use:
    """Counts a login, and a wrong password, which is given back if it is right. Raises RateLimited."""
    device = None if known is None else known.hash
    use = await count_use(info, Action.LOGIN, name=name.lower(), device=device)
    try:
        await count_use(info, Action.LOGINS, name=name.lower(), device=device)
    except RateLimited:
        await use.give_back()
        raise
    return use


async def _checked_password(info: Info, name: str, password: str, use: Use) -> Credentials:
    """The account of a name and a password. Raises Refusal. Only a wrong password stays counted."""
    credentials = await info.context.sources.users.credentials(name)
    password_hash = None if credentials is None else credentials.password_hash
    account = name if credentials is None else credentials.user_id
    try:
        is_right = await is_password_right(info, password_hash, password, account)
    except Refusal:  # BUSY: it was not tried
        await use.give_back()
        raise
    if not is_right or credentials is None:
        raise wrong_credentials()
    await use.give_back()
    return credentials


@mutation(
    "Exchanges a refresh token for new tokens. A client whose answer was lost sends the same token again within "
    f"{REFRESH_GRACE_SECONDS} seconds and gets the same tokens, as does one that refreshes several times at once. A "
    "token that was replaced earlier ends the session, for then somebody else may have it. The replaced access token "
    "works for "
    f"{ACCESS_OVERLAP_SECONDS} seconds more at most, so that requests on their way do not fail.",
    answers_bad_token=always,
    while_suspended=True,
)
async def refresh_session(info: Info, given: RefreshSessionInput) -> SessionPayload:
    network = shown_range(info.context.address)
    session, tokens = await info.context.sources.sessions.refresh(given.refresh_token, clock.now(), network=network)
    return signed_in_payload(info, session, tokens)


async def _is_logged_out(context: Context) -> bool:
    return context.bad_token is not None and await context.sources.sessions.is_over(context.bad_token)


@mutation(
    "Ends this session. Sent again with the token of a session that has ended, it answers as done.",
    answers_bad_token=_is_logged_out,
    while_suspended=True,
)
async def logout(info: Info, given: LogoutInput) -> Payload:
    if await _is_logged_out(info.context):
        return Payload()
    session = info.context.require_session()
    if given.everywhere:
        await info.context.sources.known_devices.remove_others(session.user_id, None)
        await info.context.sources.sessions.end_all(session.user_id, last=session.id)
    else:
        await info.context.sources.sessions.end(session.user_id, session.id)
    return Payload()


@mutation(
    "Ends one of the viewer's sessions. Unless it is this one, its device is no longer known.",
    scope=None,
    while_suspended=True,
)
async def revoke_session(info: Info, given: RevokeSessionInput) -> ViewerPayload:
    session, sources = info.context.require_session(), info.context.sources
    session_id = expect_id(given.session_id, "Session")
    ended = None if session_id is None else await sources.sessions.by_id(session_id)
    if session_id is None or ended is None or not await sources.sessions.end(session.user_id, session_id):
        raise NotFound("session", field=["sessionId"])
    if ended.known_as is not None and ended.known_as != session.known_as:
        await sources.known_devices.remove(session.user_id, ended.known_as)
    return ViewerPayload(viewer=signed_in(session))


@mutation(
    "Ends the viewer's sessions on other devices, which are no longer known. `logout` can end this one too.",
    scope=None,
    while_suspended=True,
)
async def revoke_other_sessions(info: Info, given: RevokeOtherSessionsInput) -> ViewerPayload:
    session, sources = info.context.require_session(), info.context.sources
    if given.access_tokens:
        await sources.sessions.end_others(session.user_id, session.id)
    else:
        await sources.sessions.end_other_logins(session.user_id, session.id)
    await sources.known_devices.remove_others(session.user_id, session.known_as)
    return ViewerPayload(viewer=signed_in(session))


async def _deleted_before(context: Context) -> ObjectId | None:
    """The account that was deleted by the session of this bad token."""
    session_id = None if context.bad_token is None else session_id_of(context.bad_token)
    return None if session_id is None else await context.sources.users.find_deleted_in_session(session_id)


async def _is_deleted(context: Context) -> bool:
    return await _deleted_before(context) is not None


@mutation(
    "Deletes the viewer's account, at once and for good: there is no period in which it could be had back. From the "
    "answer on nobody sees the account or anything of it, its sessions are over, and its handle and address are free; "
    "what it left is taken away within seconds or minutes, images and other people's counts too. Sent again with the "
    "same token it answers as done. A suspended account can be deleted too: nobody gets its handle and address then "
    "until the suspension would have ended, or for a year after a ban.",
    answers_bad_token=_is_deleted,
    while_suspended=True,
    limited_as=Action.PROOF,
)
async def delete_account(info: Info, given: DeleteAccountInput) -> DeleteAccountPayload:
    deleted_id = await _deleted_before(info.context)
    if deleted_id is not None:
        return DeleteAccountPayload(deleted_user_id=strawberry.ID(to_global_id("User", deleted_id)))
    session, sources = info.context.require_session(), info.context.sources
    viewer_id, password_hash = session.user_id, await sources.users.password_hash(session.user_id)
    if password_hash is not None:  # else it is deleted already, and its sessions are about to end
        if given.password is None:
            await require_fresh_proof(info)
        elif not await is_password_right(info, password_hash, given.password, viewer_id):
            raise Refusal(UserErrorCode.INVALID_CREDENTIALS, "The password is wrong.", field=["password"])
        await sources.users.delete(viewer_id, clock.now(), session_id=session.id)
    await sources.sessions.end_all(viewer_id)
    info.context.session = None  # the rest of the operation is anonymous
    return DeleteAccountPayload(deleted_user_id=strawberry.ID(to_global_id("User", viewer_id)))
