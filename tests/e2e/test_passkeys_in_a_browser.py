"""A passkey in a real browser: WebAuthn at http://localhost, since browsers refuse it for an IP address."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import Register
from tests.support.chromium import CHROMIUM, browsing
from tests.support.client import Api
from tests.support.stack import Stack

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
SESSION = "tokens { accessToken } viewer { user { id } }"
CREATE = """(async () => JSON.stringify((await navigator.credentials.create(
  {publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(%s))})).toJSON()))()"""
GET = """(async () => JSON.stringify((await navigator.credentials.get(
  {publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(%s))})).toJSON()))()"""


async def test_a_browser_adds_a_passkey_and_logs_in_with_it(register: Register, stack: Stack, tmp_path: Path) -> None:
    ana = await register()
    nobody = Api(ana.http)
    async with browsing(tmp_path) as page:
        await page.open(f"http://localhost:{urlsplit(stack.url).port}/livez")
        await page.add_authenticator()
        begun = await ana.done("beginPasskey", "options")
        answer = await page.run(CREATE % json.dumps(begun["options"]))
        added = await ana.done("confirmPasskey", "viewer { passkeys { name } }", name="browser", passkey=answer)
        assert added["viewer"]["passkeys"] == [{"name": "browser"}]
        for _ in range(2):
            options = (await nobody.done("beginPasskeyLogin", "options"))["options"]
            used = await page.run(GET % json.dumps(options))
            payload = await nobody.done("loginWithPasskey", SESSION, passkey=used)
            assert payload["viewer"]["user"]["id"] == ana.id
        refused = await nobody.refused("loginWithPasskey", passkey=used)
        assert refused == ("INVALID_CREDENTIALS", ["passkey"])
