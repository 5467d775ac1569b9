"""Every rule of a record is broken on purpose: `verify` finds it, `repair` repairs it, `verify` finds nothing more."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from datasources.accounts.linked_identities import link_id_of
from datasources.jobs.idempotency import Idempotency
from datasources.jobs.outbox import add_pending
from datasources.moderation.deciding import Ruling
from datasources.mongo.sharded_ids import COMMENT_KEY, key_in, new_id
from domain.image_formats import SourceFormat
from domain.jobs import Task
from domain.records.moderation import ModerationAction, ReportReason, ReportTargetType, Target
from domain.records.posts import PostDraft, PostImage
from domain.records.users import AccountStanding
from tests.support.auditing import store_files
from tests.support.factories import World, now
from tests.support.maintenance import Scene, find_faults
from workers.maintenance import verify
from workers.maintenance.checks.claims import ORPHAN, ORPHAN_KEY, UNCLAIMED
from workers.maintenance.checks.feed_entries import MISSING
from workers.maintenance.checks.feed_modes import WRONG as FEED_MODE
from workers.maintenance.checks.followers import LISTED, UNLISTED
from workers.maintenance.checks.identities import LINK, UNLINKED
from workers.maintenance.checks.indexes import INDEX
from workers.maintenance.checks.missing_notifications import MISSING as UNNOTIFIED
from workers.maintenance.checks.registry import CHECKS
from workers.maintenance.checks.tagged_posts import LISTED as TAG_LISTED
from workers.maintenance.checks.tagged_posts import UNLISTED as TAG_UNLISTED
from workers.maintenance.repair import repair
from workers.maintenance.walk import Walk

Break = Callable[[World, Scene], Awaitable[Any]]
PENDING_FIELDS = {"outbox": "", "pending_since": "", "due_at": "", "enqueues": ""}
RULES = {kind: repairs for check in CHECKS if check.looks_twice for kind, repairs in check.repairs.items()}
ONLY_BY_HAND = {"report.case_id", "post.author_id", "post.empty", "upload.owner_id", "upload.image"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else runs here, so that the second look need not wait."""
    monkeypatch.setattr(verify, "SECOND_LOOK", 0.0)


OWNERS = {
    "posts": "author_id",
    "follows": "follower_id",
    "uploads": "owner_id",
}  # whose account the ids of documents say


async def insert(world: World, collection: str, **fields: Any) -> None:
    if collection in OWNERS:
        fields.setdefault("_id", new_id(fields[OWNERS[collection]]))
    await world.sources.database[collection].insert_one(fields)


async def lose_pending(world: World, collection: str, **values: Any) -> None:
    """Removes all pending tasks of a collection, as a bug might."""
    change = {"$unset": PENDING_FIELDS} | ({"$set": values} if values else {})
    changed = await world.sources.database[collection].update_many({"outbox": {"$exists": True}}, change)
    assert changed.modified_count


