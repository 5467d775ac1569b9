"""`gc` removes what nothing needs, records and files, and keeps what is needed or young."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from datasources.mongo.sharded_ids import new_id
from deploy.cli.maintenance_reports import run_gc
from domain.records.uploads import UploadStatus
from tests.support.factories import World, image, now
from tests.support.uploads import insert_upload
from workers.maintenance.gc.steps import EmptyDatabaseError, collect

pytestmark = pytest.mark.own_buckets

LONG_AGO = timedelta(days=3)
AT_ONCE = timedelta(0)


async def removed(world: World, *, min_age: timedelta = AT_ONCE, dry_run: bool = False) -> dict[str, int]:
    return (await collect(world.sources, min_age=min_age, dry_run=dry_run)).removed


async def stored_upload(world: World, owner_id: ObjectId, made: datetime, **fields: Any) -> ObjectId:
    """A ready upload with its files and its slots of the quota."""
    record = image(new_id(owner_id))
    for rendition in record.renditions:
        await world.sources.blobs.put_media(rendition.key, b"a picture", "image/jpeg")
    quota = {"quota_day": f"{made:%Y-%m-%d}", "quota_month": f"{made:%Y-%m}", "day_slot": 0, "month_slot": 0}
    await insert_upload(world, record, owner_id, **quota | {"created_at": made, "expires_at": made} | fields)
    return record.id


async def files(world: World) -> int:
    return len([blob async for blob in world.sources.blobs.list_media()])


async def status(world: World, upload_id: ObjectId) -> UploadStatus | None:
    (upload,) = await world.sources.uploads.by_ids([upload_id])
    return None if upload is None else upload.status


async def test_an_unused_upload_is_removed_with_its_files_and_its_quota_is_given_back(own: World) -> None:
    ana = await own.user()
    upload_id = await stored_upload(own, ana.id, now() - LONG_AGO)
    assert await removed(own) == {"unused_uploads": 1, "marked_uploads": 1, "media_files": 8}
    assert await files(own) == 0
    assert await status(own, upload_id) is UploadStatus.EXPIRED
    stored = await own.sources.database["uploads"].find_one({"_id": upload_id})
    assert stored is not None
    assert not stored.keys() & {"image", "day_slot", "month_slot", "unused_since"}
    assert await removed(own) == {}


async def test_a_dry_run_reports_what_it_would_remove_and_changes_nothing(own: World) -> None:
    ana = await own.user()
    upload_id = await stored_upload(own, ana.id, now() - LONG_AGO)
    await own.sources.blobs.put_media(f"public/{ObjectId()}/0/orphan.jpg", b"a picture", "image/jpeg")
    assert await removed(own, dry_run=True) == {"unused_uploads": 1, "media_files": 1}
    assert await files(own) == 9
    assert await status(own, upload_id) is UploadStatus.READY


@pytest.mark.parametrize("events", [("redis",), ()])
async def test_without_redis_everything_but_old_events_is_removed(
    own: World, capsys: pytest.CaptureFixture[str], events: tuple[str, ...]
) -> None:
    await own.user()
    await own.sources.blobs.put_media(f"public/{ObjectId()}/0/orphan.jpg", b"a picture", "image/jpeg")
    settings = own.sources.settings.model_copy(update={"queue_redis_url": "redis://127.0.0.1:1", "events": events})
    code = await run_gc(settings, min_age=0, dry_run=False, as_json=False)
    printed = capsys.readouterr()
    assert "removed media_files: 1\n" in printed.out
    assert code == (3 if events else 0)
    assert ("Redis does not answer" in printed.err) == bool(events)
    assert ("this is incomplete" in printed.err) == bool(events)


async def test_used_and_recent_uploads_stay(own: World) -> None:
    ana = await own.user()
    in_post = await stored_upload(own, ana.id, now() - LONG_AGO)
    avatar = await stored_upload(own, ana.id, now() - LONG_AGO, used_as_avatar=True, day_slot=1, month_slot=1)
    young = await stored_upload(own, ana.id, now() - timedelta(hours=23), day_slot=2, month_slot=2)
    await own.sources.database["posts"].insert_one({"author_id": ana.id, "upload_ids": [in_post]})
    await own.sources.users.update_profile(ana.id, {"avatar": image(avatar)})
    assert await removed(own) == {}
    assert [await status(own, upload_id) for upload_id in (in_post, avatar, young)] == [UploadStatus.READY] * 3
    assert await files(own) == 24


async def test_a_replaced_avatar_is_removed(own: World) -> None:
    ana = await own.user()
    old = await stored_upload(own, ana.id, now() - LONG_AGO, used_as_avatar=True)
    new = await stored_upload(own, ana.id, now() - LONG_AGO, used_as_avatar=True, day_slot=1, month_slot=1)
    await own.sources.users.update_profile(ana.id, {"avatar": image(new)})
    assert await removed(own) == {"replaced_avatars": 1, "marked_uploads": 1, "media_files": 8}
    assert [await status(own, upload_id) for upload_id in (old, new)] == [UploadStatus.EXPIRED, UploadStatus.READY]


async def test_an_upload_used_while_it_was_marked_is_restored(own: World) -> None:
    ana = await own.user()
    upload_id = await stored_upload(own, ana.id, now() - LONG_AGO)
    marking = timedelta(hours=1)
    assert await removed(own, min_age=marking) == {"unused_uploads": 1}
    assert await status(own, upload_id) is UploadStatus.EXPIRED
    await own.sources.database["posts"].insert_one({"author_id": ana.id, "upload_ids": [upload_id]})
    assert await removed(own) == {"uploads_used_after_all": 1}
    assert await status(own, upload_id) is UploadStatus.READY
    assert await files(own) == 8


async def test_files_without_an_upload_are_removed_and_files_under_unknown_keys_stay(own: World) -> None:
    ana = await own.user()
    kept = await stored_upload(own, ana.id, now())
    open_upload = await stored_upload(own, ana.id, now(), status="PROCESSING", day_slot=1, month_slot=1)
    await own.sources.database["uploads"].update_one({"_id": open_upload}, {"$unset": {"image": ""}})
    orphans = [f"{area}/{upload}/0/other.jpg" for area in ("public", "private") for upload in (ObjectId(), kept)]
    orphans.append(f"originals/{ObjectId()}/0/sent.jpg")
    for key in (*orphans, f"originals/{kept}/0/sent.jpg", "readme.txt", f"{kept}/a.jpg"):
        await own.sources.blobs.put_media(key, b"a picture", "image/jpeg")
    assert await removed(own, min_age=timedelta(hours=1)) == {}, "they are too young"
    assert await removed(own) == {"media_files": 5}
    assert await files(own) == 19


async def put_incoming(world: World, key: str) -> str:
    """A file in the incoming bucket, as its PUT leaves it."""
    await world.sources.blobs.put_incoming(key, b"a picture", "image/jpeg")
    return key


async def test_incoming_files_of_ended_uploads_are_removed_and_those_still_needed_stay(own: World) -> None:
    ana, ended = await own.user(), now() - timedelta(hours=1)
    over: list[dict[str, Any]] = [{"status": "EXPIRED"}, {"status": "REJECTED"}, {"status": "READY"}]
    needed: list[dict[str, Any]] = [
        {"status": "AWAITING_BYTES"},
        {"status": "PROCESSING"},
        {"status": "READY", "outbox": ["add_formats"]},
        {"status": "EXPIRED", "expires_at": now()},
    ]
    keys = []
    for slot, fields in enumerate([*over, *needed]):
        upload_id = await stored_upload(own, ana.id, ended, day_slot=slot, month_slot=slot, **fields)
        keys.append(await put_incoming(own, str(upload_id)))
    strange = await put_incoming(own, "nobody-s")
    assert "incoming_files" not in await removed(own, min_age=timedelta(minutes=30)), "they are too young"
    assert (await removed(own))["incoming_files"] == len(over)
    left = {blob.key async for blob in own.sources.blobs.list_incoming()}
    assert left == {*keys[len(over) :], strange}


async def test_failed_uploads_are_removed_after_forty_days(own: World) -> None:
    ana = await own.user()
    old, recent = now() - timedelta(days=41), now() - timedelta(days=39)
    gone = await stored_upload(own, ana.id, old, status="REJECTED")
    kept = await stored_upload(own, ana.id, recent, status="REJECTED", day_slot=1, month_slot=1)
    await own.sources.database["uploads"].update_many({}, {"$unset": {"image": ""}})
    assert (await removed(own))["old_uploads"] == 1
    assert await status(own, gone) is None
    assert await status(own, kept) is UploadStatus.REJECTED


async def test_facts_about_a_removed_post_are_removed_and_the_others_stay(own: World) -> None:
    ana, bob = await own.users(2)
    await own.open_feeds(bob)
    await own.follow(bob, ana)
    for is_kept in (True, False):
        post = await own.post(ana)
        await own.sources.post_likes.like(post.id, bob.id, now())
        comment = await own.comment(post, bob)
        await own.sources.comment_likes.like(comment.id, ana.id, now())
        await own.drain()
        if not is_kept:
            await own.sources.database["posts"].delete_one({"_id": post.id})
    assert await removed(own, min_age=timedelta(hours=1)) == {}
    assert await removed(own) == {"post_likes": 1, "comments": 1, "comment_likes": 1, "feed_entries": 1}
    for name in ("post_likes", "comments", "comment_likes", "feed_entries"):
        assert await own.sources.database[name].count_documents({}) == 1


async def test_dead_lettered_chunks_of_a_fan_out_are_removed_after_their_post(own: World) -> None:
    (ana,) = await own.users(1)
    post = await own.post(ana)
    await own.drain()
    for post_id in (post.id, ObjectId()):
        await own.sources.database["fan_outs"].insert_one(
            {"post_id": post_id, "outbox": ["fan_out_chunk"], "dead_lettered": ["fan_out_chunk"]}
        )
    assert await removed(own, min_age=timedelta(hours=1)) == {}
    assert await removed(own) == {"fan_outs": 1}
    assert await own.sources.database["fan_outs"].count_documents({"post_id": post.id}) == 1


async def test_gc_refuses_a_database_without_users(own: World) -> None:
    await own.sources.blobs.put_media(f"public/{ObjectId()}/0/somebody-elses.jpg", b"a picture", "image/jpeg")
    with pytest.raises(EmptyDatabaseError):
        await removed(own)
    assert await files(own) == 1
