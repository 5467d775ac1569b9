"""One-time codes of authenticator apps (RFC 6238), and the recovery codes for who has lost the app.

A recovery code has 120 random bits, so a plain hash of it is safe to store.
"""

import base64
import hashlib
import secrets
from datetime import datetime

import pyotp
from pyotp.utils import strings_equal

from domain.limits import RECOVERY_CODES

ISSUER = "Photogram"
DIGITS = 6
SECONDS = 30
STEPS_OFF = 1  # a phone's clock may be so many steps off, and typing takes time
_GROUP = 6
_RECOVERY_LENGTH = 24


def new_secret() -> str:
    """A secret for an authenticator app: 160 random bits, in base 32."""
    return pyotp.random_base32()


def provisioning_url(secret: str, username: str) -> str:
    """The address of a secret that apps read as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=ISSUER)


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is, of those that are valid now; None for a wrong code."""
    codes = pyotp.TOTP(secret, digits=DIGITS, interval=SECONDS)
    current = int(now.timestamp()) // SECONDS
    steps = range(current - STEPS_OFF, current + STEPS_OFF + 1)
    matching = [step for step in steps if strings_equal(codes.generate_otp(step), code)]  # all, so that time tells none
    return matching[-1] if matching else None


def typed_code(code: str) -> str:
    """A code without the spaces and hyphens that people type."""
    return code.replace(" ", "").replace("-", "").lower()


def is_one_time_code(code: str) -> bool:
    """Whether a typed code has the form of an app's, and not of a recovery code."""
    return len(code) == DIGITS and code.isascii() and code.isdigit()


def is_recovery_code(code: str) -> bool:
    """Whether a typed code has the form of a recovery code."""
    return len(code) == _RECOVERY_LENGTH and code.isascii() and code.isalnum()


def new_recovery_codes() -> list[str]:
    """New recovery codes, in groups of letters and digits."""
    return [_grouped(base64.b32encode(secrets.token_bytes(15)).decode().lower()) for _ in range(RECOVERY_CODES)]


def recovery_hash(code: str) -> bytes:
    """What is stored of a recovery code, however it is typed."""
    return hashlib.sha256(typed_code(code).encode()).digest()


def _grouped(code: str) -> str:
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))
