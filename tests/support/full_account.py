"""A life that touches every collection, and a search for what is left of it that knows nothing of how it is deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from datasources.accounts.cached_users import USER_SECONDS
from datasources.jobs.idempotency import Idempotency
from datasources.media.images import Move
from domain.jobs import Fact, Job, Task
from domain.records.comments import CommentRecord
from domain.records.images import TagRecord
from domain.records.posts import PostDraft, PostImage, PostRecord
from domain.records.uploads import UploadStatus
from domain.records.users import UserRecord
from domain.visibility import Area
from tests.support.factories import World, image, now

RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)


@dataclass(frozen=True, kw_only=True)
class FullAccount:
    """Ana, who has done everything, and those she has done it with."""

    ana: UserRecord
    bob: UserRecord
    others: Sequence[UserRecord]
    post: PostRecord
    bobs_post: PostRecord
    comment: CommentRecord
    uploads: Sequence[ObjectId]


async def account_references(world: World, user_id: ObjectId) -> dict[str, list[Any]]:
    """The documents, by collection, that have an account's id anywhere in them, as an id or as text: all are read."""
    found: dict[str, list[Any]] = {}
    for name in await world.sources.database.list_collection_names():
        async for document in world.sources.database[name].with_options(RAW).find():
            if user_id.binary in document.raw or str(user_id).encode() in document.raw:
                found.setdefault(name, []).append(document["_id"])
    return found


async def stored_objects(world: World, upload_ids: Sequence[ObjectId]) -> list[str]:
    """What lies in either bucket of these uploads; the test's incoming keys are their ids."""
    blobs = world.sources.blobs
    keys = [blob.key async for blob in blobs.list_media()] + [blob.key async for blob in blobs.list_incoming()]
    return [key for key in keys if any(str(upload_id) in key for upload_id in upload_ids)]


async def lasting_keys(world: World, user_id: ObjectId) -> list[bytes]:
    """Keys of Redis that name an account and do not lapse within half a minute, as what has been cached does."""
    redis = world.sources.redis
    found = [key async for key in redis.scan_iter(match=f"{world.sources.settings.key_prefix}*{user_id}*")]
    return [key for key in found if not 0 <= await redis.pttl(key) <= USER_SECONDS * 1000 and await redis.exists(key)]


async def create_upload(
    world: World, owner: UserRecord, status: UploadStatus = UploadStatus.READY, **fields: Any
) -> ObjectId:
    """An upload with objects in both buckets; one that is not ready has none in the media bucket."""
    upload_id, made = ObjectId(), now()
    shown = image(upload_id, Area.PRIVATE if owner.is_private else Area.PUBLIC)
    document: dict[str, Any] = {
        "_id": upload_id,
        "owner_id": owner.id,
        "status": status.value,
        "format": "PNG",
        "byte_size": 9,
        "sha256": "",
        "key": str(upload_id),
        "created_at": made,
        "expires_at": made + timedelta(minutes=15),
        **fields,
    }
    await world.sources.blobs.put_incoming(str(upload_id), b"what was sent", "image/png")
    if status is UploadStatus.READY:
        document["image"] = shown.to_document()
        for rendition in shown.renditions:
            await world.sources.blobs.put_media(rendition.key, b"a picture", "image/jpeg")
    else:
        document |= {"outbox": [Task.INGEST.value], "pending_since": made, "due_at": made, "enqueues": 0}
    await world.sources.database["uploads"].insert_one(document)
    return upload_id


async def create_full_account(world: World, *, is_private: bool = False) -> FullAccount:
    """Ana's life, all of it paid but for what has just begun: a post whose files are on their way."""
    ana = await world.user(is_private=is_private)
    bob, cat, eve, fay, mal = await world.users(5)
    dora = await world.user(is_private=True)
    await _ties(world, ana, [bob, cat, eve, fay, mal, dora])
    post = await _published(world, ana, [await create_upload(world, ana) for _ in range(2)], [bob])
    bobs_post = await _published(world, bob, [await create_upload(world, bob)], [ana, cat])
    comment = await _talk(world, ana, bob, cat, post, bobs_post)
    for one in (ana, bob, cat):
        await world.open_feeds(one)
    await _readings(world, ana, bob, bobs_post)
    face = await create_upload(world, ana, used_as_avatar=True)
    await world.sources.users.update_profile(ana.id, {"avatar": image(face), "biography": "about me"})
    await world.drain()
    uploads = [*(one.upload_id for one in post.image_inputs), face]
    return FullAccount(
        ana=await world.stored_user(ana.id),
        bob=bob,
        others=[bob, cat, eve, fay, mal, dora],
        post=post,
        bobs_post=bobs_post,
        comment=comment,
        uploads=[*uploads, *await _begun(world, ana)],
    )


