"""Claims of handles, addresses and keys of registrations against the accounts that hold them; of keys, the comments.

Both are written in one transaction, so they agree at every moment.
"""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.accounts.claims import Claimed, claims_of, has_lapsed, kept_claims_of
from datasources.jobs.claimed_keys import key_ends_at
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids, find_ids
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.records.users import UserState
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot

UNCLAIMED = "user.unclaimed"
ORPHAN = "claim"
ORPHAN_KEY = "claim.key"
_FIELDS = dict.fromkeys(("state", "former_handles", "former_emails", *Claimed), 1)


async def _find_unclaimed(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The accounts whose handle, address or key is not claimed, or is claimed by another one."""
    accounts = await find_by_ids(sources.database["users"], ids, projection=_FIELDS, session=session)
    wanted = {user_id: claims_of(account) for user_id, account in accounts.items() if _is_held(account)}
    claim_ids = [claim["_id"] for claims in wanted.values() for claim in claims]
    found = await find_by_ids(sources.database["claims"], claim_ids, session=session)
    why = "its handle, address or key of registration is not claimed, or by another account"
    return [
        Finding(kind=UNCLAIMED, id=str(user_id), why=why)
        for user_id, claims in wanted.items()
        if any(found.get(claim["_id"]) != claim for claim in claims)
    ]


async def _find_orphans(sources: Sources, ids: Sequence[Any], session: Session) -> list[Finding]:
    """The claims whose account is gone or does not hold what they say, or whose comment is gone."""
    claims = await find_by_ids(sources.database["claims"], ids, session=session)
    user_ids = [claim["user_id"] for claim in claims.values() if "user_id" in claim]
    accounts = await find_by_ids(sources.database["users"], user_ids, projection=_FIELDS, session=session)
    keys = {claim_id: claim["fact_id"] for claim_id, claim in claims.items() if _is_kept_key(claim)}
    facts = await find_by_ids(sources.database["comments"], list(keys.values()), projection={"_id": 1}, session=session)
    why, why_key = "no account holds it, and nobody can have it", "the comment of this idempotency key is gone"
    return [
        Finding(kind=ORPHAN, id=str(claim_id), why=why)
        for claim_id, claim in claims.items()
        if "user_id" in claim and not has_lapsed(claim) and not _is_holder(accounts.get(claim["user_id"]), claim)
    ] + [
        Finding(kind=ORPHAN_KEY, id=claim_id, why=why_key) for claim_id, fact_id in keys.items() if fact_id not in facts
    ]


def _is_kept_key(claim: Document) -> bool:
    return "fact_id" in claim and "expires_at" not in claim


def _is_held(account: Document) -> bool:
    return account.get("state") != UserState.DELETED.value


def _is_holder(account: Document | None, claim: Document) -> bool:
    if account is None or not _is_held(account):
        return False
    return claim in claims_of(account) or claim in kept_claims_of(account)


async def _claim(sources: Sources, user_id: ObjectId) -> None:
    """Claims what nobody has; what another account has is left to people."""

    async def apply(session: Session) -> None:
        account = await sources.database["users"].find_one({"_id": user_id}, _FIELDS, session=session)
        wanted = claims_of(account) if account is not None and _is_held(account) else []
        ids = [claim["_id"] for claim in wanted]
        taken = await find_ids(sources.database["claims"], {"_id": {"$in": ids}}, session=session)
        missing = [claim for claim in wanted if claim["_id"] not in taken]
        if missing:
            await sources.database["claims"].insert_many(missing, session=session)

    await in_transaction(sources.client, apply)


async def _free(sources: Sources, finding: Finding) -> None:
    async def apply(session: Session) -> None:
        claim = await sources.database["claims"].find_one({"_id": finding.id}, session=session)
        if claim is None or "user_id" not in claim:
            return
        account = await sources.database["users"].find_one({"_id": claim["user_id"]}, _FIELDS, session=session)
        if not _is_holder(account, claim):
            await sources.database["claims"].delete_one(claim, session=session)

    await in_transaction(sources.client, apply)


async def _free_key(sources: Sources, finding: Finding) -> None:
    claim = await sources.database["claims"].find_one({"_id": finding.id})
    if claim is not None and _is_kept_key(claim):
        await sources.database["claims"].update_one(
            {"_id": finding.id}, {"$set": {"expires_at": key_ends_at(claim["fact_id"])}}
        )


UNCLAIMED_ACCOUNTS = Check(collection="users", find=from_snapshot(_find_unclaimed), repairs={UNCLAIMED: by_id(_claim)})
CLAIMS = Check(collection="claims", find=from_snapshot(_find_orphans), repairs={ORPHAN: _free, ORPHAN_KEY: _free_key})
