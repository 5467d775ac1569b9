"""`backup` and `restore`, drilled: what comes back is what was there, and no post lacks its picture."""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config import Settings
from datasources.mongo.client import Session
from datasources.mongo.prepared import missing_indexes
from datasources.mongo.transactions import in_transaction
from domain.mails import TokenPurpose
from tests.support.auditing import store_files
from tests.support.command_line import run_command
from tests.support.emptying import empty, empty_with_files
from tests.support.factories import World, changed_sources, now, opened, with_own_buckets
from tests.support.maintenance import Scene, find_faults
from tests.support.own_databases import own_database
from tests.support.waiting import eventually
from workers.maintenance.backup.folder import MANIFEST, MEDIA, UNFINISHED, BackupError, BackupFolder, Manifest
from workers.maintenance.backup.make import back_up
from workers.maintenance.backup.put_back import RESTORING, put_back


@pytest.fixture(scope="module")
async def worlds(shared_settings: Settings) -> AsyncIterator[tuple[World, World]]:
    """Two databases with buckets of their own."""
    with own_database(shared_settings) as first, own_database(shared_settings) as second:
        async with opened(with_own_buckets(first)) as one, opened(with_own_buckets(second)) as other:
            yield one, other


@pytest.fixture
async def source(worlds: tuple[World, World]) -> World:
    """What is to be backed up, empty at first."""
    return await empty_with_files(worlds[0])


@pytest.fixture
async def target(worlds: tuple[World, World]) -> World:
    """What is to be restored into."""
    return await empty_with_files(worlds[1])


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "backup")


async def documents(world: World) -> dict[str, list[Any]]:
    """All documents of a world but sessions, by collection; empty collections are left out."""
    names = await world.sources.database.list_collection_names()
    found = {name: await world.sources.database[name].find(sort=[("_id", 1)]).to_list() for name in names}
    return {name: rows for name, rows in found.items() if rows and name not in ("sessions", "leases")}


async def objects(world: World) -> dict[str, bytes | None]:
    return {blob.key: await world.sources.blobs.read_media(blob.key) async for blob in world.sources.blobs.list_media()}


async def test_what_is_restored_is_what_was_there_and_verify_finds_nothing(
    source: World, target: World, folder: BackupFolder
) -> None:
    await Scene.applied(source)
    await source.sources.blobs.put_incoming("waiting", b"not rendered yet", "image/png")
    done = await back_up(source.sources, folder)
    assert done.lacking == []
    restored = await put_back(target.sources, folder)
    assert restored.collections.items() <= done.collections.items()
    assert await documents(target) == await documents(source)
    assert await objects(target) == await objects(source) != {}
    assert await target.sources.blobs.read_incoming("waiting", 100) == b"not rendered yet"
    assert await missing_indexes(target.sources.database) == []
    assert RESTORING not in await target.sources.database.list_collection_names()
    assert await find_faults(target) == []
    await target.comment(await target.stored_post((await documents(target))["posts"][0]["_id"]), await target.user())


async def test_the_documents_are_of_one_moment_whatever_is_written_meanwhile(
    source: World, target: World, folder: BackupFolder
) -> None:
    """Each pair is written in a transaction, so a backup that reads collections one by one would tear some apart."""
    database, stopping = source.sources.database, asyncio.Event()
    await asyncio.gather(*(database.create_collection(name) for name in ("zz_left", "aa_right")))

    async def write(number: int, session: Session) -> None:
        await database["aa_right"].insert_one({"_id": number}, session=session)
        await database["zz_left"].insert_one({"_id": number}, session=session)

    async def keep_writing() -> None:
        for number in itertools.count(1):
            if stopping.is_set():
                return
            await in_transaction(source.sources.client, partial(write, number))

    writing = asyncio.create_task(keep_writing())
    try:
        await eventually(lambda: database["zz_left"].find_one({}))
        for _ in range(5):
            await back_up(source.sources, folder)
            name = folder.manifest().documents
            left, right = (
                [row["_id"] for row in folder.read_documents(name, each)] for each in ("zz_left", "aa_right")
            )
            assert left == right != []
    finally:
        stopping.set()
        await writing


async def test_a_post_that_comes_after_the_images_were_listed_has_its_picture(
    source: World, folder: BackupFolder
) -> None:
    await Scene.applied(source)
    late: list[Any] = []

    class Publishing:
        """Storage that publishes a post after everything was listed."""

        def __getattr__(self, name: str) -> Any:
            return getattr(source.sources.blobs, name)

        async def list_incoming(self) -> AsyncIterator[Any]:
            post = await source.post(await source.user())
            await store_files(source, post)
            late.append(post)
            for blob in list[Any]():
                yield blob

    await back_up(changed_sources(source.sources, blobs=Publishing()), folder)
    [post] = late
    assert all(folder.has(MEDIA, each.key) for each in post.images[0].renditions)


