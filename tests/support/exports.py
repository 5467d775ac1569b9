"""Exports as their owners get them."""

import json
import zipfile
from io import BytesIO
from typing import Any

import httpx2

from datasources.accounts.exports import export_prefix
from domain.records.exports import ExportStatus
from domain.records.users import UserRecord
from tests.support.factories import World, now


class Died(BaseException):
    """What a worker ends with that is killed."""


async def request(world: World, user: UserRecord) -> None:
    await world.sources.account.exports.request(user.id, now())


async def fetch_all(world: World, web: httpx2.AsyncClient, user: UserRecord) -> list[zipfile.ZipFile]:
    """The archives, as somebody with their addresses gets them."""
    export = await world.sources.account.exports.find(user.id)
    assert export is not None
    assert export.status is ExportStatus.READY
    assert export.byte_size == sum(archive.byte_size for archive in export.available_archives)
    archives = []
    for made in export.available_archives:
        answer = await web.get(await world.sources.blobs.exports.signed_url(made.key, "mine.zip"))
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == 'attachment; filename="mine.zip"'
        assert len(answer.content) == made.byte_size
        archives.append(zipfile.ZipFile(BytesIO(answer.content)))
        assert archives[-1].testzip() is None
    return archives


async def fetch(world: World, web: httpx2.AsyncClient, user: UserRecord) -> zipfile.ZipFile:
    """The only archive."""
    (archive,) = await fetch_all(world, web, user)
    return archive


def rows(archive: zipfile.ZipFile, table: str) -> list[dict[str, Any]]:
    names = sorted(name for name in archive.namelist() if name.startswith(f"{table}-"))
    return [row for name in names for row in json.loads(archive.read(name))]


async def keys(world: World, user: UserRecord) -> list[str]:
    return await world.sources.blobs.exports.keys(export_prefix(user.id))
