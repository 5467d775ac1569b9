"""Identities of other services: the links by which they log in, against the factors that the account sees.

Both are written in one transaction, so they agree at every moment.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from datasources.accounts.linked_identities import link_id_of
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.records.users import UserState
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot

LINK = "identity_link.user_id"
UNLINKED = "factor.identities"
_KEYS = {"identities.key": 1}


async def _find_unlisted(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The links of accounts that are gone or do not list them. A deleted account loses all of its links anyway."""
    links = await find_by_ids(sources.database["identity_links"], ids, session=session)
    user_ids = list({link["user_id"] for link in links.values()})
    accounts = await _states(sources, user_ids, session)
    factors = await find_by_ids(sources.database["factors"], user_ids, projection=_KEYS, session=session)
    why = "its account is gone, or does not show it among its identities"
    return [
        Finding(kind=LINK, id=str(link_id), why=why)
        for link_id, link in links.items()
        if accounts.get(link["user_id"]) != UserState.DELETED.value
        and (link["user_id"] not in accounts or link.get("key") not in _keys(factors.get(link["user_id"])))
    ]


async def _find_unlinked(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The accounts that show an identity that does not log in to them."""
    factors = await find_by_ids(sources.database["factors"], ids, projection=_KEYS, session=session)
    accounts = await _states(sources, list(factors), session)
    link_ids = [link_id_of(key) for document in factors.values() for key in _keys(document)]
    links = await find_by_ids(sources.database["identity_links"], link_ids, session=session)
    why = "it shows an identity that does not log in to it"
    return [
        Finding(kind=UNLINKED, id=str(user_id), why=why)
        for user_id, document in factors.items()
        if accounts.get(user_id, UserState.DELETED.value) != UserState.DELETED.value
        and any(links.get(link_id_of(key)) != _link(user_id, key) for key in _keys(document))
    ]


async def _states(sources: Sources, user_ids: Sequence[ObjectId], session: Session) -> Mapping[ObjectId, Any]:
    rows = await find_by_ids(sources.database["users"], user_ids, projection={"state": 1}, session=session)
    return {user_id: row.get("state") for user_id, row in rows.items()}


def _keys(factors: Document | None) -> list[bytes]:
    return [each["key"] for each in (factors or {}).get("identities", ())]


def _link(user_id: ObjectId, key: bytes) -> Document:
    return {"_id": link_id_of(key), "key": key, "user_id": user_id}


async def _unlink(sources: Sources, link_id: ObjectId) -> None:
    """Deletes a link that its account does not show, and so cannot remove; the identity logs in no more."""

    async def apply(session: Session) -> None:
        link = await sources.database["identity_links"].find_one({"_id": link_id}, session=session)
        if link is not None and await _find_unlisted(sources, [link_id], session):
            await sources.database["identity_links"].delete_one(link, session=session)

    await in_transaction(sources.client, apply)


async def _link_again(sources: Sources, user_id: ObjectId) -> None:
    """Links what nobody has. Raises DuplicateKeyError where another account has it, which is left to people."""

    async def apply(session: Session) -> None:
        links = sources.database["identity_links"]
        factors = await sources.database["factors"].find_one({"_id": user_id}, _KEYS, session=session)
        for key in _keys(factors):
            if await links.find_one(_link(user_id, key), session=session) is None:
                await links.insert_one(_link(user_id, key), session=session)

    await in_transaction(sources.client, apply)


IDENTITIES = Check(collection="identity_links", find=from_snapshot(_find_unlisted), repairs={LINK: by_id(_unlink)})
LISTED_IDENTITIES = Check(
    collection="factors", find=from_snapshot(_find_unlinked), repairs={UNLINKED: by_id(_link_again)}
)
