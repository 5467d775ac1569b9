"""What an account is entered with beside its password: one-time codes, recovery codes, passkeys."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.record import Record, Stored


class SecondFactorMethod(StrEnum):
    """A second factor that an account can have."""

    ONE_TIME_CODE = "ONE_TIME_CODE"
    RECOVERY_CODE = "RECOVERY_CODE"
    PASSKEY = "PASSKEY"


class PasskeyRecord(Record, frozen=True, kw_only=True):
    """A key pair of a device or a cloud, of which the public half is here."""

    id: ObjectId
    name: str
    credential_id: bytes
    public_key: bytes
    sign_count: int = 0
    transports: list[str] = []
    is_backed_up: bool = False
    created_at: datetime
    last_used_at: datetime


class IdentityRecord(Record, frozen=True, kw_only=True):
    """An identity of another service, which can log in; `key` is a hash of issuer and subject."""

    id: ObjectId
    issuer: str
    key: bytes
    linked_at: datetime


class FactorsRecord(Stored, frozen=True, kw_only=True):
    """The factors of one account, whose id it has. `secret` is that of one-time codes, sealed; None: they are off."""

    secret: bytes | None = None
    recovery_hashes: list[bytes] = []
    passkeys: list[PasskeyRecord] = []
    identities: list[IdentityRecord] = []

    @property
    def has_codes(self) -> bool:
        """Whether a login by password needs a second factor."""
        return self.secret is not None