async def test_a_post_whose_files_went_after_the_snapshot_is_not_in_the_backup(
    source: World, target: World, folder: BackupFolder
) -> None:
    """It was published after the listing and deleted before its files were copied: a new snapshot is taken."""
    scene = await Scene.applied(source)
    gone: list[Any] = []

    class Deleting:
        def __getattr__(self, name: str) -> Any:
            return getattr(source.sources.blobs, name)

        async def list_incoming(self) -> AsyncIterator[Any]:
            gone.append(await source.post(scene.bob))  # its files never come
            for blob in list[Any]():
                yield blob

        async def read_media(self, key: str) -> bytes | None:
            data = await source.sources.blobs.read_media(key)
            if data is None:
                await source.sources.posts.delete(gone[0].id, scene.bob.id, now())
            return data

    done = await back_up(changed_sources(source.sources, blobs=Deleting()), folder)
    assert done.lacking == []
    await put_back(target.sources, folder)
    await target.drain()
    assert await find_faults(target) == []


async def test_files_that_were_lost_before_are_named(source: World, folder: BackupFolder) -> None:
    post = await source.post(await source.user())
    keys = sorted(rendition.key for image in post.images for rendition in image.renditions)
    assert (await back_up(source.sources, folder)).lacking == keys == folder.manifest().lacking


async def test_a_file_that_storage_lost_since_the_last_backup_is_kept_and_named(
    source: World, folder: BackupFolder, target: World
) -> None:
    scene = await Scene.applied(source)
    await back_up(source.sources, folder)
    keys = [rendition.key for rendition in scene.post.images[0].renditions]
    await source.sources.blobs.delete_media(keys)
    for _ in range(2):
        done = await back_up(source.sources, folder)
        assert (done.lacking, sorted(done.only_copies), done.removed) == ([], sorted(keys), 0)
    await put_back(target.sources, folder)
    await target.drain()
    assert await find_faults(target) == []


async def test_the_next_backup_copies_what_is_new_and_removes_what_is_gone(source: World, folder: BackupFolder) -> None:
    scene = await Scene.applied(source)
    first = await back_up(source.sources, folder)
    assert first.copied == first.objects > 0
    blobs = source.sources.blobs
    await blobs.delete_media([rendition.key for rendition in scene.post.images[0].renditions])
    await source.sources.posts.delete(scene.post.id, scene.ana.id, now())
    await blobs.put_incoming("new", b"new", "image/png")
    second = await back_up(source.sources, folder)
    assert (second.copied, second.objects, second.removed) == (1, 1, first.objects)
    assert len(list(folder.path.glob("documents-*"))) == 1


async def test_a_backup_that_fails_leaves_the_earlier_one(source: World, folder: BackupFolder) -> None:
    await Scene.applied(source)
    await back_up(source.sources, folder)
    before = folder.manifest()

    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(source.sources.database, name)

        def __getitem__(self, name: str) -> Any:
            if name == "users":
                raise ConnectionError
            return source.sources.database[name]

    with pytest.raises(ConnectionError):
        await back_up(changed_sources(source.sources, database=Broken()), folder)
    assert folder.manifest() == before
    assert [row["_id"] for row in folder.read_documents(before.documents, "users")]


async def test_only_an_empty_database_is_restored_into(source: World, target: World, folder: BackupFolder) -> None:
    await Scene.applied(source)
    await back_up(source.sources, folder)
    user = await target.user()
    with pytest.raises(BackupError, match="is not empty"):
        await put_back(target.sources, folder)
    assert [row["_id"] for row in (await documents(target))["users"]] == [user.id]


async def test_a_restore_that_was_stopped_is_finished_by_another(
    source: World, target: World, folder: BackupFolder
) -> None:
    await Scene.applied(source)
    await back_up(source.sources, folder)

    class Stopping:
        def __getattr__(self, name: str) -> Any:
            return getattr(target.sources.database, name)

        def __getitem__(self, name: str) -> Any:
            if name == "users":
                raise ConnectionError
            return target.sources.database[name]

    with pytest.raises(ConnectionError):
        await put_back(changed_sources(target.sources, database=Stopping()), folder)
    await put_back(target.sources, folder)
    assert await documents(target) == await documents(source)