def lost_like(likes: str, **fields: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        target_id = scene.post.id if likes == "post_likes" else scene.comment_id
        like = {"target_id": target_id, "user_id": ObjectId(), "liked": False, "counted": False, "notified": False}
        await insert(world, likes, **like | fields)

    return run


def unnotified(likes: str) -> Break:
    async def run(world: World, _scene: Scene) -> None:
        await world.sources.database[likes].update_many({}, {"$unset": {"notified": ""}})

    return run


def comment(**fields: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        comment_id = new_id(scene.ana.id)
        whole: dict[str, Any] = {
            "_id": comment_id,
            COMMENT_KEY: key_in(comment_id),
            "post_id": scene.post.id,
            "author_id": scene.bob.id,
            "parent_id": None,
            "text": "",
            "mention_ids": [],
        }
        rest = {"created_at": now(), "deleted": False, "counted": True}
        await insert(world, "comments", **whole | rest | fields)

    return run


def follow(follower: str | None, followee: str | None, state: str = "FOLLOWING") -> Break:
    async def run(world: World, scene: Scene) -> None:
        ends = [getattr(scene, name).id if name else ObjectId() for name in (follower, followee)]
        counted = state == "FOLLOWING"
        marks = {"counted": counted, "counted_following": counted, "version": 1}
        await insert(world, "follows", follower_id=ends[0], followee_id=ends[1], state=state, **marks)

    return run


async def lost_claims(world: World, _scene: Scene) -> None:
    await world.sources.database["claims"].delete_many({})


async def claim_of_nobody(world: World, _scene: Scene) -> None:
    await insert(world, "claims", _id="username_key:nobody", user_id=ObjectId())


async def key_of_no_comment(world: World, scene: Scene) -> None:
    await insert(world, "claims", _id=f"key:{scene.ana.id}:addComment:k", fact_id=ObjectId(), digest=b"")


async def listed_without_a_follow(world: World, scene: Scene) -> None:
    await insert(world, "followers", _id={"u": scene.bob.id, "f": scene.ana.id})


async def unlisted_follow(world: World, _scene: Scene) -> None:
    await world.sources.database["followers"].delete_many({})


def pair(collection: str, actor_field: str, target_field: str) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await insert(world, collection, **{actor_field: scene.ana.id, target_field: scene.ana.id, "active": True})

    return run


async def block_that_ended_nothing(world: World, scene: Scene) -> None:
    await insert(world, "blocks", blocker_id=scene.ana.id, blocked_id=scene.bob.id, active=True)


async def author_pulled_without_a_switch(world: World, scene: Scene) -> None:
    await world.sources.database["users"].update_one({"_id": scene.ana.id}, {"$set": {"pulled": True}})


async def post_that_waits_for_nothing(world: World, scene: Scene) -> None:
    draft = PostDraft(images=[PostImage(upload_id=ObjectId())])
    await world.sources.publishing.create(scene.ana.id, draft, now())
    await lose_pending(world, "posts")


async def post_without_images(world: World, scene: Scene) -> None:
    await world.sources.database["posts"].update_one({"_id": scene.post.id}, {"$set": {"images": []}})


async def deleted_post_with_nothing_pending(world: World, scene: Scene) -> None:
    await world.sources.posts.delete(scene.post.id, scene.ana.id, now())
    await lose_pending(world, "posts")


async def post_of_nobody(world: World, _scene: Scene) -> None:
    await insert(
        world, "posts", author_id=ObjectId(), status="READY", deleted=False, counted=True, images=[{"renditions": []}]
    )


async def add_upload(world: World, scene: Scene) -> None:
    """The upload of the post's image, so that its files can be moved."""
    (shown,) = scene.post.images
    made = await world.sources.uploads.announce(scene.ana.id, SourceFormat.PNG, 9, "x" * 44, now())
    row = {**made.to_document(), "_id": shown.id, "status": "READY", "image": shown.to_document()}
    await world.sources.database["uploads"].delete_one({"_id": made.id})
    await insert(world, "uploads", **(row | {"post_id": scene.post.id}))


async def public_post_of_a_private_account(world: World, scene: Scene) -> None:
    await add_upload(world, scene)
    await world.sources.database["users"].update_one({"_id": scene.ana.id}, {"$set": {"is_private": True}})


def upload(**values: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await world.sources.uploads.announce(scene.ana.id, SourceFormat.PNG, 9, "x" * 44, now())
        await lose_pending(world, "uploads", **values)

    return run


async def post_of_an_older_version(world: World, _scene: Scene) -> None:
    for name in ("topics", "topic_posts"):
        await world.sources.database[name].delete_many({})
    await world.sources.database["posts"].update_many({}, {"$unset": {"listed": ""}})


async def without_words(world: World, _scene: Scene) -> None:
    assert (await world.sources.database["caption_terms"].delete_many({})).deleted_count


async def words_of_nothing(world: World, scene: Scene) -> None:
    await insert(world, "caption_terms", author_id=scene.ana.id, is_open=True, language="en", terms=["x"])


async def listed_post_of_nobody(world: World, _scene: Scene) -> None:
    await insert(world, "topic_posts", topic_id=ObjectId(), post_id=ObjectId(), listed=True, counted=False, score=1)


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


async def feed_without_the_post(world: World, _scene: Scene) -> None:
    await world.sources.database["feed_entries"].delete_many({})


def feed_that_is_pulled_and(**more: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        change = {"$set": {"pulled": True, **more}, "$unset": {"floor": "", "refresh_at": ""}}
        await world.sources.database["feeds"].update_one({"_id": scene.bob.id}, change)

    return run


def lost_notification(kind: str) -> Break:
    async def run(world: World, _scene: Scene) -> None:
        await world.sources.database["notifications"].delete_many({"kind": kind})

    return run


async def saved(world: World, scene: Scene) -> ObjectId:
    """Bob saves ana's post in a collection, whose id this is."""
    values = {"name": "light", "is_public": False}
    made = await world.sources.saved.collections.create(scene.bob.id, values, now(), None)
    await world.sources.saved.posts.save(scene.bob.id, scene.post.id, now(), [made.id])
    return made.id


def miscounted(collection: str, field: str) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await saved(world, scene)
        await world.sources.database[collection].update_many({}, {"$inc": {field: 3}})

    return run


def without(collection: str) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await saved(world, scene)
        await world.sources.database[collection].delete_many({})

    return run


def save(**fields: Any) -> Break:
    async def run(world: World, scene: Scene) -> None:
        await saved(world, scene)
        whole = {"saver_id": scene.bob.id, "post_id": ObjectId(), "saved_at": now()}
        await insert(world, "saves", **whole | fields)

    return run


def of_nobody(collection: str, **fields: Any) -> Break:
    async def run(world: World, _scene: Scene) -> None:
        await insert(world, collection, **{"_id": ObjectId(), "created_at": now(), "deleted": False, **fields})

    return run


async def tag_listed_for_nobody(world: World, scene: Scene) -> None:
    await insert(world, "tagged_posts", _id={"u": scene.bob.id, "p": scene.post.id})


async def tag_unlisted(world: World, scene: Scene) -> None:
    await store_files(world, await world.post(scene.ana, tagged=[scene.bob]))
    await world.drain()
    await world.sources.database["tagged_posts"].delete_many({})


async def lost_index(world: World, _scene: Scene) -> None:
    await world.sources.database["sessions"].drop_index("user_id_1__id_-1")


FAILED = {"status": "REJECTED", "failure": {"code": "IMAGE_CORRUPT", "message": "no"}}
BREAKS: dict[str, Break] = {
    "post_like.target_id": lost_like("post_likes", target_id=ObjectId(), liked=True, counted=True, notified=True),
    "post_like.taken_back": lost_like("post_likes"),
    "post_like.notified": unnotified("post_likes"),
    "comment_like.target_id": lost_like("comment_likes", target_id=ObjectId(), liked=True, counted=True, notified=True),
    "comment_like.taken_back": lost_like("comment_likes"),
    "comment_like.notified": unnotified("comment_likes"),
    "comment.post_id": comment(post_id=ObjectId()),
    "comment.parent_id": comment(parent_id=ObjectId()),
    "comment.deleted": comment(deleted=True, counted=False),
    "follow.follower_id": follow(None, "ana"),
    "follow.followee_id": follow("bob", None),
    "follow.self": follow("ana", "ana"),
    "follow.ended": follow("ana", "bob", "NONE"),
    "follow.blocked": block_that_ended_nothing,
    "follow.requested": follow("ana", "bob", "REQUESTED"),
    "follow.pulled": author_pulled_without_a_switch,
    UNCLAIMED: lost_claims,
    ORPHAN: claim_of_nobody,
    ORPHAN_KEY: key_of_no_comment,
    LISTED: listed_without_a_follow,
    UNLISTED: unlisted_follow,
    "block.self": pair("blocks", "blocker_id", "blocked_id"),
    "mute.self": pair("mutes", "muter_id", "muted_id"),
    "post.author_id": post_of_nobody,
    "post.processing": post_that_waits_for_nothing,
    "post.empty": post_without_images,
    "post.deleted": deleted_post_with_nothing_pending,
    "post.area": public_post_of_a_private_account,
    "post.listed": post_of_an_older_version,
    "post.caption_terms": without_words,
    "caption_terms.post_id": words_of_nothing,
    "topic_post.wrong": listed_post_of_nobody,
    "upload.owner_id": upload(owner_id=ObjectId(), **FAILED),
    "upload.awaiting_bytes": upload(),
    "upload.processing": upload(status="PROCESSING"),
    "upload.image": upload(status="READY"),
    "upload.slots": upload(**FAILED),
    "session.user_id": session_of_nobody,
    "factor._id": factors_of_nobody,
    LINK: identity_of_nobody,
    "session.deactivated": session_of_deactivated,
    "export._id": export_of_nobody,
    "export.left_over": export_without_an_end,
    "session.standing": session_of_before_a_suspension,
    "user.standing": shown_although_banned,
    "decision.ends_at": decided(
        ModerationAction.SUSPEND, ReportTargetType.USER, "decisions", {"$unset": {"ends_at": ""}}
    ),
    "post.moderated_by": decided(
        ModerationAction.REMOVE, ReportTargetType.POST, "posts", {"$unset": {"moderated_by": ""}}
    ),
    "comment.moderated_by": decided(
        ModerationAction.HIDE, ReportTargetType.COMMENT, "comments", {"$unset": {"moderated_by": ""}}
    ),
    "comment.removed": decided(
        ModerationAction.REMOVE, ReportTargetType.COMMENT, "comments", {"$set": {"hidden": False}}
    ),
    "case.status": case_half_closed,
    "report.case_id": report_without_a_case,
    "report.status": open_report_of_a_closed_case,
    UNLINKED: identity_without_a_link,
    MISSING: feed_without_the_post,
    FEED_MODE: feed_that_is_pulled_and(live=True),
    f"{UNNOTIFIED}.POST_LIKED": lost_notification("POST_LIKED"),
    f"{UNNOTIFIED}.COMMENT_LIKED": lost_notification("COMMENT_LIKED"),
    f"{UNNOTIFIED}.posts": lost_notification("POST_READY"),
    f"{UNNOTIFIED}.comments": lost_notification("REPLIED"),
    f"{UNNOTIFIED}.follows": lost_notification("FOLLOWED"),
    TAG_LISTED: tag_listed_for_nobody,
    TAG_UNLISTED: tag_unlisted,
    "saver.save_count": miscounted("savers", "save_count"),
    "saver.collection_count": miscounted("savers", "collection_count"),
    "collection.post_count": miscounted("collections", "post_count"),
    "save.uncounted": without("savers"),
    "collection_post.unsaved": without("saves"),
    "collection_post.collection_id": without("collections"),
    "save.post_id": save(),
    "save.saver_id": save(saver_id=ObjectId()),
    "saver._id": of_nobody("savers"),
    "collection.owner_id": of_nobody("collections", owner_id=ObjectId(), name="light"),
    INDEX: lost_index,
}


def test_every_rule_is_broken_by_a_test() -> None:
    assert RULES.keys() < BREAKS.keys()


def test_the_rules_that_only_people_can_repair_are_listed() -> None:
    assert {kind for kind, repairs in RULES.items() if repairs is None} == ONLY_BY_HAND


# Other ways to break some of these rules.
MORE_BREAKS: Sequence[tuple[str, Break]] = (
    (LINK, identity_that_its_account_does_not_show),
    ("session.standing", session_of_before_a_restoration),
    (
        "decision.ends_at",
        decided(ModerationAction.REMOVE, ReportTargetType.POST, "decisions", {"$unset": {"ends_at": ""}}),
    ),
    (
        "decision.ends_at",
        decided(ModerationAction.REMOVE, ReportTargetType.COMMENT, "decisions", {"$unset": {"ends_at": ""}}),
    ),
    (
        "comment.moderated_by",
        decided(ModerationAction.REMOVE, ReportTargetType.COMMENT, "comments", {"$unset": {"moderated_by": ""}}),
    ),
    ("report.status", closed_report_of_an_open_case),
)


@pytest.mark.parametrize(("kind", "damage"), [*BREAKS.items(), *MORE_BREAKS])
async def test_a_broken_rule_is_found_and_repaired(own: World, kind: str, damage: Break) -> None:
    scene = await Scene.applied(own)
    await damage(own, scene)
    assert kind in {finding.kind for finding in await find_faults(own)}
    done = await repair(own.tools, Walk(sources=own.sources))
    if kind in ONLY_BY_HAND:
        assert [(left.kind, "only people can repair this" in left.why) for left in done.left if left.kind == kind] == [
            (kind, True)
        ]
        return
    assert kind in {finding.kind for finding in done.repaired}
    assert done.left == []
    assert await find_faults(own) == []


async def test_tombstones_kept_for_their_keys_are_no_finding(own: World) -> None:
    scene = await Scene.applied(own)
    keys = [Idempotency.of(key, "test", {}) for key in ("post", "comment")]
    draft = PostDraft(images=[PostImage(upload_id=ObjectId())])
    post = await own.sources.publishing.create(scene.ana.id, draft, now(), keys[0])
    comment = await own.comment(scene.post, scene.bob, idempotency=keys[1])
    await own.sources.posts.delete(post.id, scene.ana.id, now())
    await own.sources.comments.delete(comment.id, now())
    await own.drain()
    kept = [await own.sources.database[name].count_documents({"deleted": True}) for name in ("posts", "comments")]
    assert kept == [1, 1]
    assert await find_faults(own) == []
    await own.sources.database["posts"].delete_one({"_id": scene.post.id})
    assert str(comment.id) not in {finding.id for finding in await find_faults(own)}


async def test_what_the_log_does_not_tell_is_left_to_people(own: World) -> None:
    """A post that is removed by no decision of the log, and an identity that another account has by now."""
    scene = await Scene.applied(own)
    database = own.sources.database
    await decided(ModerationAction.HIDE, ReportTargetType.POST, "posts", {"$unset": {"moderated_by": ""}})(own, scene)
    await database["decisions"].update_many({}, {"$set": {"action": "RESTORE"}})
    await identity_without_a_link(own, scene)
    factors = await database["factors"].find_one({"_id": scene.ana.id}) or {}
    await database["factors"].insert_one({**factors, "_id": scene.bob.id})
    key = factors["identities"][0]["key"]
    await insert(own, "identity_links", _id=link_id_of(key), key=key, user_id=scene.bob.id)
    expected = {("post.moderated_by", str(scene.post.id)), (UNLINKED, str(scene.ana.id))}
    done = await repair(own.tools, Walk(sources=own.sources))
    assert {(left.kind, left.id) for left in done.left} == expected
    assert {(finding.kind, finding.id) for finding in await find_faults(own)} == expected


async def test_a_session_that_a_decision_is_about_to_end_is_no_finding(own: World) -> None:
    scene = await Scene.applied(own)
    database = own.sources.database
    await decided(ModerationAction.BAN, ReportTargetType.USER, "decisions", {"$set": {"note": "!"}})(own, scene)
    banned = (await database["decisions"].find_one({}) or {})["subject_id"]
    await own.sources.sessions.open(banned, None, now())
    await database["sessions"].update_one({"user_id": banned}, {"$unset": {"is_restricted": ""}})
    await database["decisions"].update_one({}, [add_pending([Task.END_SESSIONS], now())])
    assert await find_faults(own) == []
    await database["decisions"].update_one({}, {"$unset": PENDING_FIELDS})
    assert [finding.kind for finding in await find_faults(own)] == ["session.standing"]
