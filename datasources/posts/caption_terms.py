"""By which words of their captions posts are found: one document for each post, which `ListingStore` writes with it."""

from collections.abc import Iterable

from bson import ObjectId
from pymongo import DeleteOne, ReplaceOne

from datasources.mongo.client import Database, Document, Session
from datasources.mongo.queries import find_ids
from domain.caption_search import caption_terms, language_of
from domain.records.posts import PostRecord, PostStatus
from domain.records.users import UserRecord
from domain.topics import is_listed
from domain.visibility import ONESELF, can_view_post


def caption_entry(post: Document, author: Document | None, language: str | None = None) -> Document | None:
    """What is stored for a post as it is; None if nobody finds it by a word.

    `is_open` says whether everybody finds it: strangers may see it, and its author wants to be found. If not, its
    author alone does. Nobody finds a post that was never ready. Without `language` the caption is in the author's.
    """
    account = None if author is None else UserRecord.from_document(author)
    record = PostRecord.from_document(post)
    is_unready = record.status in (PostStatus.PROCESSING, PostStatus.FAILED)
    if author is None or account is None or is_unready or not can_view_post(record, account, ONESELF):
        return None
    language = language or language_of(author.get("language"))
    terms = caption_terms(record.caption, language)
    wants = author.get("preferences", {}).get("is_in_search", True)
    is_open = bool(wants and is_listed(record, account))
    fields = {"_id": record.id, "author_id": record.author_id}
    return {**fields, "is_open": is_open, "language": language, "terms": terms} if terms else None


class CaptionTermStore:
    """The collection `caption_terms`. Searches read it (`datasources/discovery/caption_search.py`)."""

    def __init__(self, database: Database) -> None:
        self._entries = database["caption_terms"]

    async def erase_of_post(self, post_id: ObjectId, author_id: ObjectId) -> None:
        """Deletes the words of a post. Safe to repeat."""
        await self._entries.delete_one({"_id": post_id, "author_id": author_id})

    async def erase_of_author(self, author_id: ObjectId, limit: int) -> bool:
        """Deletes the words of up to `limit` posts of a deleted account; whether there were any. Safe to repeat.

        Posts whose LIST is done by a process of an older version leave them behind.
        """
        ids = await find_ids(self._entries, {"author_id": author_id}, limit=limit)
        if ids:
            await self._entries.delete_many({"_id": {"$in": ids}, "author_id": author_id})
        return bool(ids)

    async def write(self, entries: Iterable[tuple[Document, Document | None]], session: Session) -> None:
        """Stores what `caption_entry` says of these posts, given with it, in the caller's transaction."""
        writes: list[ReplaceOne[Document] | DeleteOne] = []
        for post, entry in entries:
            key = {"_id": post["_id"], "author_id": post["author_id"]}
            writes.append(DeleteOne(key) if entry is None else ReplaceOne(key, entry, upsert=True))
        if writes:
            await self._entries.bulk_write(writes, ordered=False, session=session)