async def test_sessions_come_back_only_when_asked_for(source: World, target: World, folder: BackupFolder) -> None:
    user = await source.user()
    await source.sources.database["sessions"].insert_one({"_id": user.id, "user_id": user.id})
    await back_up(source.sources, folder)
    await put_back(target.sources, folder)
    assert await target.sources.database["sessions"].count_documents({}) == 0
    await empty(target)
    await put_back(target.sources, folder, keep_sessions=True)
    assert await target.sources.database["sessions"].count_documents({}) == 1


async def test_tokens_of_mails_do_not_come_back(source: World, target: World, folder: BackupFolder) -> None:
    user = await source.user()
    await source.sources.mail_tokens.make(TokenPurpose.PASSWORD_RESET, "x@example.com", user.id)
    await back_up(source.sources, folder)
    await put_back(target.sources, folder, keep_sessions=True)
    assert await target.sources.database["users"].count_documents({}) == 1
    assert await target.sources.database["mail_tokens"].count_documents({}) == 0


async def test_two_backups_into_one_folder_do_not_mix(source: World, folder: BackupFolder) -> None:
    with folder.held(), pytest.raises(BackupError, match="is running"):
        await back_up(source.sources, folder)


async def test_a_damaged_backup_is_refused(source: World, target: World, folder: BackupFolder) -> None:
    await Scene.applied(source)
    await back_up(source.sources, folder)
    file = folder.path / folder.manifest().documents / "users.bson"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(BackupError, match="is cut off"):
        await put_back(target.sources, folder)


def test_what_was_half_written_is_no_object(folder: BackupFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.store(MEDIA, "public/a", b"whole")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        folder.store(MEDIA, "public/b", b"half")
    assert [key for key, _ in folder.objects(MEDIA)] == ["public/a"]


@pytest.mark.parametrize("key", ["../out", "a//b", "/etc/passwd", "a/./b", ""])
def test_no_key_leads_out_of_the_folder(folder: BackupFolder, key: str) -> None:
    with pytest.raises(BackupError, match="cannot be the name of a file"):
        folder.store(MEDIA, key, b"x")


async def test_only_its_owner_reads_a_backup_whatever_the_umask(source: World, folder: BackupFolder) -> None:
    await Scene.applied(source)
    earlier = folder.path / MEDIA / "of an earlier version"
    earlier.mkdir(parents=True)
    folder.path.chmod(0o755)
    (folder.path / MEDIA).chmod(0o755)
    (folder.path / UNFINISHED).touch(0o644)
    umask = os.umask(0)
    try:
        await back_up(source.sources, folder)
    finally:
        os.umask(umask)
    made = [path for path in folder.path.rglob("*") if path != earlier]
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert folder.path.stat().st_mode & 0o777 == 0o755  # the operator's


def test_a_new_folder_is_its_owners(tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "new" / "backup")
    with folder.held():
        assert folder.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("documents", "collection"),
    [
        ("../../etc", "users"),
        ("/etc", "users"),
        ("..", "users"),
        ("documents-1", "../users"),
        ("documents-1", "/etc/users"),
        ("documents-1", "system.users"),
        ("documents-1", ""),
        ("documents-1", "users\n"),
    ],
)
def test_no_name_of_documents_leads_out_of_the_folder(folder: BackupFolder, documents: str, collection: str) -> None:
    with folder.held():
        manifest = Manifest(made_at=now(), documents=documents, collections={collection: 1})
        (folder.path / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        with pytest.raises(BackupError, match="cannot be the name of documents"):
            folder.manifest()
        with pytest.raises(BackupError, match="cannot be the name of documents"):
            folder.write_documents(documents, collection)


async def test_the_commands_do_it(source: World, target: World, folder: BackupFolder) -> None:
    await Scene.applied(source)
    path = str(folder.path)
    buckets = {
        id(world): {
            "media_bucket": world.sources.settings.media_bucket,
            "incoming_bucket": world.sources.settings.incoming_bucket,
        }
        for world in (source, target)
    }
    absent = await run_command(target, "restore", path, **buckets[id(target)])
    assert (absent.code, absent.err) == (1, f"photogram: there is no finished backup in {path}\n")
    made = await run_command(source, "backup", path, "--json", **buckets[id(source)])
    assert (made.code, made.err) == (0, "")
    assert json.loads(made.out)["lacking"] == []
    assert (folder.path / MANIFEST).is_file()
    restored = await run_command(target, "restore", path, **buckets[id(target)])
    assert (restored.code, restored.err) == (0, "")
    assert await documents(target) == await documents(source)
