"""The tokens in mails: 256 random bits each, of which only a hash is stored.

A token begins with the id of its document, so it is found by primary key. It is good once; whoever used it may send it
again for a minute, because an answer may get lost.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from domain.errors import Refusal, UserErrorCode
from domain.limits import REFRESH_GRACE_SECONDS
from domain.mails import TokenPurpose
from domain.records.record import Stored

_ID_BYTES, _SECRET_BYTES = 12, 32
GRACE = timedelta(seconds=REFRESH_GRACE_SECONDS)


class MailToken(Stored, frozen=True, kw_only=True):
    """What a token is good for: the account `user_id`, or the registration of that id, and the address it was sent to.

    It is `used` if this is the retry of whoever used it.
    """

    purpose: TokenPurpose
    user_id: ObjectId
    email: str
    used: bool = False


class MailTokenStore:
    """The collection `mail_tokens`; a TTL index removes what has expired."""

    def __init__(self, database: Database) -> None:
        self._tokens = database["mail_tokens"]

    async def make(self, purpose: TokenPurpose, email: str, user_id: ObjectId) -> str:
        """A new token, which is sent to this address. Earlier ones stay good: a mail may be sent twice."""
        token_id, secret = clock.new_id(), secrets.token_bytes(_SECRET_BYTES)
        await self._tokens.insert_one(
            {
                "_id": token_id,
                "hash": _hash(secret),
                "purpose": purpose.value,
                "email": email,
                "user_id": user_id,
                "expires_at": clock.now() + purpose.life,
            }
        )
        return base64.urlsafe_b64encode(token_id.binary + secret).decode().rstrip("=")

    async def find(self, token: str, purpose: TokenPurpose | None = None) -> MailToken:
        """What a token is good for, also if it was used within `GRACE`.

        Raises Refusal (TOKEN_EXPIRED) for any other text, and for a token of another purpose than the given one.
        """
        token_id, secret = _parse(token)
        document = await self._tokens.find_one({"_id": token_id, "expires_at": {"$gt": clock.now()}})
        stored = document["hash"] if document is not None else _hash(b"")
        if not hmac.compare_digest(_hash(secret), stored) or document is None:
            raise token_expired()
        if purpose not in (None, document["purpose"]):
            raise token_expired()
        return MailToken.from_document(document)

    async def use(self, token: MailToken, session: Session) -> None:
        """Uses a token up within the caller's transaction. Raises Refusal (TOKEN_EXPIRED) if somebody else has."""
        query = {"_id": token.id, "used": {"$ne": True}}
        used = await self._tokens.update_one(
            query, {"$set": {"used": True, "expires_at": clock.now() + GRACE}}, session=session
        )
        if not used.matched_count:
            raise token_expired()

    async def revoke(
        self, user_id: ObjectId, purpose: TokenPurpose, session: Session, *, kept_email: str | None = None
    ) -> None:
        """Ends an account's unused tokens of a purpose but those to one address, within the caller's transaction."""
        unused: Document = {
            "user_id": user_id,
            "purpose": purpose.value,
            "used": {"$ne": True},
            "email": {"$ne": kept_email},
        }
        await self._tokens.delete_many(unused, session=session)

    async def delete_of_account(self, user_id: ObjectId) -> bool:
        """Deletes the tokens of a deleted account; False, as there are no more then. Safe to repeat."""
        await self._tokens.delete_many({"user_id": user_id})
        return False


def _parse(token: str) -> tuple[ObjectId | None, bytes]:
    """The id and the secret of a token; of what is no token, none that exist."""
    try:
        raw = base64.b64decode(token.strip().encode("ascii") + b"=" * (-len(token.strip()) % 4), b"-_", validate=True)
    except ValueError:
        return None, b""
    if len(raw) != _ID_BYTES + _SECRET_BYTES:
        return None, b""
    return ObjectId(raw[:_ID_BYTES]), raw[_ID_BYTES:]


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def token_expired() -> Refusal:
    message = "This link or code is not valid, not any more, or was used; ask for a new one."
    return Refusal(UserErrorCode.TOKEN_EXPIRED, message, field=["token"])
