"""An authenticator in software: makes passkeys and answers challenges, as a phone or a security key does."""

import base64
import hashlib
import json
import secrets
import struct
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

ORIGIN = "http://localhost:8000"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encoded(data: bytes) -> str:
    """Base64 as WebAuthn has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One passkey. Attributes that are changed make answers that a server must refuse."""

    def __init__(self, *, rp_id: str = "localhost", origin: str = ORIGIN, counts: bool = True) -> None:
        self.credential_id = secrets.token_bytes(32)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.user_handle: bytes | None = None
        self.rp_id, self.origin = rp_id, origin
        self.flags = PRESENT | VERIFIED
        self.sign_count = 0
        self._counts = counts

    def create(self, options: str) -> str:
        """The answer to the options of beginPasskey."""
        asked = json.loads(options)
        self.user_handle = decoded(asked["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        key = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + cbor2.dumps(key)
        data = self._data(self.flags | ATTESTED) + attested
        made = {"fmt": "none", "attStmt": {}, "authData": data}
        response = {
            "clientDataJSON": encoded(self._client_data("webauthn.create", asked["challenge"])),
            "attestationObject": encoded(cbor2.dumps(made)),
            "transports": ["internal", "of the future"],
        }
        return self._answer(response)

    def use(self, options: str, **changed: Any) -> str:
        """The answer to the options of beginPasskeyLogin; `changed` replaces parts of the response."""
        self.sign_count += self._counts
        data = self._data(self.flags)
        client_data = self._client_data("webauthn.get", json.loads(options)["challenge"])
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": encoded(client_data),
            "authenticatorData": encoded(data),
            "signature": encoded(signature),
            "userHandle": None if self.user_handle is None else encoded(self.user_handle),
        }
        return self._answer({**response, **changed})

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + struct.pack(">BI", flags, self.sign_count)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _answer(self, response: dict[str, Any]) -> str:
        return json.dumps(
            {
                "id": encoded(self.credential_id),
                "rawId": encoded(self.credential_id),
                "type": "public-key",
                "response": response,
                "clientExtensionResults": {},
            }
        )
