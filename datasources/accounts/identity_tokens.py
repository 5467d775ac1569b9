"""Verifies ID tokens of OpenID Connect: signature, issuer, audience, times. Nonces are the caller's.

An issuer's keys are fetched when they are first needed, kept for an hour, and fetched again when a token names one that
is not among them, at most once a minute. While the issuer is away, the keys that were fetched last are used for a day.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, import_key

from datasources.mongo import clock
from datasources.settings.identities import IssuerSettings
from domain.errors import Refusal, UserErrorCode

log = structlog.stdlib.get_logger(__name__)

FETCH_SECONDS = 5.0
KEYS_BYTES_MAX = 100_000
KEYS_MAX = 50
FRESH_SECONDS = 3600.0
AGAIN_SECONDS = 60.0  # between two fetches
STALE_SECONDS = 86_400.0
LEEWAY_SECONDS = 60
SUBJECT_MAX = 255  # as OpenID Connect says
AWAY_SECONDS = 5.0  # the same before the first one succeeds


class Identity(NamedTuple):
    """A person as an issuer knows them, and the nonce that the token was made for."""

    issuer: str
    subject: str
    nonce: str


class IdentityTokens:
    """ID tokens of the issuers of the settings; `ticks` is a stopwatch."""

    def __init__(self, issuers: Sequence[IssuerSettings], ticks: Callable[[], float] = clock.ticks) -> None:
        self._issuers = {each.issuer: _Issuer(each, ticks) for each in issuers}

    @property
    def issuers(self) -> Sequence[str]:
        """Who may vouch for identities."""
        return list(self._issuers)

    async def verify(self, issuer: str, token: str) -> Identity | None:
        """Who an ID token is about; None if it is not valid for this issuer, or it is none of ours.

        Raises Refusal (BUSY) if the issuer's keys cannot be fetched.
        """
        known = self._issuers.get(issuer)
        return None if known is None else await known.verify(token)

    async def aclose(self) -> None:
        for issuer in self._issuers.values():
            await issuer.aclose()


class _Issuer:
    """One issuer and its keys."""

    def __init__(self, settings: IssuerSettings, ticks: Callable[[], float]) -> None:
        self._settings = settings
        self._ticks = ticks
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = -STALE_SECONDS
        self._fetching = asyncio.Lock()
        self._session: ClientSession | None = None

    async def verify(self, token: str) -> Identity | None:
        try:
            header = jws.extract_compact(token.encode()).headers()
        except (JoseError, ValueError):
            return None
        keys = await self._keys_for(header.get("kid"))
        try:
            claims = jwt.decode(token, keys, algorithms=list(self._settings.algorithms)).claims
            self._check(claims)
        except (JoseError, ValueError) as error:
            log.info("identity refused", issuer=self._settings.issuer, error=type(error).__name__)
            return None
        return Identity(self._settings.issuer, claims["sub"], claims["nonce"])

    def _check(self, claims: Mapping[str, Any]) -> None:
        """Raises JoseError, and ValueError."""
        ours = list(self._settings.client_ids)
        jwt.JWTClaimsRegistry(
            now=int(clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "values": ours},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True},
        ).validate(dict(claims))
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") not in ours:
            raise ValueError("the token was made for another client")
        if not isinstance(claims["nonce"], str) or not 1 <= len(claims["sub"]) <= SUBJECT_MAX:
            raise ValueError("the token lacks a nonce or a subject")

    async def _keys_for(self, key_id: object) -> KeySet:
        now = self._ticks()
        if not self._has(key_id) or now - self._fetched_at > FRESH_SECONDS:
            async with self._fetching:  # of many at once one fetches
                pause = AWAY_SECONDS if self._keys is None else AGAIN_SECONDS
                if self._ticks() - self._tried_at > pause:
                    await self._fetch()
        if self._keys is None or self._ticks() - self._fetched_at > STALE_SECONDS:
            message = "The issuer of this identity cannot be reached; try again soon."
            raise Refusal(UserErrorCode.BUSY, message, retry_after_ms=int(AWAY_SECONDS * 1000))
        return self._keys

    def _has(self, key_id: object) -> bool:
        return self._keys is not None and any(key.kid == key_id for key in self._keys.keys)

    async def _fetch(self) -> None:
        """Fetches the keys; keeps those that there are if that fails."""
        self._tried_at = self._ticks()
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                body = await self._read()
            self._keys = KeySet(_readable_keys(json.loads(body)["keys"][:KEYS_MAX]))
            self._fetched_at = self._ticks()
        except (ClientError, OSError, ValueError, KeyError, TypeError) as error:  # TimeoutError is an OSError
            log.warning("keys of an issuer not fetched", issuer=self._settings.issuer, error=type(error).__name__)

    async def _read(self) -> bytes:
        if self._session is None:
            timeout = ClientTimeout(total=FETCH_SECONDS)
            self._session = ClientSession(timeout=timeout, cookie_jar=DummyCookieJar())
        async with self._session.get(self._settings.jwks_url, allow_redirects=False) as answer:
            answer.raise_for_status()
            body = await answer.content.read(KEYS_BYTES_MAX + 1)
            while len(body) <= KEYS_BYTES_MAX and (more := await answer.content.read(KEYS_BYTES_MAX)):
                body += more
        if answer.status != 200 or len(body) > KEYS_BYTES_MAX:
            raise ValueError("no answer, or too large")
        return body

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


def _readable_keys(keys: Sequence[Any]) -> list[Key]:
    """Those public keys of a set that the library can use; a key of a new kind must not lock everybody out."""
    readable: list[Key] = []
    for key in keys:
        if isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP"):
            with contextlib.suppress(JoseError, ValueError):
                readable.append(import_key(key))
    return readable
