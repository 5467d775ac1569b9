"""Identities of other services, over HTTP, with an issuer that is a real server: linked, used, abused, unlinked."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pyotp
import pytest
from bson import ObjectId
from joserfc import jwt
from joserfc.jwk import RSAKey

from config import Settings
from datasources.accounts import identity_tokens
from datasources.accounts.challenges import Purpose
from datasources.accounts.identity_tokens import IdentityTokens
from datasources.accounts.linked_identities import IdentityStore
from domain.errors import Refusal, UserErrorCode
from domain.ids import from_global_id
from domain.limits import IDENTITIES_MAX
from tests.support.api_process import api_process
from tests.support.client import PASSWORD, Api, Person
from tests.support.factories import World, now
from tests.support.issuer import CLIENT_ID, Issuer, issuing

SESSION = "tokens { accessToken } viewer { user { id } } secondFactor { challenge }"
LISTED = "viewer { linkedIdentities { id issuer } }"
REFUSED = ("INVALID_CREDENTIALS", ["idToken"])
UNKNOWN = ("NOT_FOUND", ["idToken"])


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as running:
        yield running


@pytest.fixture(scope="module")
async def http(world: World, issuer: Issuer) -> AsyncIterator[httpx2.AsyncClient]:
    """The API, which takes identities of the issuer."""
    settings: Settings = world.sources.settings.model_copy(update={"identity_issuers": (issuer.settings,)})
    with api_process(settings) as process:
        url = f"http://127.0.0.1:{process.port}"
        async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
            yield client


async def nonce_of(client: Api, issuer: Issuer) -> str:
    return str((await client.done("beginIdentity", "nonce expiresAt", issuer=issuer.name))["nonce"])


async def proof(client: Api, issuer: Issuer, **changed: Any) -> dict[str, str]:
    """The input of loginWithIdentity and linkIdentity, with a token whose claims are changed."""
    nonce = await nonce_of(client, issuer)
    return {"issuer": issuer.name, "nonce": nonce, "idToken": issuer.token(nonce, **changed)}


async def test_a_linked_identity_logs_in_and_another_does_not(http: httpx2.AsyncClient, issuer: Issuer) -> None:
    ana, eve, nobody = await Person.register(http), await Person.register(http), Api(http)
    assert await nobody.refused("loginWithIdentity", **await proof(nobody, issuer, sub="ana")) == UNKNOWN
    linked = await ana.done("linkIdentity", LISTED, **await proof(ana, issuer, sub="ana"))
    (identity,) = linked["viewer"]["linkedIdentities"]
    assert identity["issuer"] == issuer.name
    again = await ana.done("linkIdentity", LISTED, **await proof(ana, issuer, sub="ana"))
    assert again["viewer"]["linkedIdentities"] == [identity]
    taken = await eve.refused("linkIdentity", **await proof(eve, issuer, sub="ana"))
    assert taken == ("NOT_ALLOWED", None)
    payload = await nobody.done("loginWithIdentity", SESSION, **await proof(nobody, issuer, sub="ana"))
    assert payload["viewer"]["user"]["id"] == ana.id
    assert await nobody.refused("loginWithIdentity", **await proof(nobody, issuer, sub="Ana")) == UNKNOWN
    node = "query ($id: ID!) { node(id: $id) { ... on LinkedIdentity { issuer } } }"
    assert (await ana.get(node, id=identity["id"]))["node"] == {"issuer": issuer.name}
    assert (await eve.get(node, id=identity["id"]))["node"] is None
    stranger = await eve.refused("unlinkIdentity", linkedIdentityId=identity["id"])
    assert stranger == ("NOT_FOUND", ["linkedIdentityId"])
    unlinked = await ana.done("unlinkIdentity", LISTED, linkedIdentityId=identity["id"])
    assert unlinked["viewer"]["linkedIdentities"] == []
    assert await nobody.refused("loginWithIdentity", **await proof(nobody, issuer, sub="ana")) == UNKNOWN
    await eve.done("linkIdentity", LISTED, **await proof(eve, issuer, sub="ana"))


async def test_an_identity_is_never_linked_by_its_mail_address(http: httpx2.AsyncClient, issuer: Issuer) -> None:
    ana, nobody = await Person.register(http), Api(http)
    address = f"{ana.username}@example.com"
    given = await proof(nobody, issuer, sub="somebody", email=address, email_verified=True)
    assert await nobody.refused("loginWithIdentity", **given) == UNKNOWN


def made_by_hand(header: dict[str, str], claims: dict[str, Any], secret: bytes | None) -> str:
    """A token as no library makes it: unsigned, or with an HMAC."""
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (header, claims)]
    signed = b".".join(parts)
    signature = b"" if secret is None else hmac.digest(secret, signed, "sha256")
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_a_token_is_refused_unless_all_of_it_is_right(http: httpx2.AsyncClient, issuer: Issuer) -> None:
    ana, nobody = await Person.register(http), Api(http)
    await ana.done("linkIdentity", **await proof(ana, issuer, sub="right"))
    nonce, at = await nonce_of(nobody, issuer), int(time.time())
    stranger = RSAKey.generate_key(2048, {"kid": "first"})
    public_key = issuer.key.as_pem(private=False)
    claims = {"iss": issuer.name, "sub": "right", "aud": CLIENT_ID, "iat": at, "exp": at + 60, "nonce": nonce}
    wrong: list[dict[str, Any]] = [
        {"iss": "https://accounts.google.com"},
        {"aud": "another app"},
        {"aud": None},
        {"aud": [CLIENT_ID, "another app"]},
        {"azp": "another app"},
        {"exp": at - 120},
        {"exp": None},
        {"iat": at + 300},
        {"nbf": at + 300},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 1},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
    ]
    tokens = [issuer.token(nonce, **{"sub": "right", **each}) for each in wrong]
    tokens += [
        issuer.token(nonce, sub="right", key=stranger),
        made_by_hand({"alg": "HS256", "kid": "first"}, claims, public_key),  # the key taken for a secret
        made_by_hand({"alg": "none"}, claims, None),
        jwt.encode({"alg": "PS256", "kid": "first"}, claims, issuer.key, algorithms=["PS256"]),  # not the pinned one
        issuer.token(nonce, sub="right")[:-3] + "AAA",
        "",
        "a.b.c",
        "x" * 7_000,
    ]
    for token in tokens:
        refused = await nobody.refused("loginWithIdentity", issuer=issuer.name, nonce=nonce, idToken=token)
        assert refused == REFUSED, token
    given = {"issuer": issuer.name, "nonce": nonce}
    for audience in ({"aud": [CLIENT_ID]}, {"aud": [CLIENT_ID, "another app"], "azp": CLIENT_ID}):
        right = await proof(nobody, issuer, sub="right", **audience)
        await nobody.done("loginWithIdentity", SESSION, **right)
    hashed = issuer.token(hashlib.sha256(nonce.encode()).hexdigest(), sub="right")
    await nobody.done("loginWithIdentity", SESSION, **given, idToken=hashed)
    assert await nobody.refused("loginWithIdentity", **given, idToken=hashed) == REFUSED  # spent


async def test_a_nonce_is_ours_for_this_issuer_and_this_purpose(
    http: httpx2.AsyncClient, issuer: Issuer, world: World
) -> None:
    nobody, challenges = Api(http), world.sources.factors.challenges
    soon = now() + timedelta(minutes=1)
    issued = [
        challenges.issue(Purpose.IDENTITY, issuer.name.encode(), expires_at=now() - timedelta(seconds=1)),
        challenges.issue(Purpose.PASSKEY, issuer.name.encode(), expires_at=soon),
        challenges.issue(Purpose.IDENTITY, b"https://another.example", expires_at=soon),
    ]
    nonces = ["", "nonsense", *(base64.urlsafe_b64encode(each).decode() for each in issued)]
    for nonce in nonces:
        given = {"issuer": issuer.name, "nonce": nonce, "idToken": issuer.token(nonce)}
        assert await nobody.refused("loginWithIdentity", **given) == REFUSED
    assert await nobody.refused("beginIdentity", issuer="https://another.example") == ("NOT_ALLOWED", ["issuer"])


async def test_an_identity_is_one_factor_of_an_account_with_two(http: httpx2.AsyncClient, issuer: Issuer) -> None:
    ana, nobody = await Person.register(http), Api(http)
    await ana.done("linkIdentity", **await proof(ana, issuer, sub="careful"))
    begun = await ana.done("beginSecondFactor", "secret", password=PASSWORD)
    confirmed = await ana.done("confirmSecondFactor", "recoveryCodes", oneTimeCode=pyotp.TOTP(begun["secret"]).now())
    payload = await nobody.do("loginWithIdentity", SESSION, **await proof(nobody, issuer, sub="careful"))
    assert [error["code"] for error in payload["userErrors"]] == ["SECOND_FACTOR_REQUIRED"]
    assert payload["tokens"] is None
    challenge, code = payload["secondFactor"]["challenge"], confirmed["recoveryCodes"][0]
    done = await nobody.done("completeLogin", "viewer { user { id } }", challenge=challenge, oneTimeCode=code)
    assert done["viewer"]["user"]["id"] == ana.id


async def test_linking_needs_a_fresh_proof(http: httpx2.AsyncClient, issuer: Issuer, world: World) -> None:
    ana = await Person.register(http)
    stale = {"$set": {"confirmed_at": now() - timedelta(minutes=11)}}
    await world.sources.database["sessions"].update_many({"user_id": from_global_id(ana.id)[1]}, stale)
    for name, given in (("linkIdentity", await proof(ana, issuer)), ("unlinkIdentity", {"linkedIdentityId": "none"})):
        assert await ana.refused(name, **given) == ("IDENTITY_NOT_CONFIRMED", None)


async def test_of_two_accounts_that_link_one_identity_one_gets_it(world: World, other: World) -> None:
    stores: list[IdentityStore] = [world.sources.factors.identities, other.sources.factors.identities]
    accounts = [ObjectId() for _ in range(6)]
    links = [
        stores[n % 2].link(account, "https://issuer.example", "wanted", now()) for n, account in enumerate(accounts)
    ]
    outcomes = await asyncio.gather(*links, return_exceptions=True)
    assert sum(each is None for each in outcomes) == 1
    assert all(each is None or isinstance(each, Refusal) for each in outcomes)
    owner = await stores[0].owner("https://issuer.example", "wanted")
    factors = [await world.sources.factors.stored.of_user(account) for account in accounts]
    assert [each.id for each in factors if each.identities] == [owner]
    await stores[0].erase(owner or ObjectId())
    assert await stores[1].owner("https://issuer.example", "wanted") is None


async def test_an_account_links_a_bounded_number(world: World) -> None:
    store, account = world.sources.factors.identities, ObjectId()
    for number in range(IDENTITIES_MAX):
        await store.link(account, "https://issuer.example", f"bounded {number}", now())
    with pytest.raises(Refusal) as refused:
        await store.link(account, "https://issuer.example", "one more", now())
    assert refused.value.code is UserErrorCode.NOT_ALLOWED
    assert await store.owner("https://issuer.example", "one more") is None


async def test_keys_are_fetched_seldom_and_outlive_their_issuer(issuer: Issuer) -> None:
    at = [1_000_000.0]
    tokens = IdentityTokens([issuer.settings], lambda: at[0])
    fetched = issuer.fetched
    good, rotated = issuer.token("n"), issuer.token("n", header={"kid": "another"})
    try:
        assert all(await asyncio.gather(*(tokens.verify(issuer.name, good) for _ in range(20))))
        for _ in range(20):  # whoever makes up key ids makes us fetch once a minute
            assert await tokens.verify(issuer.name, rotated) is None
        assert issuer.fetched == fetched + 1
        at[0] += identity_tokens.AGAIN_SECONDS + 1
        assert await tokens.verify(issuer.name, rotated) is None
        assert issuer.fetched == fetched + 2
        issuer.status = 500
        at[0] += identity_tokens.FRESH_SECONDS + 1
        assert await tokens.verify(issuer.name, good) is not None
        at[0] += identity_tokens.STALE_SECONDS
        with pytest.raises(Refusal) as away:
            await tokens.verify(issuer.name, good)
        assert away.value.code is UserErrorCode.BUSY
    finally:
        issuer.status = 200
        await tokens.aclose()


async def test_a_set_of_keys_that_is_too_large_is_not_read(issuer: Issuer) -> None:
    issuer.padding, tokens = "x" * identity_tokens.KEYS_BYTES_MAX, IdentityTokens([issuer.settings])
    try:
        with pytest.raises(Refusal):
            await tokens.verify(issuer.name, issuer.token("n"))
    finally:
        issuer.padding = ""
        await tokens.aclose()


def test_google_and_apple_are_known_and_keys_come_over_https() -> None:
    settings = Settings.model_validate({"google_client_ids": "g1,g2", "apple_client_ids": "a"})
    assert [(each.issuer, each.client_ids) for each in settings.issuers] == [
        ("https://accounts.google.com", ("g1", "g2")),
        ("https://appleid.apple.com", ("a",)),
    ]
    other = {"issuer": "https://i.example", "client_ids": ["c"], "jwks_url": "http://i.example/keys"}
    with pytest.raises(ValueError, match="https"):
        Settings.model_validate({"identity_issuers": [other]})
    with pytest.raises(ValueError, match="algorithms"):
        Settings.model_validate({"identity_issuers": [{**other, "algorithms": ["HS256"]}]})
