"""Publishes the demo's pictures as a client would: announced, PUT with a presigned request, rendered, posted."""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Self, TypeVar

import httpx2
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from datasources.mongo import clock
from deploy.demo.carousel import cut
from deploy.demo.people import NUMBERS, joined_at, user_id
from deploy.demo.pictures import DemoPicture, avatar, picture
from deploy.demo.story import PlannedPost
from deploy.local.errors import StartError
from domain.jobs import Fact, Job, Task
from domain.limits import MENTIONS_MAX
from domain.records.images import TagRecord
from domain.records.posts import PostDraft, PostImage, PostRecord, PostStatus
from domain.records.uploads import UploadRecord, UploadStatus
from domain.text import hashtags, mentions
from workers.registry import HANDLERS
from workers.runtime.handler import RetryLater, Tools

ATTEMPTS = 5  # to replace what an earlier, interrupted seeding left to expire
PAINTERS = 2
RENDER_SECONDS = 120.0
PUT_SECONDS = 30.0
_LOST = (UploadStatus.REJECTED, UploadStatus.EXPIRED)

Painted = TypeVar("Painted")


class Publisher:
    """Makes posts and avatars. Everything has an idempotency key, so that nothing is made twice.

    Used within `async with`. Its methods may run side by side and raise StartError if S3 does not take a picture.
    """

    def __init__(self, tools: Tools, now: datetime) -> None:
        self._tools = tools
        self._sources = tools.sources
        self._now = now
        self._painters = asyncio.Semaphore(PAINTERS)
        self._http = httpx2.AsyncClient(timeout=PUT_SECONDS, transport=httpx2.AsyncHTTPTransport(retries=3))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._http.aclose()

    async def avatar(self, username: str) -> None:
        """Gives a person a face, unless there is one."""
        owner_id = user_id(username)
        (person,) = await self._sources.users.by_ids([owner_id])
        if person is None or person.avatar is not None:
            return
        face = await self._paint(lambda: avatar(NUMBERS[username]))
        upload = await self._upload(owner_id, "avatar", face, joined_at(username))
        await self._await_image(upload.id)
        taken = await self._sources.uploads.take_as_avatar(upload.id, owner_id)
        if taken is not None and taken.image is not None:
            await self._sources.users.update_profile(owner_id, {"avatar": taken.image})

    async def post(self, planned: PlannedPost) -> PostRecord:
        """The post with its images rendered, made unless it is there."""
        author_id, key = user_id(planned.author), f"demo:post:{planned.number}"
        for attempt in range(ATTEMPTS):
            idempotency = _key(f"{key}:{attempt}")
            earlier = await self._sources.publishing.created_earlier(author_id, idempotency)
            if earlier is None:
                break
            if earlier.status is not PostStatus.FAILED:
                return earlier
        pictures = await self._paint(lambda: cut(picture(planned.number), planned.slices))
        made_at = planned.made_at(self._now)
        names = [f"post:{planned.number}:{place}" for place in range(len(pictures))]
        uploads = await asyncio.gather(*map(partial(self._upload, author_id, counts_at=made_at), names, pictures))
        draft = await self._draft(planned, pictures, [upload.id for upload in uploads])
        created = await self._sources.publishing.create(
            author_id, draft, made_at, idempotency, post_id=planned.new_id(self._now)
        )
        ingests = [Job(Task.INGEST, Fact.UPLOAD, str(upload.id)) for upload in uploads]
        await asyncio.gather(*map(partial(finish, self._tools), ingests))
        await finish(self._tools, Job(Task.COMPLETE_POST, Fact.POST, str(created.id)))
        return created

    async def _paint(self, paint: Callable[[], Painted]) -> Painted:
        async with self._painters:
            return await asyncio.to_thread(paint)

    async def _draft(self, planned: PlannedPost, pictures: list[DemoPicture], upload_ids: list[ObjectId]) -> PostDraft:
        words, tags_begin, hashes = pictures[0].caption.partition(" #")
        caption = " ".join(filter(None, (words, planned.added))) + tags_begin + hashes
        mentioned = await self._sources.users.ids_by_username(mentions(caption)[:MENTIONS_MAX])
        tags = [TagRecord(user_id=user_id(name), x=x, y=y) for name, x, y in planned.tags]
        return PostDraft(
            images=[
                PostImage(upload_id=upload_id, alt_text=image.alt_text, tagged_users=[] if number else tags)
                for number, (upload_id, image) in enumerate(zip(upload_ids, pictures, strict=True))
            ],
            caption=caption,
            hashtags=hashtags(caption),
            mention_ids=list(mentioned.values()),
            location=planned.place,
        )

    async def _upload(self, owner_id: ObjectId, name: str, picture: DemoPicture, counts_at: datetime) -> UploadRecord:
        """An upload whose file is, or was, in storage; a new one in place of one that was rejected or has expired."""
        digest = base64.b64encode(hashlib.sha256(picture.data).digest()).decode()
        for attempt in range(ATTEMPTS):
            now = clock.now()
            key = _key(f"demo:{name}:{attempt}")
            upload = await self._sources.uploads.announce(
                owner_id, picture.format, len(picture.data), digest, now, key, counts_at
            )
            if upload.status in _LOST:
                continue
            if upload.status is not UploadStatus.AWAITING_BYTES:
                return upload
            if upload.expires_at > now + timedelta(seconds=PUT_SECONDS):
                await self._put(upload, picture)
                return upload
        raise StartError(f"the demo's {name} was refused {ATTEMPTS} times; begin with an empty database")

    async def _put(self, upload: UploadRecord, picture: DemoPicture) -> None:
        url, headers = await self._sources.blobs.presign_put(
            upload.key,
            byte_size=upload.byte_size,
            media_type=upload.format.media_type,
            sha256_base64=upload.sha256,
            expires_in=int(PUT_SECONDS) * 2,
        )
        try:
            answer = await self._http.put(url, headers=headers, content=picture.data)
        except httpx2.TransportError as error:
            raise StartError(f"S3 cannot be reached with a picture of the demo: {error}") from error
        is_stored = answer.status_code == httpx2.codes.PRECONDITION_FAILED
        if not answer.is_success and not is_stored:
            raise StartError(f"S3 does not take a picture of the demo: HTTP {answer.status_code}")

    async def _await_image(self, upload_id: ObjectId) -> None:
        """Waits until an upload is rendered, here or by a faster worker."""
        async with asyncio.timeout(RENDER_SECONDS):
            while True:
                await finish(self._tools, Job(Task.INGEST, Fact.UPLOAD, str(upload_id)))
                (upload,) = await self._sources.uploads.by_ids([upload_id])
                if upload is None or upload.status in _LOST or upload.image is not None:
                    return
                await asyncio.sleep(0.1)


async def finish(tools: Tools, job: Job) -> None:
    """Does a job as a worker would; what has to wait stays pending."""
    with contextlib.suppress(RetryLater):
        await HANDLERS[job.kind].run(tools, job.key)


def _key(name: str) -> Idempotency:
    key = Idempotency.of(name, "demo", {})
    assert key is not None  # noqa: S101  a name was given
    return key
