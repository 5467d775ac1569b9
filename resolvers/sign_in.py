"""Opening the session of somebody who has proved who they are, by whatever way in."""

from bson import ObjectId
from msgspec.structs import replace

from datasources.accounts.known_devices import KnownDevice
from datasources.accounts.session_tokens import Tokens
from datasources.mongo import clock
from domain.errors import Refusal, UserErrorCode
from domain.limits import CLIENT_NAME_MAX, PLATFORM_MAX
from domain.mails import MailKind
from domain.records.users import Device, SessionRecord, UserState
from domain.text import checked_line
from resolvers.transport.client_address import shown_range
from schema.context import Info
from schema.inputs import ClientInput, DeviceInput
from schema.sign_in_payloads import LoginPayload
from schema.viewer import SignedIn


async def sign_in(
    info: Info,
    user_id: ObjectId,
    client: ClientInput,
    *,
    known: KnownDevice | None = None,
    checked_hash: str | None = None,
) -> LoginPayload:
    """Opens a session for an account, of which the caller knows that its owner asks. All ways of logging in end here.

    Brings back an account that its owner has deactivated. `known` is the device, if it was known before; it is from now
    on.

    Raises Refusal (INVALID_CREDENTIALS) if the account was deleted meanwhile, or has another password than the one
    whose hash the caller has checked.
    """
    sources, device, now = info.context.sources, device_of(info, client), clock.now()
    is_new, known = known is None, known or sources.known_devices.new(user_id)
    asking_id = None if info.context.session is None else info.context.session.id
    known_as = replace(device, known_as=known.hash)
    session, tokens = await sources.sessions.open(user_id, known_as, now, asking_id=asking_id)
    if checked_hash is not None and await sources.users.password_hash(user_id) != checked_hash:
        await sources.sessions.end(user_id, session.id)
        raise wrong_credentials()
    if not await is_back(info, user_id):
        raise wrong_credentials()
    await sources.known_devices.note_login(user_id, known, now)
    if is_new:  # before the answer: until the mail is stored nobody has the tokens
        parts = (device.client_name, device.platform, device.network)
        client_name = ", ".join(part for part in parts if part) or "?"
        values = {"client": client_name, "time": f"{now:%Y-%m-%d %H:%M} UTC"}
        await sources.mails.add(MailKind.NEW_LOGIN, user_id=user_id, values=values)
    return signed_in_payload(info, session, tokens, known)


async def known_device(info: Info, user_id: ObjectId, client: DeviceInput) -> KnownDevice | None:
    """The device that a client says it is, if the account knows it."""
    if client.device_token is None:
        return None
    return await info.context.sources.known_devices.find_of(user_id, client.device_token, clock.now())


async def sign_in_first(
    info: Info, user_id: ObjectId, client: ClientInput, *, secret: str | None, known: KnownDevice | None = None
) -> LoginPayload | None:
    """Opens the first session of an account, whose device is known then; with the same `secret` the same one again.

    `known` is the device, if it has a token already.

    None if the account was deleted meanwhile. Raises Refusal (SECOND_FACTOR_REQUIRED) if this is the retry of a
    registration whose account has a second factor by now: it proves the password alone.
    """
    sources, now = info.context.sources, clock.now()
    if (await sources.factors.stored.of_user(user_id)).has_codes:
        message = "The account has a second factor by now: log in."
        raise Refusal(UserErrorCode.SECOND_FACTOR_REQUIRED, message)
    devices = sources.known_devices
    if known is None:
        known = devices.new(user_id) if secret is None else devices.of_first_session(user_id, secret)
    device = replace(device_of(info, client), known_as=known.hash)
    if secret is None:
        session, tokens = await sources.sessions.open(user_id, device, now)
    else:
        session, tokens = await sources.sessions.open_first(user_id, device, now, secret=secret)
    if not await is_back(info, user_id):
        return None
    await devices.note_login(user_id, known, now)
    return signed_in_payload(info, session, tokens, known)


def signed_in_payload(
    info: Info, session: SessionRecord, tokens: Tokens, known: KnownDevice | None = None
) -> LoginPayload:
    """The answer to who has logged in. Makes the rest of the operation the new session's."""
    info.context.session, info.context.bad_token = session, None
    device_token = None if known is None else known.token
    return LoginPayload(tokens=tokens, viewer=SignedIn(session.user_id), device_token=device_token)


async def is_back(info: Info, user_id: ObjectId) -> bool:
    """Makes an account active for which a session was just opened, if its owner had deactivated it.

    False, and all its sessions end, if it was deleted meanwhile. This comes after the session is opened. So whoever
    deactivates the account at the same time either ends that session, or is undone by it.
    """
    sources = info.context.sources
    match await sources.account.deactivation.state_of(user_id):
        case None | UserState.DELETED:
            await sources.sessions.end_all(user_id)
            return False
        case UserState.DEACTIVATED:
            await sources.account.deactivation.reactivate(user_id, clock.now())
    return True


def device_of(info: Info, client: ClientInput) -> Device:
    """The device that a client says it is on. Raises Refusal (INVALID_INPUT)."""
    return Device(
        client_name=_line(client.client_name, "clientName", CLIENT_NAME_MAX),
        platform=_line(client.platform, "platform", PLATFORM_MAX),
        network=shown_range(info.context.address),
    )


def wrong_credentials() -> Refusal:
    """The same for an unknown name, a wrong password and an account that is gone."""
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, "The name or the password is wrong.")


def _line(text: str | None, field: str, max_length: int) -> str | None:
    return None if text is None else checked_line(text, field, max_length=max_length) or None
