"""What is screened of posts and profiles, and that it was."""

from collections.abc import Mapping, Sequence

from bson import ObjectId

from datasources.jobs.outbox import mark_done
from datasources.mongo.client import Database, Readable
from domain.jobs import Task
from domain.records.posts import PostRecord
from domain.records.users import UserRecord

SCREENING_ID = ObjectId(b"screening\0\0\0")  # who reports what screening finds: no account has this id


class ScreeningStore:
    """Marks the screening of documents of `posts` and `users` done, if their words are still those that were read."""

    def __init__(self, database: Database) -> None:
        self._posts, self._users = database["posts"], database["users"]
        self._uploads: Readable = database["uploads"]

    async def digests(self, owner_id: ObjectId, upload_ids: Sequence[ObjectId]) -> Mapping[ObjectId, str]:
        """The SHA-256, in base64, of the files that an owner has uploaded, by upload; one that is gone is left out."""
        query = {"owner_id": owner_id, "_id": {"$in": list(upload_ids)}}
        rows = self._uploads.find(query, {"sha256": 1})
        return {row["_id"]: str(row.get("sha256") or "") for row in await rows.to_list()}

    async def mark_post_screened(self, post: PostRecord) -> None:
        """Safe to repeat. A post whose words have changed meanwhile stays to be screened."""
        place = None if post.location is None else post.location.name
        same = {"_id": post.id, "author_id": post.author_id, "caption": post.caption, "location.name": place}
        await self._posts.update_one(same, mark_done(Task.SCREEN))

    async def mark_user_screened(self, user: UserRecord) -> None:
        """Safe to repeat. A profile that has changed meanwhile stays to be screened."""
        fields = ("username", "display_name", "biography", "website")
        avatar_id = None if user.avatar is None else user.avatar.id
        same = {"_id": user.id, "avatar.id": avatar_id, **{name: getattr(user, name) for name in fields}}
        await self._users.update_one(same, mark_done(Task.SCREEN))
