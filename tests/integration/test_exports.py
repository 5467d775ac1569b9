"""Exports: everything of an account is in the archive, whoever dies, and nothing stays of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from datasources.accounts.exports import KEPT, LEASE, PAUSE, RETRY_PAUSE, export_prefix
from domain.ids import to_global_id
from domain.jobs import JOBS, LONGEST_CALL_SECONDS, Fact, Job, Task
from domain.records.exports import ExportStatus
from tests.support.auditing import audit, store_files
from tests.support.exports import Died, fetch, keys, request, rows
from tests.support.factories import World, now
from tests.support.full_account import create_full_account
from workers.exporting import contents
from workers.exporting.contents import File
from workers.exporting.tables import TABLES
from workers.handlers import build_export as handler
from workers.handlers.build_export import build_export, delete_export
from workers.runtime.handler import RetryLater
from workers.runtime.outbox_relay import relay_due


async def test_everything_is_in_the_archive(own: World, web: httpx2.AsyncClient) -> None:
    account = await create_full_account(own)
    ana = account.ana
    await request(own, ana)
    await build_export(own.tools, str(ana.id))
    archive = await fetch(own, web, ana)
    me = json.loads(archive.read("account.json"))
    assert (me["username"], me["email"], me["biography"]) == (ana.username, f"{ana.username}@example.com", "about me")
    tables = {name.rpartition("-")[0] for name in archive.namelist() if name.endswith("-0001.json")}
    assert tables == {table.name for table in TABLES}
    post = next(row for row in rows(archive, "posts") if row["id"] == to_global_id("Post", account.post.id))
    assert post["mentions"] == [{"id": to_global_id("User", account.bob.id), "username": account.bob.username}]
    assert {row["text"] for row in rows(archive, "comments")} == {"mine", "a reply", "hidden"}
    assert rows(archive, "following")[0]["user"]["username"] == account.bob.username
    images = [image["uploadId"] for row in rows(archive, "posts") for image in row["images"]]
    sent = [name.removeprefix("images/").partition(".")[0] for name in archive.namelist() if name.startswith("images/")]
    assert set(sent) & set(images)
    assert {archive.read(name) for name in archive.namelist() if name.startswith("images/")} == {b"a picture"}


async def test_every_preference_is_in_the_archive_as_it_was_set(own: World, web: httpx2.AsyncClient) -> None:
    ana = await own.user()
    type_ = await own.execute('{ __type(name: "UpdatePreferencesInput") { inputFields { name type { name } } } }', ana)
    names = [field["name"] for field in (type_.data or {})["__type"]["inputFields"]]
    document = f"{{ viewer {{ preferences {{ {' '.join(names)} }} }} }}"
    before = (await own.execute(document, ana)).data
    assert before is not None
    changed = {
        name: not value if isinstance(value, bool) else "SHOW"
        for name, value in before["viewer"]["preferences"].items()
    }
    change = "mutation ($input: UpdatePreferencesInput!) { updatePreferences(input: $input) { userErrors { code } } }"
    for given in ({}, changed):
        assert (await own.execute(change, ana, input=given)).data == {"updatePreferences": {"userErrors": []}}
        await own.sources.database["exports"].delete_one({"_id": ana.id})
        await request(own, ana)
        await build_export(own.tools, str(ana.id))
        archive = await fetch(own, web, ana)
        assert json.loads(archive.read("account.json"))["preferences"] == before["viewer"]["preferences"] | given


async def test_it_has_no_secrets_and_no_names_that_its_owner_may_not_see(own: World, web: httpx2.AsyncClient) -> None:
    account = await create_full_account(own)
    ana, eve = account.ana, account.others[2]  # eve has blocked ana
    await own.sources.database["follows"].insert_one(
        {"follower_id": ana.id, "followee_id": eve.id, "state": "FOLLOWING", "version": 1}
    )
    await own.sources.database["exports"].delete_one({"_id": ana.id})
    await request(own, ana)
    await build_export(own.tools, str(ana.id))
    archive = await fetch(own, web, ana)
    words = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".json"))
    for secret in (b"hash", b"salt", eve.username.encode(), str(ana.id).encode()):
        assert secret not in words
    named = {row["user"]["id"]: row["user"]["username"] for row in rows(archive, "following")}
    assert named[to_global_id("User", eve.id)] is None


async def test_tables_and_archives_of_any_length_are_whole(
    own: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "PAGE", 3)
    ana, bob = await own.users(2)
    post = await own.post(bob)
    for number in range(10):
        await own.comment(post, ana, f"number {number}")
        await own.sources.visits.add(ana.id, (await own.user()).id, now())
    mine = [await own.post(ana) for _ in range(4)]
    for each in mine:
        await store_files(own, each)
    await own.drain()
    big = bytes(range(256)) * 40_000  # ten megabytes: several parts

    async def read(_key: str) -> bytes:
        return big

    monkeypatch.setattr(own.sources.blobs, "read_media", read)
    await own.sources.database["uploads"].insert_many(
        [
            {
                "_id": each.images[0].id,
                "owner_id": ana.id,
                "status": "READY",
                "format": "JPEG",
                "byte_size": 1,
                "sha256": "",
                "key": "",
                "created_at": now(),
                "expires_at": now(),
                "image": each.images[0].to_document(),
            }
            for each in mine
        ]
    )
    await request(own, ana)
    await build_export(own.tools, str(ana.id))
    archive = await fetch(own, web, ana)
    assert [row["text"] for row in rows(archive, "comments")] == [f"number {number}" for number in range(10)]
    assert len(rows(archive, "visited_profiles")) == 10
    images = [name for name in archive.namelist() if name.startswith("images/")]
    assert len(images) == 4
    assert archive.read(images[0]) == big


async def test_an_archive_of_the_version_before_is_found(own: World) -> None:
    ana = await own.user()
    key = f"{export_prefix(ana.id)}{'a' * 32}.zip"
    made = {"_id": ana.id, "requested_at": now(), "key": key, "byte_size": 7, "kept_until": now() + KEPT}
    await own.sources.database["exports"].insert_one(made)
    export = await own.sources.account.exports.find(ana.id)
    assert export is not None
    assert [(archive.key, archive.byte_size) for archive in export.available_archives] == [(key, 7)]


async def test_one_a_day_and_a_repetition_answers_the_same(own: World) -> None:
    ana, exports = await own.user(), own.sources.account.exports
    made = await asyncio.gather(*(exports.request(ana.id, now()) for _ in range(5)))
    assert len({export.key for export in made}) == 1
    await build_export(own.tools, str(ana.id))
    again = await exports.request(ana.id, now())
    assert (again.key, again.status) == (made[0].key, ExportStatus.READY)
    later = await exports.request(ana.id, now() + PAUSE)
    assert (later.key == made[0].key, later.status) == (False, ExportStatus.PENDING)
    await build_export(own.tools, str(ana.id))
    built = await exports.find(ana.id)
    assert built is not None
    assert await keys(own, ana) == [archive.key for archive in built.available_archives]
    assert all(key.startswith(f"{later.key}/") for key in await keys(own, ana))


@pytest.fixture
def files() -> list[File]:
    """A few small files for the builder, between which a test can do things."""
    return [File(f"{number}.txt", b"words" * 10, compressed=False) for number in range(3)]


def give(monkeypatch: pytest.MonkeyPatch, files: list[File], *, before: int, do: Any) -> None:
    async def files_of(*_given: Any) -> AsyncIterator[File]:
        for number, file in enumerate(files):
            if number == before:
                await do()
            yield file

    monkeypatch.setattr(handler, "files_of", files_of)
    monkeypatch.setattr(handler, "NOTED_EVERY", 0)


async def test_a_killed_worker_is_replaced_and_leaves_nothing(
    own: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, files: list[File]
) -> None:
    ana = await own.user()
    await request(own, ana)

    async def die() -> None:
        raise Died

    for before in range(3):
        with monkeypatch.context() as patch:
            give(patch, files, before=before, do=die)
            with pytest.raises(Died):
                await build_export(own.tools, str(ana.id))
        export = await own.sources.account.exports.find(ana.id)
        assert export is not None
        assert (export.status, await keys(own, ana)) == (ExportStatus.RUNNING, [])
        with pytest.raises(RetryLater):  # the lease of the dead worker
            await build_export(own.tools, str(ana.id))
        lapsed = {"$set": {"leased_until": now() - LEASE}}
        await own.sources.database["exports"].update_one({"_id": ana.id}, lapsed)
    await build_export(own.tools, str(ana.id))
    assert "account.json" in (await fetch(own, web, ana)).namelist()
    await audit(own)


async def test_who_is_taken_over_stops_and_the_archive_stays_whole(
    own: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, files: list[File]
) -> None:
    ana = await own.user()
    await request(own, ana)

    async def another_takes_over() -> None:
        lapsed = {"$set": {"leased_until": now() - LEASE}}
        await own.sources.database["exports"].update_one({"_id": ana.id}, lapsed)
        with monkeypatch.context() as patch:
            patch.setattr(handler, "files_of", contents.files_of)
            await build_export(own.tools, str(ana.id))

    give(monkeypatch, files, before=1, do=another_takes_over)
    await build_export(own.tools, str(ana.id))
    assert "account.json" in (await fetch(own, web, ana)).namelist()
    await audit(own)


@pytest.mark.parametrize("before", [0, 2])
async def test_an_account_that_is_deleted_meanwhile_leaves_no_archive(
    own: World, monkeypatch: pytest.MonkeyPatch, files: list[File], before: int
) -> None:
    ana = await own.user()
    await request(own, ana)

    async def delete() -> None:
        await own.sources.users.delete(ana.id, now())
        await own.drain()

    give(monkeypatch, files, before=before, do=delete)
    await build_export(own.tools, str(ana.id))
    assert await keys(own, ana) == []
    assert await own.sources.account.exports.find(ana.id) is None


async def test_an_archive_is_deleted_when_it_was_kept_for_long_enough(own: World) -> None:
    ana = await own.user()
    await request(own, ana)
    await own.drain()
    await relay_due(own.sources, now() + KEPT - timedelta(minutes=1))
    await delete_export(own.tools, str(ana.id))
    assert len(await keys(own, ana)) == 1
    await relay_due(own.sources, now() + KEPT + timedelta(minutes=1))
    await own.drain()
    assert await keys(own, ana) == []
    assert await own.sources.account.exports.find(ana.id) is None
    await audit(own)


async def test_one_that_fails_again_and_again_says_so(own: World) -> None:
    ana = await own.user()
    await request(own, ana)
    lost = {"$set": {"dead_lettered": [Task.BUILD_EXPORT.value]}, "$unset": {"due_at": ""}}
    await own.sources.database["exports"].update_one({"_id": ana.id}, lost)
    export = await own.sources.account.exports.find(ana.id)
    assert export is not None
    assert export.status is ExportStatus.FAILED
    assert (await own.sources.account.exports.request(ana.id, now() + PAUSE)).status is ExportStatus.PENDING


async def test_one_that_failed_is_soon_asked_for_again_and_has_all_its_attempts(own: World) -> None:
    ana, exports = await own.user(), own.sources.account.exports
    job = Job(Task.BUILD_EXPORT, Fact.EXPORT, str(ana.id))
    await request(own, ana)
    for _ in range(JOBS[job.kind].attempts):
        await own.sources.dead_letters.count_failure(job, "storage is away", now())
    failed = await exports.find(ana.id)
    assert failed is not None
    assert failed.status is ExportStatus.FAILED
    assert (await exports.request(ana.id, now() + RETRY_PAUSE - timedelta(minutes=1))).key == failed.key
    again = await exports.request(ana.id, now() + RETRY_PAUSE)
    assert (again.key == failed.key, again.status) == (False, ExportStatus.PENDING)
    assert [letter async for letter in own.sources.dead_letters.all_dead()] == []
    await own.sources.dead_letters.count_failure(job, "once more", now())
    pending = await exports.find(ana.id)
    assert pending is not None
    assert pending.status is ExportStatus.PENDING
    await build_export(own.tools, str(ana.id))
    made = await exports.find(ana.id)
    assert made is not None
    assert made.status is ExportStatus.READY
    later = now() + RETRY_PAUSE + timedelta(minutes=1)
    assert (await exports.request(ana.id, later)).key == made.key  # one that was made counts for the day


def test_an_archive_is_closed_long_before_the_time_of_its_job_is_over() -> None:
    assert JOBS[Task.BUILD_EXPORT, Fact.EXPORT].seconds >= 1.5 * handler.ARCHIVE_SECONDS
    assert JOBS[Task.BUILD_EXPORT, Fact.EXPORT].seconds > LONGEST_CALL_SECONDS