async def _ties(world: World, ana: UserRecord, others: Sequence[UserRecord]) -> None:
    bob, cat, eve, fay, mal, dora = others
    sources = world.sources
    for one, other in ((bob, ana), (cat, ana), (ana, bob), (ana, dora), (ana, fay), (fay, ana)):
        await world.follow(one, other)
    if ana.is_private:
        await world.drain()
        for one in (bob, fay):  # cat asks still
            await sources.follows.accept(one.id, ana.id, now=now())
    else:
        await sources.follows.accept(ana.id, dora.id, now=now())
    await world.drain()
    await sources.follows.unfollow(ana.id, fay.id, now=now())
    await sources.follows.unfollow(fay.id, ana.id, now=now())
    await sources.blocks.block(ana.id, mal.id, now=now())
    await sources.blocks.block(eve.id, ana.id, now=now())
    await sources.mutes.mute(ana.id, fay.id)
    await sources.mutes.mute(cat.id, ana.id)
    await world.drain()


async def _published(
    world: World, author: UserRecord, upload_ids: Sequence[ObjectId], people: Sequence[UserRecord]
) -> PostRecord:
    """A ready post that mentions and tags people, with the files of its images in storage."""
    tags = [TagRecord(user_id=one.id, x=0.5, y=0.5) for one in people]
    draft = PostDraft(
        images=[PostImage(upload_id=upload_id, tagged_users=tags) for upload_id in upload_ids],
        caption="with " + " ".join(f"@{one.username}" for one in people),
        mention_ids=[one.id for one in people],
    )
    key = Idempotency.of(f"post {upload_ids[0]}", "createPost", {})
    post = await world.sources.publishing.create(author.id, draft, now(), key)
    area = Area.PRIVATE if author.is_private else Area.PUBLIC
    shown = [image(upload_id, area) for upload_id in upload_ids]
    moves = [Move(one, _tagged(one, tags)) for one in shown]
    assert await world.sources.images.publish(post.id, moves, now())
    await world.drain()
    return await world.stored_post(post.id)


def _tagged(shown: Any, tags: list[TagRecord]) -> Any:
    return msgspec.structs.replace(shown, tagged_users=tags)


async def _talk(
    world: World, ana: UserRecord, bob: UserRecord, cat: UserRecord, post: PostRecord, bobs_post: PostRecord
) -> CommentRecord:
    """Comments, replies and likes of each other's; the comment is ana's, below bob's post."""
    sources = world.sources
    key = Idempotency.of(f"comment {bobs_post.id}", "addComment", {})
    comment = await world.comment(bobs_post, ana, "mine", idempotency=key)
    answer = await world.comment(bobs_post, bob, "an answer", parent_id=comment.id)
    bobs = await world.comment(bobs_post, bob, f"look, @{ana.username}", mention_ids=[ana.id, cat.id])
    await world.comment(bobs_post, ana, "a reply", parent_id=bobs.id)
    await world.comment(post, bob, "below hers")
    hidden = await world.comment(bobs_post, ana, "hidden")
    await sources.comments.hide(hidden.id, "!", now())
    for one in (ana, cat):
        await sources.post_likes.like(bobs_post.id, one.id, now())
        await sources.comment_likes.like(bobs.id, one.id, now())
    for one in (bob, cat):
        await sources.post_likes.like(post.id, one.id, now())
        await sources.comment_likes.like(comment.id, one.id, now())
    await sources.comment_likes.like(answer.id, ana.id, now())
    await world.drain()
    await sources.comment_likes.unlike(answer.id, ana.id, now())
    gone = await world.comment(bobs_post, ana, "gone", idempotency=Idempotency.of("gone", "addComment", {}))
    await sources.comments.delete(gone.id, now())
    await world.drain()
    return comment


async def _readings(world: World, ana: UserRecord, bob: UserRecord, bobs_post: PostRecord) -> None:
    """What is kept for reading: visits, interests, rankings, sessions, how far a feed was read, a failure."""
    sources = world.sources
    for one, other in ((ana, bob), (bob, ana)):
        await sources.visits.add(one.id, other.id, now())
        await sources.interests.get_or_compute(one.id, now())
    await sources.rankings.keep(ana.id, [bobs_post.id], now())
    await sources.feed_listeners.set_read(ana.id, bobs_post.id)
    for _ in range(2):
        await sources.sessions.open(ana.id, "phone", now())
    await sources.dead_letters.count_failure(Job(Task.COUNT, Fact.FOLLOW, str(ana.id)), "once", now())


async def _begun(world: World, ana: UserRecord) -> list[ObjectId]:
    """A post whose file is on its way, and a file of no post."""
    coming, alone = [await create_upload(world, ana, UploadStatus.AWAITING_BYTES) for _ in range(2)]
    draft = PostDraft(images=[PostImage(upload_id=coming)], caption="soon")
    await world.sources.publishing.create(ana.id, draft, now())
    return [coming, alone]
