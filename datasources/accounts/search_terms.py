"""By what an account is found: the part `search` of its document, written with what it is made of.

- `n0` to `n5`: the keys (`domain/people_search.py`).
- `spellings`: the signatures for typing errors.
- `popularity`: how many followers, about. Active accounts have it that have not chosen to be left out.
"""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from datasources.jobs.outbox import Stage
from datasources.mongo.client import Database, Document
from datasources.mongo.search_keys import SEARCH, key_fields, listing_if
from domain.people_search import terms_of
from domain.records.users import UserState
from domain.search_keys import popularity

SPELLINGS = f"{SEARCH}.spellings"
IN_SEARCH = "preferences.is_in_search"  # absent for true

_IS_LISTED = {"$and": [{"$eq": ["$state", UserState.ACTIVE.value]}, {"$ne": [f"${IN_SEARCH}", False]}]}
_NAMES = dict.fromkeys(("username", "display_name", "state"), 1)
_AT_ONCE = 1_000

# The end of an update pipeline that changes the state, the followers or the preference.
LIST_IN_SEARCH: Stage = listing_if(_IS_LISTED, "follower_count")


def search_fields(account: Document) -> Document:
    """The part `search` of an account as it is stored; nothing of a deleted one."""
    if account["state"] == UserState.DELETED.value:
        return {}
    fields = _terms(account["username"], account["display_name"])
    if account["state"] == UserState.ACTIVE.value and account.get("preferences", {}).get("is_in_search", True):
        fields["popularity"] = popularity(account.get("follower_count", 0))
    return fields


def renamed(username: str, display_name: str) -> list[Stage]:
    """The end of an update pipeline that gives an account these names."""
    return [{"$set": {SEARCH: {"$literal": _terms(username, display_name)}}}, LIST_IN_SEARCH]


def _terms(username: str, display_name: str) -> Document:
    terms = terms_of(username, display_name)
    return {**key_fields(terms.keys), **({"spellings": list(terms.signatures)} if terms.signatures else {})}


async def write_search_terms(database: Database, user_id: ObjectId) -> None:
    """Writes the part `search` of an account as its names and state demand; for repairs. Safe to repeat."""
    account = await database["users"].find_one({"_id": user_id}, _NAMES)
    if account is not None:
        await database["users"].bulk_write([_correction(account)])


async def add_search_terms(database: Database) -> None:
    """Gives the accounts of a version before spellings their part `search`; nothing if its index is there.

    Safe to repeat and to run side by side. Each step is a small one.
    """
    if any(name.startswith(SPELLINGS) for name in await database["users"].index_information()):
        return
    query: Document = {}
    while rows := await database["users"].find(query, _NAMES, sort=[("_id", 1)], limit=_AT_ONCE).to_list():
        await database["users"].bulk_write([_correction(row) for row in rows], ordered=False)
        query = {"_id": {"$gt": rows[-1]["_id"]}}


def _correction(account: Mapping[str, Any]) -> UpdateOne:
    """The update of an account as it was read; it changes nothing if the names or the state are others by now."""
    same = {name: account[name] for name in ("_id", "username", "display_name", "state")}
    if account["state"] == UserState.DELETED.value:
        return UpdateOne(same, {"$unset": {SEARCH: ""}})
    return UpdateOne(same, renamed(account["username"], account["display_name"]))
