"""Every rule of a record is broken on purpose: `verify` finds it, `repair` repairs it, `verify` finds nothing more."""

from collections.abc import Sequence

import pytest
from bson import ObjectId

from datasources.accounts.linked_identities import link_id_of
from datasources.jobs.idempotency import Idempotency
from datasources.jobs.outbox import add_pending
from domain.jobs import Task
from domain.records.moderation import ModerationAction, ReportTargetType
from domain.records.posts import PostDraft, PostImage
from tests.support.breaks import Break
from tests.support.broken_accounts import (
    case_half_closed,
    closed_report_of_an_open_case,
    decided,
    dismissed_by_nobody,
    export_of_nobody,
    export_without_an_end,
    factors_of_nobody,
    identity_of_nobody,
    identity_that_its_account_does_not_show,
    identity_without_a_link,
    oneself_dismissed,
    open_report_of_a_closed_case,
    report_without_a_case,
    session_of_before_a_restoration,
    session_of_before_a_suspension,
    session_of_deactivated,
    session_of_nobody,
    shown_although_banned,
)
from tests.support.broken_content import (
    PENDING_FIELDS,
    author_pulled_without_a_switch,
    block_that_ended_nothing,
    claim_of_nobody,
    comment,
    deleted_post_with_nothing_pending,
    feed_that_is_pulled_and,
    feed_without_the_post,
    follow,
    insert,
    key_of_no_comment,
    listed_post_of_nobody,
    listed_without_a_follow,
    lost_claims,
    lost_index,
    lost_like,
    lost_notification,
    miscounted,
    of_nobody,
    pair,
    place_where_a_post_is,
    post_of_an_older_version,
    post_of_nobody,
    post_that_waits_for_nothing,
    post_without_images,
    public_post_of_a_private_account,
    save,
    tag_listed_for_nobody,
    tag_unlisted,
    unlisted_follow,
    unnotified,
    upload,
    without,
    without_words,
    words_of_nothing,
)
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

RULES = {kind: repairs for check in CHECKS if check.looks_twice for kind, repairs in check.repairs.items()}
ONLY_BY_HAND = {"report.case_id", "post.author_id", "post.empty", "upload.owner_id", "upload.image"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else runs here, so that the second look need not wait."""
    monkeypatch.setattr(verify, "SECOND_LOOK", 0.0)


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
    "dismissed_suggestion.user_ids": oneself_dismissed,
    "dismissed_suggestion._id": dismissed_by_nobody,
    "post.author_id": post_of_nobody,
    "post.processing": post_that_waits_for_nothing,
    "post.empty": post_without_images,
    "post.deleted": deleted_post_with_nothing_pending,
    "post.area": public_post_of_a_private_account,
    "post.listed": post_of_an_older_version,
    "post.caption_terms": without_words,
    "caption_terms.post_id": words_of_nothing,
    "topic_post.wrong": listed_post_of_nobody,
    "topic.point": place_where_a_post_is,
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
