"""Who deletes an account while it is suspended or banned cannot have its address, handles and identities again at once.

Only keyed hashes are stored, beside nothing that says whose they were. A bar ends by itself: with the suspension, or
`BAN_OUTLASTS` after the account is gone. It is read in the transaction that claims what it bars. The deletion adds it
in the transaction that frees the claim, so there is no moment between the two.
"""

import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from config import Settings
from datasources.accounts.claims import Claimed, ClaimTaken
from datasources.accounts.sealed_secrets import hashing_keys
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from domain.limits import BAN_OUTLASTS
from domain.records.users import AccountStanding, UserState


class Barred(StrEnum):
    """What can be barred."""

    USERNAME = "username"
    EMAIL = "email"
    IDENTITY = "identity"


class BarredIdentifiers:
    """The collection `barred_identifiers`, whose ids are the hashes. A TTL index removes bars that have ended."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._bars = database["barred_identifiers"]
        self._factors = database["factors"]
        self._keys = hashing_keys(settings)

    async def add_of(self, account: Document, session: Session) -> None:
        """Bars what an account had, if its standing restricts it, within the transaction that frees it. Repeatable."""
        if barred_until(account) is None:
            return
        handles = [account["username_key"], *(former["key"] for former in account.get("former_handles", ()))]
        factors = await self._factors.find_one({"_id": account["_id"]}, {"identities.key": 1}, session=session)
        identities = [each["key"] for each in (factors or {}).get("identities", ())]
        await self.add(Barred.USERNAME, handles, account, session)
        await self.add(Barred.EMAIL, verified_addresses(account), account, session)
        await self.add(Barred.IDENTITY, identities, account, session)

    async def add(self, barred: Barred, values: Iterable[str | bytes], account: Document, session: Session) -> None:
        """Bars what an account gives up, if its standing restricts it, within the caller's transaction. Repeatable."""
        until = barred_until(account)
        if until is None:
            return
        for value in values:
            bar = {"_id": self._hashes(barred, value)[0]}
            await self._bars.update_one(bar, {"$max": {"expires_at": until}}, upsert=True, session=session)

    async def has(self, barred: Barred, value: str | bytes, session: Session | None = None) -> bool:
        """Whether this is barred."""
        query = {"_id": {"$in": self._hashes(barred, value)}, "expires_at": {"$gt": clock.now()}}
        return await self._bars.find_one(query, {"_id": 1}, session=session) is not None

    async def refuse(self, account: Document, session: Session) -> None:
        """Raises ClaimTaken for an account that would have a barred handle or address."""
        if await self.has(Barred.USERNAME, account["username_key"], session):
            raise ClaimTaken(Claimed.USERNAME)
        if await self.has(Barred.EMAIL, account["email_key"], session):
            raise ClaimTaken(Claimed.EMAIL)

    def _hashes(self, barred: Barred, value: str | bytes) -> Sequence[bytes]:
        """The hash by each key; the first is the one to store."""
        data = value if isinstance(value, bytes) else value.encode()
        return [hmac.digest(key, f"{barred}:".encode() + data, "sha256") for key in self._keys]


def verified_addresses(account: Document) -> Sequence[str]:
    """The addresses that an account has or had, in lower case; one that it has not verified may be somebody else's."""
    own = [account["email_key"]] if "email_verified_at" in account else []
    return [*own, *(former["key"] for former in account.get("former_emails", ()))]


def barred_until(account: Document) -> datetime | None:
    """Until when what an account gives up now is barred; None if nothing is."""
    if account.get("state") != UserState.SUSPENDED.value:
        return None
    now = clock.now()
    ends_at: datetime | None = account.get("standing_until")
    if ends_at is None or account.get("standing") == AccountStanding.BANNED.value:
        return now + BAN_OUTLASTS
    return ends_at if ends_at > now else None
