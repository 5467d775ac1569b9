"""Registrations whose addresses are not verified yet."""

from datetime import datetime

from domain.records.record import Stored


class RegistrationRecord(Stored, frozen=True, kw_only=True):
    """An account that comes into being, with the same id, when its address is verified.

    `registered_on` is the hash of the token that the device got which has registered.
    """

    username: str
    email: str
    password_hash: str
    display_name: str
    language: str | None = None
    idempotency_key: str | None = None
    idempotency_digest: bytes | None = None
    registered_on: str | None = None
    created_at: datetime
    expires_at: datetime
