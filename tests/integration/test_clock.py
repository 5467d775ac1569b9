"""A process whose own clock is days off makes the same decisions as the others."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from config import Settings
from datasources.mongo import clock
from domain.errors import UserErrorCode
from domain.image_formats import SourceFormat
from domain.limits import IMAGES_PER_DAY
from tests.support.factories import World, now, opened

CREATE = """mutation ($n: String!) {
  createUpload(input: {format: JPEG, byteSize: 1000, sha256: $n}) { userErrors { code } }
}"""


@pytest.fixture(params=[-48, 48], ids=["two days behind", "two days ahead"])
async def world(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """Sources of a process whose machine has the wrong time from the start."""
    off = timedelta(hours=request.param)
    monkeypatch.setattr(clock, "_anchor", clock._Anchor())
    monkeypatch.setattr(clock, "_wall", lambda: datetime.now(UTC) + off)
    monkeypatch.setattr(clock, "MEASURE_SECONDS", 10.0)  # a busy machine
    async with opened(settings) as world:
        yield world


async def test_a_token_lives_as_long_as_the_database_says(world: World) -> None:
    user, ttl = await world.user(), timedelta(seconds=world.sources.settings.access_token_ttl)
    _, dead = await world.sources.sessions.open(user.id, None, now() - ttl - timedelta(hours=1))
    _, alive = await world.sources.sessions.open(user.id, None, now() - ttl + timedelta(minutes=5))
    assert await world.sources.sessions.authenticate(dead.access_token) is None
    assert await world.sources.sessions.authenticate(alive.access_token) is not None


async def test_the_eleventh_upload_of_the_databases_day_is_refused(world: World) -> None:
    user = await world.user()
    for number in range(IMAGES_PER_DAY):
        await world.sources.uploads.announce(user.id, SourceFormat.JPEG, 1000, f"file {number}", now())
    result = await world.execute(CREATE, user, n=base64.b64encode(bytes(32)).decode())
    assert result.errors is None
    assert result.data == {"createUpload": {"userErrors": [{"code": UserErrorCode.QUOTA_EXCEEDED.value}]}}


async def test_new_documents_are_dated_by_the_database(world: World) -> None:
    post = await world.post(await world.user())
    assert abs(post.id.generation_time - now()) < timedelta(minutes=1)
