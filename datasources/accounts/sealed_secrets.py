"""Seals what must be read again but not by who reads the database: AES-256-GCM, with the keys of the settings.

What is sealed is bound to what it is about, so that a sealed secret of one account is none of another.
"""

import base64
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config import Settings
from domain.errors import Refusal, UserErrorCode

_NONCE_BYTES = 12
_LOCAL_KEY = b"photogram, on this machine only."  # 32 bytes; never in production


class Sealing:
    """Seals with the first key, opens with any of them. Without keys nothing can be sealed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, secret: bytes, about: bytes) -> bytes:
        """The sealed secret. Raises Refusal (NOT_ALLOWED) without a key."""
        if not self._ciphers:
            message = "This service is not set up for that: it lacks PHOTOGRAM_SECRET_KEYS."
            raise Refusal(UserErrorCode.NOT_ALLOWED, message)
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret, about)

    def open(self, sealed: bytes, about: bytes) -> bytes | None:
        """What was sealed about this; None for what was not sealed, or by a key that is gone."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
            except (InvalidTag, ValueError):
                continue
        return None


def sealing_of(settings: Settings) -> Sealing:
    """Sealing with the keys of the settings."""
    return Sealing(keys_of(settings))


def keys_of(settings: Settings) -> list[bytes]:
    """The secret keys of the settings; a well-known one where none are set, outside production."""
    keys = [base64.urlsafe_b64decode(key.get_secret_value()) for key in settings.secret_keys]
    if not keys and settings.environment != "production":
        keys = [_LOCAL_KEY]
    return keys


def hashing_keys(settings: Settings) -> Sequence[bytes]:
    """Keys of hashes that nobody can guess values of who has only the database: one for each key of the settings.

    The first one hashes. With all of them, and the last one, which is that of a service without keys, is found what
    was hashed before the keys were changed.
    """
    keys = [base64.urlsafe_b64decode(key.get_secret_value()) for key in settings.secret_keys]
    return [hmac.digest(key, b"hashing", "sha256") for key in (*keys, _LOCAL_KEY)]
