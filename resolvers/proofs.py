"""Ways of proving who one is: password, one-time code, recovery code, passkey. Each raises what it is refused with."""

from bson import ObjectId

from datasources.accounts.challenges import Purpose
from datasources.mongo import clock
from domain.errors import Refusal, UserErrorCode
from domain.limits import PASSKEY_CHALLENGE
from resolvers.fair_password_checks import is_password_right
from schema.context import Info


async def prove_by_password(info: Info, user_id: ObjectId, password: str) -> None:
    """Raises Refusal (INVALID_CREDENTIALS, BUSY) unless this is the account's password."""
    password_hash = await info.context.sources.users.password_hash(user_id)
    if not await is_password_right(info, password_hash, password, user_id):
        raise Refusal(UserErrorCode.INVALID_CREDENTIALS, "The password is wrong.", field=["password"])


async def prove_by_code(info: Info, user_id: ObjectId, code: str) -> None:
    """Spends a one-time code or a recovery code. Raises Refusal (INVALID_CREDENTIALS, RATE_LIMITED)."""
    await info.context.sources.factors.one_time_codes.check(user_id, code, clock.now())


async def prove_by_passkey(
    info: Info, answer: str, *, user_id: ObjectId | None = None, is_person_verified: bool = True
) -> ObjectId:
    """The account whose passkey gave this answer to a challenge of ours, which is spent.

    With `user_id`, only that account's will do. Raises Refusal (INVALID_CREDENTIALS), the same for an unknown account,
    one without passkeys, another passkey, and an answer that is not valid.
    """
    stores, now = info.context.sources.factors, clock.now()
    claimed = stores.ceremonies.claimed(answer)
    owner_id = None if claimed is None else _owner(claimed.user_handle, user_id)
    if claimed is None or owner_id is None:
        raise _refused()
    if stores.challenges.subject(claimed.challenge, Purpose.PASSKEY, now) is None:
        raise _refused()
    factors = await stores.stored.of_user(owner_id)
    passkey = next((each for each in factors.passkeys if each.credential_id == claimed.credential_id), None)
    if passkey is None:
        raise _refused()
    count = stores.ceremonies.verify_use(answer, passkey, claimed.challenge, is_person_verified=is_person_verified)
    if count is None or not await stores.challenges.spend(claimed.challenge, lifetime=PASSKEY_CHALLENGE, now=now):
        raise _refused()
    if not await stores.stored.note_use(owner_id, passkey, count, now):
        raise _refused()
    return owner_id


def _owner(user_handle: bytes | None, user_id: ObjectId | None) -> ObjectId | None:
    """Whose passkey an answer says that it is; security keys may not say it. None for another's than `user_id`."""
    if user_handle is None:
        return user_id
    handle = ObjectId(user_handle) if len(user_handle) == 12 else None
    return handle if user_id in (None, handle) else None


def _refused() -> Refusal:
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, "This passkey is not accepted.", field=["passkey"])
