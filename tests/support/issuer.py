"""An issuer of OpenID Connect: a real HTTP server with its public keys, and ID tokens of whatever kind a test needs."""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from datasources.settings.identities import IssuerSettings

CLIENT_ID = "photogram-app"


class Issuer:
    """Its keys, how often they were fetched, and how it answers. `keys` may be replaced."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self.name = "https://issuer.example"
        self.url = ""
        self.status = 200
        self.fetched = 0
        self.padding = ""

    @property
    def settings(self) -> IssuerSettings:
        return IssuerSettings(issuer=self.name, jwks_url=self.url, client_ids=(CLIENT_ID, "photogram-web"))

    def token(
        self, nonce: str, /, *, key: RSAKey | None = None, header: dict[str, Any] | None = None, **changed: Any
    ) -> str:
        """An ID token; a claim that is changed to None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.name,
            "sub": "a person",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 600,
            "nonce": nonce,
            "email": "ana@example.com",
            **changed,
        }
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": "first", **(header or {})}, given, key or self.key)

    async def answer(self, _request: web.Request) -> web.Response:
        self.fetched += 1
        keys = KeySet([self.key]).as_dict(private=False)
        keys["keys"].insert(0, {"kty": "of the future", "kid": "new"})
        return web.json_response({**keys, "padding": self.padding}, status=self.status)


@contextlib.asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """An issuer on loopback."""
    issuer, app = Issuer(), web.Application()
    app.router.add_get("/keys", issuer.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
        yield issuer
    finally:
        await runner.cleanup()
