"""The words of what is reported, as they are stored when they are read."""

from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.sharded_ids import ShardedIds
from domain.limits import REPORTED_TEXT_MAX
from domain.records.moderation import ReportTargetType, Target

_WORDS = dict.fromkeys(("display_name", "biography", "caption", "text"), 1)  # each type has its own


class ReportedTexts:
    """Reads `users`, `posts` and `comments`; it writes nothing."""

    def __init__(self, database: Database, ids: ShardedIds) -> None:
        self._users: Readable = database["users"]
        self._posts: Readable = database["posts"]
        self._comments: Readable = database["comments"]
        self._ids = ids

    async def read(self, target: Target, session: Session | None = None) -> str:
        """A caption, a comment, or a name and below it a biography; empty if there is none, or it is gone."""
        of: Document = {"_id": target.id}
        row: Document | None
        match target.type:
            case ReportTargetType.USER:
                row = await self._users.find_one(of, _WORDS, session=session)
            case ReportTargetType.POST:
                row = await self._posts.find_one({**of, "author_id": target.subject_id}, _WORDS, session=session)
            case ReportTargetType.COMMENT:
                row = await self._comments.find_one({**of, **self._ids.comments([target.id])}, _WORDS, session=session)
        return "\n".join(row[name] for name in _WORDS if row and row.get(name))[:REPORTED_TEXT_MAX]
