"""The lease of an upload that a worker is rendering outlives outages that are shorter than the lease."""

from datetime import datetime, timedelta

import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from config import Settings
from domain.image_formats import SourceFormat
from tests.support.factories import World, now, opened
from tests.support.own_databases import own_database
from tests.support.toxic_proxy import Toxic, proxied
from tests.support.waiting import eventually
from workers.handlers import upload_lease
from workers.handlers.upload_lease import hold_upload


async def leased_until(world: World, upload_id: ObjectId) -> datetime:
    document = await world.sources.database["uploads"].find_one({"_id": upload_id})
    assert document is not None
    leased: datetime = document["leased_until"]
    return leased


async def test_a_lease_is_renewed_again_after_an_outage(
    shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_lease, "UPLOAD_LEASE", timedelta(seconds=0.3))
    with own_database(shared_settings) as settings:
        async with proxied(settings.mongo_url) as proxy:
            url = proxy.url.replace("replicaSet=photogram", "directConnection=true")
            async with opened(settings.model_copy(update={"mongo_url": url, "mongo_timeout": 1.0})) as world:
                uploads = world.sources.uploads
                announced = await uploads.announce(ObjectId(), SourceFormat.JPEG, 1000, "c2hh", now())
                upload = await uploads.claim(announced.id, now())
                assert upload is not None
                async with hold_upload(world.sources, upload):
                    with capture_logs() as logs:
                        proxy.become(Toxic.REFUSE)

                        async def has_failed() -> bool:
                            return any(entry["event"] == "upload.lease_not_renewed" for entry in logs)

                        await eventually(has_failed)
                        proxy.become(Toxic.NONE)
                    before = await leased_until(world, upload.id)

                    async def is_renewed() -> bool:
                        return await leased_until(world, upload.id) > before

                    await eventually(is_renewed)
