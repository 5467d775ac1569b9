"""Exports of accounts that need several archives: each file is in one of them, whoever dies."""

import asyncio
import itertools
import zipfile

import httpx2
import pytest

from datasources.accounts.exports import LEASE
from domain.jobs import JOBS, Fact, Job, Task
from domain.records.exports import ExportStatus
from domain.records.users import UserRecord
from tests.support.auditing import store_files
from tests.support.exports import Died, fetch, fetch_all, keys, request, rows
from tests.support.factories import World, now
from tests.support.full_account import create_full_account
from tests.support.uploads import insert_upload
from workers.exporting import contents
from workers.exporting.archive import Archive
from workers.exporting.tables import TABLES
from workers.handlers import build_export as handler
from workers.handlers.build_export import build_export


@pytest.fixture
async def photographer(own: World, monkeypatch: pytest.MonkeyPatch) -> UserRecord:
    """Somebody with nine images and twenty comments, whose tables have three rows a file."""
    monkeypatch.setattr(contents, "PAGE", 3)
    ana, post = await own.user(), await own.post(await own.user())
    for number in range(20):
        await own.comment(post, ana, f"number {number}")
    for _ in range(9):
        await store_files(own, mine := await own.post(ana))
        await insert_upload(own, mine.images[0], ana.id)
    await own.drain()
    return ana


@pytest.fixture
def small_archives(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has one file of a table, or one image."""
    monkeypatch.setattr(own.sources, "settings", own.sources.settings.model_copy(update={"export_file_bytes": 1}))


def names(archives: list[zipfile.ZipFile]) -> list[str]:
    return [name for archive in archives for name in archive.namelist()]


async def lapse(world: World, user: UserRecord) -> None:
    """As if the time of a dead worker's lease were over."""
    lapsed = {"$set": {"leased_until": now() - LEASE}}
    await world.sources.database["exports"].update_one({"_id": user.id, "leased_until": {"$ne": None}}, lapsed)


async def test_a_large_account_has_several_archives_with_each_file_once(
    own: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, photographer: UserRecord
) -> None:
    await request(own, photographer)
    await build_export(own.tools, str(photographer.id))
    expected = names([await fetch(own, web, photographer)])
    await own.sources.database["exports"].delete_one({"_id": photographer.id})
    small = own.sources.settings.model_copy(update={"export_file_bytes": 1})
    monkeypatch.setattr(own.sources, "settings", small)
    await request(own, photographer)
    await own.drain()
    archives = await fetch_all(own, web, photographer)
    assert len(archives) > 20
    assert names(archives) == expected
    assert len(await keys(own, photographer)) == len(archives), "none of the earlier export"


async def test_no_archive_has_anything_of_another_account_wherever_it_begins(
    own: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await create_full_account(own), await create_full_account(own)
    assert first.ana.id < second.ana.id
    await own.sources.database["exports"].delete_many({})
    await request(own, first.ana)
    await build_export(own.tools, str(first.ana.id))
    expected = await fetch(own, web, first.ana)
    await own.sources.database["exports"].delete_many({})
    monkeypatch.setattr(handler, "ARCHIVE_SECONDS", 0)  # each has one file of a table, or one image
    await request(own, first.ana)
    while await own.sources.account.exports.pending(first.ana.id, Task.BUILD_EXPORT):
        await build_export(own.tools, str(first.ana.id))
    archives = await fetch_all(own, web, first.ana)
    assert len(archives) >= len(TABLES)
    assert names(archives) == expected.namelist()
    for archive in archives:
        for name in archive.namelist():
            assert archive.read(name) == expected.read(name), name


async def test_an_archive_that_takes_long_is_closed(
    own: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, photographer: UserRecord
) -> None:
    monkeypatch.setattr(handler, "ARCHIVE_SECONDS", 0)
    await request(own, photographer)
    await build_export(own.tools, str(photographer.id))
    export = await own.sources.account.exports.find(photographer.id)
    assert export is not None
    assert (export.status, len(export.archives), export.available_archives) == (ExportStatus.RUNNING, 1, ())
    await own.drain()
    assert len(await fetch_all(own, web, photographer)) > 20


@pytest.mark.usefixtures("small_archives")
async def test_a_list_of_archives_has_an_end(
    own: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, photographer: UserRecord
) -> None:
    monkeypatch.setattr(handler, "EXPORT_FILES_MAX", 3)
    await request(own, photographer)
    await own.drain()
    assert len(await fetch_all(own, web, photographer)) == 3


@pytest.mark.usefixtures("small_archives")
async def test_who_takes_over_goes_on_after_the_last_whole_archive(
    own: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, photographer: UserRecord
) -> None:
    """A worker dies at every second file; at others two build at once."""
    add, calls = Archive.add, itertools.count()

    async def dying(archive: Archive, name: str, data: bytes, *, compressed: bool) -> None:
        await add(archive, name, data, compressed=compressed)
        if next(calls) % 2 and not name.startswith(("README", "account")):
            raise Died

    monkeypatch.setattr(Archive, "add", dying)
    await request(own, photographer)
    for _ in range(200):
        await lapse(own, photographer)
        both = (build_export(own.tools, str(photographer.id)) for _ in range(2))
        await asyncio.gather(*both, return_exceptions=True)
        export = await own.sources.account.exports.find(photographer.id)
        assert export is not None
        if export.status is ExportStatus.READY:
            break
    assert len(names(archives := await fetch_all(own, web, photographer))) == len(set(names(archives)))
    assert sum(name.startswith("images/") for name in names(archives)) == 9
    assert len([row for archive in archives for row in rows(archive, "comments")]) == 20
    export = await own.sources.account.exports.find(photographer.id)
    assert export is not None
    assert await keys(own, photographer) == sorted(made.key for made in export.available_archives)


@pytest.mark.usefixtures("small_archives")
async def test_each_archive_gives_the_next_all_its_attempts(own: World, photographer: UserRecord) -> None:
    job = Job(Task.BUILD_EXPORT, Fact.EXPORT, str(photographer.id))
    await request(own, photographer)
    for _ in range(3):
        for _ in range(JOBS[job.kind].attempts - 1):
            await own.sources.dead_letters.count_failure(job, "storage is away", now())
        await build_export(own.tools, str(photographer.id))
    assert [letter async for letter in own.sources.dead_letters.all_dead()] == []
