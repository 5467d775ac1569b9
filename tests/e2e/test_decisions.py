"""Decisions of moderators with their consequences, as clients see them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain.ids import to_global_id
from domain.limits import SUSPENSION_MAX
from tests.e2e.conftest import Moderators, Register
from tests.e2e.moderating import LOG, ME, POST, TOLD, USER, case_about, decisions_about, id_of, log_in
from tests.e2e.test_delete_account import finish
from tests.support.client import PASSWORD, Api
from tests.support.factories import World, now
from tests.support.waiting import eventually


async def test_a_decision_fits_what_it_is_about(register: Register, moderator: Moderators) -> None:
    ana, mia, max_ = await register(), await moderator(), await moderator()
    post = await ana.ready_post()
    soon = (now() + timedelta(days=3)).isoformat()
    late = (now() + SUSPENSION_MAX + timedelta(days=1)).isoformat()
    invalid: list[tuple[dict[str, Any], str]] = [
        ({"targetId": post, "action": "BAN", "statement": "!"}, "action"),
        ({"targetId": ana.id, "action": "HIDE", "statement": "!"}, "action"),
        ({"targetId": ana.id, "action": "APPEAL", "statement": "!"}, "action"),
        ({"targetId": post, "action": "HIDE"}, "statement"),
        ({"targetId": post, "action": "HIDE", "statement": " "}, "statement"),
        ({"targetId": ana.id, "action": "SUSPEND", "statement": "!"}, "until"),
        ({"targetId": ana.id, "action": "SUSPEND", "statement": "!", "until": late}, "until"),
        ({"targetId": ana.id, "action": "SUSPEND", "statement": "!", "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"targetId": ana.id, "action": "SUSPEND", "statement": "!", "until": "2030-01-01T00:00:00"}, "until"),
        ({"targetId": ana.id, "action": "BAN", "statement": "!", "until": soon}, "until"),
        ({"action": "DISMISS"}, "targetId"),
    ]
    for given, field in invalid:
        assert await mia.refused("moderate", **given) == ("INVALID_INPUT", [field]), given
    for target in (mia.id, max_.id):  # oneself, and another moderator
        assert await mia.refused("moderate", targetId=target, action="WARN", statement="!") == ("NOT_ALLOWED", None)
    gone = to_global_id("Post", id_of(ana.id))
    assert await mia.refused("moderate", targetId=gone, action="DISMISS") == ("NOT_FOUND", ["targetId"])


@pytest.mark.parametrize("action", ["HIDE", "REMOVE"])
async def test_a_hidden_post_is_seen_by_its_author_alone_and_a_removed_one_by_nobody(
    register: Register, moderator: Moderators, action: str
) -> None:
    ana, bob, mia = await register(), await register(), await moderator()
    await bob.done("followUser", userId=ana.id)
    post = await ana.ready_post(caption=f"@{bob.username}")
    shown = {"post": {"id": post, "status": "READY", "isSensitive": False}}
    feed = "{ feed(first: 10) { edges { node { id } } } }"
    addresses = "query ($id: ID!) { post(id: $id) { images { renditions { url } } } }"

    async def is_in_feed() -> bool:
        return any(edge["node"]["id"] == post for edge in (await bob.get(feed))["feed"]["edges"])

    await eventually(is_in_feed)
    for _ in range(3):  # cached, and kept by the engine
        assert await bob.get(POST, id=post) == shown
    urls = [
        each["url"] for image in (await bob.get(addresses, id=post))["post"]["images"] for each in image["renditions"]
    ]
    await mia.done("moderate", targetId=post, action=action, reason="NUDITY", statement="Not here.")
    hidden = {"post": {"id": post, "status": "HIDDEN", "isSensitive": False}}
    assert await ana.get(POST, id=post) == (hidden if action == "HIDE" else {"post": None})
    for client in (bob, Api(bob.http)):
        assert await client.get(POST, id=post) == {"post": None}
    assert not await is_in_feed()
    assert await bob.refused("likePost", postId=post) == ("NOT_FOUND", ["postId"])
    (decision,) = await decisions_about(ana)
    assert (decision["action"], decision["reason"], decision["statement"]) == (action, "NUDITY", "Not here.")
    assert (decision["targetId"], decision["canAppeal"]) == (post, True)
    notified = {"kind": "DECIDED", "decision": {"id": decision["id"], "canAppeal": True}}

    async def is_notified() -> bool:
        edges = (await ana.get(TOLD))["notifications"]["edges"]
        return [edge["node"] for edge in edges] == [notified]

    await eventually(is_notified)

    async def nobody_fetches() -> bool:
        return all([(await bob.http.get(url)).status_code in {403, 404} for url in urls])

    await eventually(nobody_fetches, seconds=30)
    await mia.done("moderate", targetId=post, action="RESTORE")
    assert await bob.get(POST, id=post) == shown
    await eventually(is_in_feed)

    async def is_counted() -> bool:
        (user,) = (await bob.get("query ($id: ID!) { nodes(ids: [$id]) { ... on User { postCount } } }", id=ana.id))[
            "nodes"
        ]
        return bool(user == {"postCount": 1})

    await eventually(is_counted)


@pytest.mark.parametrize("action", ["HIDE", "REMOVE"])
async def test_a_comment_is_hidden_or_removed(register: Register, moderator: Moderators, action: str) -> None:
    ana, bob, mia = await register(), await register(), await moderator()
    post = await ana.ready_post()
    added = await bob.done("addComment", "commentEdge { node { id } }", postId=post, text="rude")
    comment = added["commentEdge"]["node"]["id"]
    await ana.done("reportContent", targetId=comment, reason="HARASSMENT")
    assert (await case_about(mia, comment))["target"] == {"__typename": "Comment", "id": comment, "text": "rude"}
    await mia.done("moderate", targetId=comment, action=action, statement="Be kind.")
    assert await ana.get(USER, id=comment) == {"node": None}
    assert await bob.get(USER, id=comment) == {"node": {"id": comment} if action == "HIDE" else None}
    await mia.done("moderate", targetId=comment, action="RESTORE")
    assert await ana.get(USER, id=comment) == {"node": {"id": comment}}


async def test_a_sensitive_post_is_labelled_until_it_is_restored(register: Register, moderator: Moderators) -> None:
    ana, bob, mia = await register(), await register(), await moderator()
    post = await ana.ready_post()
    for action, label in (("LABEL_SENSITIVE", True), ("RESTORE", False)):
        await bob.get(POST, id=post)
        await mia.done("moderate", targetId=post, action=action, statement="Blood.")
        assert await bob.get(POST, id=post) == {"post": {"id": post, "status": "READY", "isSensitive": label}}
    wish = "{ viewer { preferences { sensitiveContent } } }"
    assert await bob.get(wish) == {"viewer": {"preferences": {"sensitiveContent": "VEIL"}}}
    await bob.done("updatePreferences", sensitiveContent="SHOW")
    await bob.done("updatePreferences")
    assert await bob.get(wish) == {"viewer": {"preferences": {"sensitiveContent": "SHOW"}}}
    assert await bob.refused("updatePreferences", sensitiveContent=None) == ("INVALID_INPUT", ["sensitiveContent"])


async def test_a_suspension_ends_sessions_and_sockets_and_hides_the_account(
    register: Register, moderator: Moderators, world: World
) -> None:
    ana, bob, mia = await register(), await register(), await moderator()
    post = await ana.ready_post()
    until = now() + timedelta(days=3)
    async with ana.socket() as socket:
        await socket.subscribe("subscription { notificationAdded { seq } }")
        await mia.done("moderate", targetId=ana.id, action="SUSPEND", statement="Spam.", until=until.isoformat())
        assert await socket.closed() == 4403
    assert (await ana.ask("mutation { logout(input: {everywhere: true}) { userErrors { code } } }")).errors == []
    assert (await ana.ask("{ viewer { standing } }")).codes == ["UNAUTHENTICATED"]
    assert await bob.get(USER, id=ana.id) == {"node": None}
    assert await bob.get(POST, id=post) == {"post": None}
    again = await log_in(ana)
    viewer = (await again.get(ME))["viewer"]
    assert (viewer["standing"], viewer["standingUntil"][:19]) == ("SUSPENDED", until.isoformat()[:19])
    assert await again.get(POST, id=post) == {"post": {"id": post, "status": "READY", "isSensitive": False}}
    assert await again.refused("followUser", userId=bob.id) == ("ACCOUNT_SUSPENDED", None)
    assert await again.refused("reportContent", targetId=bob.id, reason="SPAM") == ("ACCOUNT_SUSPENDED", None)
    assert await again.refused("addComment", postId=post, text="!") == ("ACCOUNT_SUSPENDED", None)
    await again.done("refreshSession", refreshToken=again.refresh_token)
    (decision,) = await decisions_about(again)
    ends = {"_id": id_of(decision["id"])}
    await world.sources.database["decisions"].update_one(ends, {"$set": {"ends_at": now()}})

    async def is_back() -> bool:
        return (await bob.get(USER, id=ana.id))["node"] is not None

    await eventually(is_back, seconds=30)
    back = await log_in(ana)
    await back.done("followUser", userId=bob.id)
    entries = (await mia.get(LOG, subject=ana.id))["moderation"]["log"]["edges"]
    assert {edge["node"]["action"]: edge["node"]["moderator"] is None for edge in entries} == {
        "EXPIRE": True,
        "SUSPEND": False,
    }


async def test_a_decision_weakens_no_other_one_unless_it_is_restored_first(
    register: Register, moderator: Moderators
) -> None:
    ana, mia = await register(), await moderator()
    post = await ana.ready_post()
    await mia.done("moderate", targetId=post, action="REMOVE", statement="No.")
    await mia.done("moderate", targetId=ana.id, action="BAN", statement="Enough.")
    limit = {"targetId": ana.id, "action": "LIMIT", "statement": "!", "until": (now() + timedelta(days=3)).isoformat()}
    hide = {"targetId": post, "action": "HIDE", "statement": "!"}
    for given in (limit, hide):
        assert await mia.refused("moderate", **given) == ("STRONGER_DECISION", ["action"])
        await mia.done("moderate", targetId=given["targetId"], action="RESTORE")
        await mia.done("moderate", **given)
    back = await log_in(ana)
    assert (await back.get(ME))["viewer"]["standing"] == "LIMITED"
    assert (await back.get(POST, id=post))["post"]["status"] == "HIDDEN"


async def test_a_ban_has_no_end(register: Register, moderator: Moderators) -> None:
    ana, mia = await register(), await moderator()
    await mia.done("moderate", targetId=ana.id, action="BAN", statement="Enough.")
    banned = await log_in(ana)
    viewer = (await banned.get(ME))["viewer"]
    assert (viewer["standing"], viewer["standingUntil"]) == ("BANNED", None)


async def test_a_suspended_account_reads_no_private_post_by_deleting_a_comment(
    register: Register, moderator: Moderators
) -> None:
    ana, bob, mia = await register(), await register(), await moderator()
    post_id = await ana.ready_post()
    comment_id = (await bob.done("addComment", "commentEdge { node { id } }", postId=post_id, text="!"))["commentEdge"][
        "node"
    ]["id"]
    await ana.done("updateProfile", isPrivate=True)
    await mia.done("moderate", targetId=bob.id, action="BAN", statement="Enough.")
    payload = await (await log_in(bob)).done("deleteComment", "post { id }", commentId=comment_id)
    assert payload["post"] is None


async def test_a_decision_is_made_once_for_a_key(register: Register, moderator: Moderators) -> None:
    ana, mia = await register(), await moderator()
    given = {"targetId": ana.id, "action": "WARN", "statement": "Careful.", "idempotencyKey": "one"}
    for _ in range(2):
        await mia.done("moderate", "event { action }", **given)
    changed = {**given, "statement": "Other."}
    assert await mia.refused("moderate", **changed) == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
    assert [decision["action"] for decision in await decisions_about(ana)] == ["WARN"]


async def test_concurrent_duplicates_of_a_decision_answer_the_same_although_the_first_closes_the_case(
    register: Register, moderator: Moderators
) -> None:
    ana, bob, mia = await register(), await register(), await moderator()
    await bob.done("reportContent", targetId=ana.id, reason="SPAM")
    case = await case_about(mia, ana.id)
    given = {"caseId": case["id"], "action": "WARN", "statement": "Careful.", "idempotencyKey": "two"}
    made = await asyncio.gather(*(mia.done("moderate", "event { createdAt }", **given) for _ in range(4)))
    assert len({payload["event"]["createdAt"] for payload in made}) == 1
    assert [decision["action"] for decision in await decisions_about(ana)] == ["WARN"]


async def test_roles_are_in_the_log(moderator: Moderators) -> None:
    mia = await moderator()
    (entry,) = (await mia.get(LOG, subject=mia.id))["moderation"]["log"]["edges"]
    assert (entry["node"]["action"], entry["node"]["role"]) == ("SET_ROLE", "MODERATOR")


async def test_nothing_is_decided_about_a_deleted_account(
    register: Register, moderator: Moderators, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, mia = await register(), await moderator()
    await ana.done("deleteAccount", password=PASSWORD)
    warning = {"targetId": ana.id, "action": "WARN", "statement": "!"}
    assert await mia.refused("moderate", **warning) == ("NOT_FOUND", ["targetId"])
    await finish(world, ana, monkeypatch)
