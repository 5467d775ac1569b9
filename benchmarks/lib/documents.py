"""Users and posts in bulk: the documents that the product would have written, inserted at once."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.mongo import clock
from datasources.sources import Sources
from domain.image_formats import RenditionFormat
from domain.limits import RENDITION_WIDTHS
from domain.records.images import ImageRecord, RenditionRecord
from domain.records.posts import PostStatus
from domain.records.users import UserState

CHUNK = 5_000


async def insert(sources: Sources, collection: str, rows: list[dict[str, Any]]) -> None:
    """Inserts rows in chunks, because one operation's time is limited."""
    for start in range(0, len(rows), CHUNK):
        await sources.database[collection].insert_many(rows[start : start + CHUNK], ordered=False)


async def users(sources: Sources, count: int) -> list[ObjectId]:
    """Accounts that anybody may see."""
    ids = [ObjectId() for _ in range(count)]
    await insert(
        sources,
        "users",
        [
            {
                "_id": user_id,
                "username": f"user_{user_id}",
                "username_key": f"user_{user_id}",
                "email": f"{user_id}@example.com",
                "email_key": f"{user_id}@example.com",
                "password_hash": "",
                "display_name": f"User {number}",
                "avatar": _image(user_id),
                "created_at": clock.now(),
                "state": UserState.ACTIVE.value,
            }
            for number, user_id in enumerate(ids)
        ],
    )
    return ids


async def posts(sources: Sources, author_ids: Sequence[ObjectId]) -> list[ObjectId]:
    """One ready post with one image by each of these authors, in this order, the oldest first."""
    rows = [post(author_id) for author_id in author_ids]
    await insert(sources, "posts", rows)
    return [row["_id"] for row in rows]


def post(author_id: ObjectId) -> dict[str, Any]:
    """A ready post with nothing pending."""
    post_id, upload_id = ObjectId(), ObjectId()
    return {
        "_id": post_id,
        "author_id": author_id,
        "caption": "Low sun over the harbour, just before the rain came in. #harbour #evening",
        "hashtags": ["harbour", "evening"],
        "mention_ids": [],
        "location": {"name": "The old harbour", "latitude": 53.54, "longitude": 9.97},
        "comments_enabled": True,
        "status": PostStatus.READY.value,
        "image_inputs": [],
        "upload_ids": [upload_id],
        "images": [_image(upload_id)],
        "created_at": clock.now(),
        "deleted": False,
        "counted": True,
        "version": 1,
    }


def follow(follower_id: ObjectId, followee_id: ObjectId, slot: int, *, is_pulled: bool = False) -> dict[str, Any]:
    """A follow, counted and with nothing pending."""
    row = {"_id": ObjectId(), "follower_id": follower_id, "followee_id": followee_id, "state": "FOLLOWING"}
    return {**row, "slot": slot, "version": 1, "counted": True, **({"pulled": True} if is_pulled else {})}


def _image(image_id: ObjectId) -> dict[str, Any]:
    renditions = [
        RenditionRecord(
            key=f"public/{image_id}/0/{width}", format=kind, width=width, height=width, byte_size=width * 100
        )
        for width in RENDITION_WIDTHS
        for kind in (RenditionFormat.JPEG, RenditionFormat.WEBP)
    ]
    return ImageRecord(
        id=image_id,
        width=3024,
        height=3024,
        blur_hash="LEHV6nWB2yk8pyo0adR*.7kCMdnj",
        dominant_color="#7c6a5d",
        is_animated=False,
        renditions=renditions,
    ).to_document()
