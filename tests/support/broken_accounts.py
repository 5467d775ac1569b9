"""Ways to break the rules of accounts, and of what moderators decide, in the scene of `tests.support.maintenance`."""

from datetime import timedelta
from typing import Any

from bson import ObjectId

from datasources.moderation.deciding import Ruling
from domain.records.moderation import ModerationAction, ReportReason, ReportTargetType, Target
from domain.records.users import AccountStanding
from tests.support.breaks import Break
from tests.support.broken_content import add_upload, insert
from tests.support.factories import World, now
from tests.support.maintenance import Scene


async def session_of_nobody(world: World, _scene: Scene) -> None:
    await world.sources.sessions.open(ObjectId(), None, now())


async def factors_of_nobody(world: World, _scene: Scene) -> None:
    await world.sources.factors.one_time_codes.begin(ObjectId(), now())


async def export_of_nobody(world: World, _scene: Scene) -> None:
    made = {"requested_at": now(), "key": "x.zip", "kept_until": now()}
    await world.sources.database["exports"].insert_one({"_id": ObjectId(), **made})


async def export_without_an_end(world: World, scene: Scene) -> None:
    made = {"requested_at": now(), "key": "x.zip", "byte_size": 1}
    await world.sources.database["exports"].insert_one({"_id": scene.ana.id, **made})


async def link_identity(world: World, user_id: ObjectId) -> None:
    await world.sources.factors.identities.link(user_id, "https://issuer.example", str(user_id), now())


async def identity_of_nobody(world: World, _scene: Scene) -> None:
    await insert(world, "identity_links", user_id=ObjectId())


async def identity_that_its_account_does_not_show(world: World, scene: Scene) -> None:
    await link_identity(world, scene.ana.id)
    await world.sources.database["factors"].update_one({"_id": scene.ana.id}, {"$set": {"identities": []}})


async def identity_without_a_link(world: World, scene: Scene) -> None:
    await link_identity(world, scene.ana.id)
    await world.sources.database["identity_links"].delete_many({})


async def session_of_deactivated(world: World, scene: Scene) -> None:
    users = world.sources.database["users"]
    await world.sources.sessions.open(scene.bob.id, None, now())
    await users.update_one({"_id": scene.bob.id}, {"$set": {"state": "DEACTIVATED"}})


async def session_of_before_a_suspension(world: World, _scene: Scene) -> None:
    user = await world.user()
    await world.sources.sessions.open(user.id, None, now())
    await world.set_standing(user, AccountStanding.SUSPENDED)
    await world.drain()


async def session_of_before_a_restoration(world: World, _scene: Scene) -> None:
    user = await world.user()
    await world.set_standing(user, AccountStanding.SUSPENDED)
    await world.sources.sessions.open(user.id, None, now())
    await world.set_standing(user, AccountStanding.GOOD)
    await world.drain()


async def shown_although_banned(world: World, _scene: Scene) -> None:
    banned = {"$set": {"standing": "BANNED"}}
    await world.sources.database["users"].update_one({"_id": (await world.user()).id}, banned)


def decided(action: ModerationAction, kind: ReportTargetType, collection: str, change: dict[str, Any]) -> Break:
    """A decision that is carried out, and a change of what it wrote to a collection."""

    async def run(world: World, scene: Scene) -> None:
        (about,) = await world.users(1)
        if kind is ReportTargetType.POST:
            await add_upload(world, scene)
        ids = {
            ReportTargetType.USER: (about.id, about.id),
            ReportTargetType.POST: (scene.post.id, scene.ana.id),
            ReportTargetType.COMMENT: (scene.comment_id, scene.bob.id),
        }
        target = Target(id=ids[kind][0], type=kind, subject_id=ids[kind][1])
        until = now() + timedelta(days=3) if action is ModerationAction.SUSPEND else None
        ruling = Ruling(target=target, action=action, statement="!", until=until)
        decision = await world.sources.moderation.deciding.decide(ruling, now())
        await world.drain()
        changed = decision.id if collection == "decisions" else target.id
        assert (await world.sources.database[collection].update_one({"_id": changed}, change)).modified_count == 1

    return run


async def case_half_closed(world: World, scene: Scene) -> None:
    await reported(world, scene)
    await world.sources.database["cases"].update_many({}, {"$set": {"status": "CLOSED"}})
    await world.sources.database["reports"].update_many({}, {"$unset": {"is_open": ""}, "$set": {"expires_at": now()}})


async def report_without_a_case(world: World, scene: Scene) -> None:
    await reported(world, scene)
    await world.sources.database["cases"].delete_many({})


async def open_report_of_a_closed_case(world: World, scene: Scene) -> None:
    await reported(world, scene)
    closed = {"$set": {"status": "CLOSED", "closed_at": now()}, "$unset": {"open_target_id": ""}}
    await world.sources.database["cases"].update_many({}, closed)


async def closed_report_of_an_open_case(world: World, scene: Scene) -> None:
    await reported(world, scene)
    closed = {"$unset": {"is_open": ""}, "$set": {"expires_at": now() + timedelta(days=366)}}
    await world.sources.database["reports"].update_many({}, closed)


async def reported(world: World, scene: Scene) -> None:
    target = Target(id=scene.ana.id, type=ReportTargetType.USER, subject_id=scene.ana.id)
    await world.sources.moderation.reports.report(scene.bob.id, target, ReportReason.SPAM, "", now())


async def dismissed_by_nobody(world: World, scene: Scene) -> None:
    await insert(world, "dismissed_suggestions", _id=ObjectId(), user_ids=[scene.bob.id])


async def oneself_dismissed(world: World, scene: Scene) -> None:
    await insert(world, "dismissed_suggestions", _id=scene.ana.id, user_ids=[scene.bob.id, scene.ana.id])
