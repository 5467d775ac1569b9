"""By what accounts are found, against their names, states, preferences and followers: one document has all of them."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.accounts.search_terms import IN_SEARCH, search_fields, write_search_terms
from datasources.mongo.client import Session
from datasources.mongo.queries import find_by_ids
from datasources.mongo.search_keys import SEARCH
from datasources.sources import Sources
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot

WRONG = "user.search"
_FIELDS = dict.fromkeys(("username", "display_name", "state", "follower_count", IN_SEARCH, SEARCH), 1)


async def _find_wrong(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The accounts that are found by other names than they have, or in the wrong place, or not at all."""
    accounts = await find_by_ids(sources.database["users"], ids, projection=_FIELDS, session=session)
    why = "a search does not find it by its names, or by others"
    return [
        Finding(kind=WRONG, id=str(user_id), why=why)
        for user_id, account in accounts.items()
        if account.get(SEARCH, {}) != search_fields(account)
    ]


async def _correct(sources: Sources, user_id: ObjectId) -> None:
    await write_search_terms(sources.database, user_id)


SEARCH_TERMS = Check(collection="users", find=from_snapshot(_find_wrong), repairs={WRONG: by_id(_correct)})
