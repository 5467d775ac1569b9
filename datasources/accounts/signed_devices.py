"""Tokens of known devices that say whose they are: so a process knows it without asking anybody.

It is good for nothing but points: before the account is looked up, what its devices ask without a session counts to the
account and not to an address that others may have used up. Whether a device is known is what MongoDB says.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from bson import ObjectId

_ACCOUNT_BYTES, _MAC_BYTES = 12, 16
_TOKEN_MAX = 200  # characters; ours are shorter


class SignedDevices:
    """Signs with the first key, knows what any of them has signed. Without keys nothing is signed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = [hmac.digest(key, b"known devices", hashlib.sha256) for key in keys]

    def sign(self, text: str, user_id: ObjectId) -> str:
        """The token of this secret text for a device of this account; the same one for the same text."""
        if not self._keys:
            return text
        account = user_id.binary
        return f"{text}.{base64.urlsafe_b64encode(account + _mac(self._keys[0], text, account)).decode().rstrip('=')}"

    def account_of(self, token: str) -> ObjectId | None:
        """The account that a token was signed for; None for one that we did not sign."""
        text, _, signature = token[: _TOKEN_MAX + 1].rpartition(".")
        try:
            signed = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        except (binascii.Error, ValueError):
            return None
        if len(token) > _TOKEN_MAX or len(signed) != _ACCOUNT_BYTES + _MAC_BYTES:
            return None
        account, mac = signed[:_ACCOUNT_BYTES], signed[_ACCOUNT_BYTES:]
        is_ours = any(hmac.compare_digest(mac, _mac(key, text, account)) for key in self._keys)
        return ObjectId(account) if is_ours else None


def _mac(key: bytes, text: str, account: bytes) -> bytes:
    return hmac.digest(key, account + text.encode(errors="replace"), hashlib.sha256)[:_MAC_BYTES]
