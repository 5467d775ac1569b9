"""Factors as they are stored: sealed, bound to their account, shared by races, gone with the account."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pyotp
import pytest
from bson import ObjectId

from config import Settings
from datasources.accounts.challenges import Challenges, Purpose
from datasources.accounts.factors import FactorStore
from datasources.accounts.sealed_secrets import Sealing, sealing_of
from datasources.sources import open_sources
from domain.errors import Refusal, UserErrorCode
from domain.limits import CODE_TRIES, CODE_TRIES_TOLD, PASSKEYS_MAX
from domain.mails import MailKind
from domain.one_time_codes import SECONDS, matching_step
from domain.records.factors import PasskeyRecord
from domain.records.users import UserRecord
from tests.support.authenticator import Authenticator
from tests.support.factories import World, now
from workers.handlers.delete_account import DELETE_ACTS

LOGIN = """mutation ($input: LoginWithPasskeyInput!) {
  loginWithPasskey(input: $input) { tokens { accessToken } userErrors { code } }
}"""
LATER = timedelta(minutes=5)


def passkey(credential_id: bytes | None = None, public_key: bytes = b"") -> PasskeyRecord:
    identifier = credential_id or secrets.token_bytes(16)
    return PasskeyRecord(
        id=ObjectId(), name="key", credential_id=identifier, public_key=public_key, created_at=now(), last_used_at=now()
    )


async def with_authenticator(world: World, user: UserRecord) -> Authenticator:
    """An authenticator whose passkey the account has."""
    ceremonies, key = world.sources.factors.ceremonies, Authenticator()
    challenge = world.sources.factors.challenges.issue(Purpose.PASSKEY_REGISTRATION, b"", expires_at=now() + LATER)
    options = ceremonies.creation_options(user.id, user.username, user.display_name, [], challenge)
    new = ceremonies.verify_creation(key.create(options), challenge)
    assert new is not None
    await world.sources.factors.stored.add_passkey(user.id, passkey(new.credential_id, new.public_key))
    return key


async def test_secrets_are_sealed_and_those_of_another_account_open_nothing(world: World) -> None:
    sources, (ana, eve) = world.sources, await world.users(2)
    secret = await sources.factors.one_time_codes.begin(ana.id, now())
    await sources.factors.one_time_codes.confirm(ana.id, pyotp.TOTP(secret).at(now()), now())
    factors = sources.database["factors"]
    document = await factors.find_one({"_id": ana.id})
    assert document is not None
    assert secret not in repr(document)
    assert base64.b32decode(secret) not in document["secret"]
    await factors.insert_one({**document, "_id": eve.id, "last_step": 0})
    with pytest.raises(RuntimeError, match="PHOTOGRAM_SECRET_KEYS"):
        await sources.factors.one_time_codes.check(eve.id, pyotp.TOTP(secret).at(now()), now())


def test_a_new_key_seals_and_older_ones_still_open() -> None:
    old, new = (base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() for _ in range(2))

    def sealing(*keys: str) -> Sealing:
        return sealing_of(
            Settings.model_validate({"environment": "production", "s3_access_key": None, "secret_keys": keys})
        )

    sealed = sealing(old).seal(b"secret", b"ana")
    assert sealing(new, old).open(sealed, b"ana") == b"secret"
    assert sealing(new, old).open(sealed, b"eve") is None
    assert sealing(new).open(sealed, b"ana") is None
    assert sealing(old).open(sealing(new, old).seal(b"secret", b"ana"), b"ana") is None
    with pytest.raises(Refusal) as refused:
        sealing().seal(b"secret", b"ana")
    assert refused.value.code is UserErrorCode.NOT_ALLOWED


@pytest.mark.parametrize("key", ["short", "x" * 44, base64.urlsafe_b64encode(bytes(31)).decode()])
def test_a_key_that_is_none_is_refused_when_settings_are_read(key: str) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        Settings.model_validate({"secret_keys": key})


async def test_factors_that_cannot_be_read_are_not_taken_for_none(world: World) -> None:
    ana, sources = await world.user(), world.sources
    document = {"_id": ana.id, "secret": b"sealed", "passkeys": [{"id": "of a later version"}]}
    await sources.database["factors"].insert_one(document)
    with pytest.raises(RuntimeError, match="cannot be read"):
        await sources.factors.stored.of_user(ana.id)


def test_a_code_is_good_for_three_steps_and_no_longer() -> None:
    secret, at = pyotp.random_base32(), now()
    code, step = pyotp.TOTP(secret).at(at), int(at.timestamp()) // SECONDS
    found = [matching_step(secret, code, at + timedelta(seconds=SECONDS * off)) for off in range(-2, 3)]
    assert found == [None, step, step, step, None]


async def test_a_challenge_is_spent_once_by_whatever_process(world: World, other: World) -> None:
    challenges: list[Challenges] = [world.sources.factors.challenges, other.sources.factors.challenges] * 3
    challenge = challenges[0].issue(Purpose.PASSKEY, b"", expires_at=now() + LATER)
    spent = await asyncio.gather(*(each.spend(challenge, lifetime=LATER, now=now()) for each in challenges))
    assert sorted(spent) == [False] * 5 + [True]


async def test_passkeys_are_added_by_races_as_far_as_there_is_room(world: World, other: World) -> None:
    stores: list[FactorStore] = [world.sources.factors.stored, other.sources.factors.stored]
    user_id, same = ObjectId(), secrets.token_bytes(16)
    keys = [passkey(same) for _ in range(3)] + [passkey() for _ in range(PASSKEYS_MAX + 3)]
    tries = [stores[number % 2].add_passkey(user_id, key) for number, key in enumerate(keys)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    refusals = [each for each in outcomes if each is not None]
    assert all(isinstance(each, Refusal) and each.code is UserErrorCode.NOT_ALLOWED for each in refusals)
    kept = (await stores[0].of_user(user_id)).passkeys
    assert len(kept) == PASSKEYS_MAX == len({each.credential_id for each in kept})


async def test_a_deleted_account_is_not_entered_by_its_passkey_which_goes_with_it(world: World) -> None:
    ana, sources = await world.user(), world.sources
    key = await with_authenticator(world, ana)
    await sources.users.delete(ana.id, now())
    challenge = sources.factors.challenges.issue(Purpose.PASSKEY, b"", expires_at=now() + LATER)
    answer = key.use(sources.factors.ceremonies.request_options([], challenge))
    result = await world.execute(LOGIN, None, input={"passkey": answer})
    assert result.data == {"loginWithPasskey": {"tokens": None, "userErrors": [{"code": "INVALID_CREDENTIALS"}]}}
    assert await sources.database["sessions"].count_documents({"user_id": ana.id}) == 0
    for step in DELETE_ACTS:
        await step(sources, ana.id)
    assert await sources.database["factors"].count_documents({"_id": ana.id}) == 0


@pytest.fixture
async def mailing(world: World) -> AsyncIterator[World]:
    """The same world, in which mails wait to be sent."""
    settings = world.sources.settings.model_copy(update={"mail": "folder"})
    async with open_sources(settings) as sources:
        yield World(sources)


async def test_every_change_of_factors_is_told_by_mail_once(mailing: World) -> None:
    world = mailing
    ana, factors = await world.user(), world.sources.factors
    mails = world.sources.database["mails"]

    async def told() -> int:
        return await mails.count_documents({"kind": MailKind.FACTORS_CHANGED.value, "user_id": ana.id})

    login, _ = await world.sources.sessions.open(ana.id, None, now())
    secret, key = await factors.one_time_codes.begin(ana.id, now()), passkey()
    assert await told() == 0
    await factors.one_time_codes.confirm(ana.id, pyotp.TOTP(secret).at(now()), now())
    await factors.one_time_codes.turn_off(ana.id)
    await factors.one_time_codes.turn_off(ana.id)
    assert await told() == 2
    await factors.stored.add_passkey(ana.id, key)
    with pytest.raises(Refusal):
        await factors.stored.add_passkey(ana.id, key)
    for _ in range(2):
        await factors.stored.remove_passkey(ana.id, key.id)
    assert await told() == 4
    for _ in range(2):
        await factors.identities.link(ana.id, "https://issuer.example", "told", now())
    (identity,) = (await factors.stored.of_user(ana.id)).identities
    for _ in range(2):
        await factors.identities.unlink(ana.id, identity.id)
    assert await told() == 6
    await world.sources.access_tokens.create(login, "a program", [], lifetime=timedelta(days=1), now=now())
    assert await told() == 7


async def test_the_owner_is_told_once_an_hour_that_codes_are_guessed(mailing: World) -> None:
    ana, codes, at = await mailing.user(), mailing.sources.factors.one_time_codes, now()
    secret = await codes.begin(ana.id, at)
    await codes.confirm(ana.id, pyotp.TOTP(secret).at(at), at)
    about = {"kind": MailKind.WRONG_CODES.value, "user_id": ana.id}
    later = at + timedelta(hours=2)
    right = {pyotp.TOTP(secret).at(time, counter_offset=step) for time in (at, later) for step in (-1, 0, 1)}
    wrong = next(code for code in (f"{number:06}" for number in range(7)) if code not in right)

    async def guess(times: int, at: datetime) -> int:
        """How many mails there are after so many guesses."""
        for _ in range(times):
            with pytest.raises(Refusal):
                await codes.check(ana.id, wrong, at)
        return await mailing.sources.database["mails"].count_documents(about)

    assert await guess(CODE_TRIES_TOLD - 1, at) == 0
    assert await guess(CODE_TRIES, at) == 1
    assert await guess(CODE_TRIES, later) == 2
