"""The tokens of sessions: a session's id and 256 bits that only its owner has.

They are derived from a secret and a salt, so that the same secret gets the same tokens again.
"""

import base64
import hmac
from datetime import datetime

import msgspec
from bson import ObjectId


class Tokens(msgspec.Struct, frozen=True):
    access_token: str
    access_token_expires_at: datetime
    refresh_token: str


def derived_token(session_id: ObjectId, salt: bytes, secret: str) -> str:
    """The token of a session that this secret makes with this salt."""
    derived = hmac.digest(salt, secret.encode(errors="replace"), "sha256")
    return base64.urlsafe_b64encode(session_id.binary + derived).decode().rstrip("=")


def session_id_of(token: str) -> ObjectId | None:
    """The id of the session that a token claims; None for what is no token."""
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return ObjectId(raw[:12]) if len(raw) == 44 else None
