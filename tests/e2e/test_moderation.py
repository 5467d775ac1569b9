"""Reports, the moderators' queue, decisions with their consequences, and appeals, as clients see them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.ids import from_global_id, to_global_id
from domain.limits import SUSPENSION_MAX
from domain.records.users import Role
from tests.e2e.conftest import Register
from tests.e2e.test_delete_account import finish
from tests.support.client import PASSWORD, Api, Person
from tests.support.factories import World, now, opened
from tests.support.stack import Stack
from tests.support.waiting import eventually

Moderators = Callable[[], Awaitable[Person]]

QUEUE = """query ($status: CaseStatus, $reason: ReportReason, $type: ReportTargetType, $first: Int, $after: String) {
  moderation { queue(status: $status, reason: $reason, targetType: $type, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    edges { node {
      id isOpen targetId reportCount reasons appealText claimedUntil claimedBy { id } subject { id }
      target { __typename ... on User { id } ... on Post { id caption } ... on Comment { id text } }
      reports { reason note reporter { id } } appealedDecision { action statement }
    } }
  } }
}"""
LOG = """query ($subject: ID) { moderation { log(subjectId: $subject) { edges { node {
  action reason statement note until role targetId caseId moderator { id } subject { id }
} } } } }"""
ME = """{ viewer {
  standing standingUntil
  decisions { edges { node { id action reason statement until targetId canAppeal } } }
} }"""
POST = "query ($id: ID!) { post(id: $id) { id status isSensitive } }"
USER = "query ($id: ID!) { node(id: $id) { id } }"


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    """The stores below the running processes."""
    async with opened(stack.settings) as world:
        yield world


@pytest.fixture
def moderator(register: Register, world: World) -> Moderators:
    """Registers a moderator."""

    async def make() -> Person:
        person = await register()
        assert await world.sources.moderation.deciding.set_role(_id(person.id), Role.MODERATOR, now())
        return person

    return make


def _id(gid: str) -> Any:
    return from_global_id(gid)[1]


async def case_about(moderator: Person, target: str, **filters: Any) -> Any:
    """The open case about a target; None if there is none."""
    after, found = None, []
    while True:
        queue = (await moderator.get(QUEUE, first=50, after=after, **filters))["moderation"]["queue"]
        found += [edge["node"] for edge in queue["edges"] if edge["node"]["targetId"] == target]
        after = queue["pageInfo"]["endCursor"]
        if not queue["pageInfo"]["hasNextPage"]:
            return found[0] if found else None


async def log_in(person: Person) -> Person:
    """A new session of the same person."""
    payload = await Api(person.http).done(
        "login", "tokens { accessToken refreshToken }", login=person.username, password=PASSWORD
    )
    again = Person(person.http, payload["tokens"]["accessToken"])
    again.id, again.username = person.id, person.username
    again.refresh_token = payload["tokens"]["refreshToken"]
    return again


async def decisions_about(person: Person) -> list[Any]:
    """What moderators decided about a person, latest first, as they see it."""
    return [edge["node"] for edge in (await person.get(ME))["viewer"]["decisions"]["edges"]]


async def test_reports_of_one_target_are_one_case(register: Register, moderator: Moderators) -> None:
    ana, bob, eve, mia = await register(), await register(), await register(), await moderator()
    post = await ana.ready_post(caption="look at this")
    for _ in range(2):  # the second one changes nothing
        payload = await bob.done("reportContent", "reported", targetId=post, reason="SPAM", note="again and again")
        assert payload["reported"] is True
    await eve.done("reportContent", targetId=post, reason="NUDITY")
    case = await case_about(mia, post)
    assert case["target"] == {"__typename": "Post", "id": post, "caption": "look at this"}
    assert (case["reportCount"], sorted(case["reasons"])) == (2, ["NUDITY", "SPAM"])
    assert case["subject"] == {"id": ana.id}
    assert case["reports"] == [
        {"reason": "NUDITY", "note": "", "reporter": {"id": eve.id}},
        {"reason": "SPAM", "note": "again and again", "reporter": {"id": bob.id}},
    ]
    assert await case_about(mia, post, reason="NUDITY", type="POST") is not None
    assert await case_about(mia, post, reason="VIOLENCE") is None
    assert await case_about(mia, post, type="USER") is None
    assert await case_about(mia, post, status="CLOSED") is None
    await mia.done("moderate", targetId=post, action="DISMISS")
    assert await case_about(mia, post) is None
    assert (await case_about(mia, post, status="CLOSED"))["id"] == case["id"]
    await bob.done("reportContent", targetId=post, reason="SPAM")
    assert (await case_about(mia, post))["id"] != case["id"]
    await mia.done("moderate", targetId=post, action="DISMISS")


async def test_only_what_the_reporter_sees_and_is_not_their_own_is_reported(register: Register) -> None:
    ana, bob = await register(), await register()
    await ana.done("updateProfile", isPrivate=True)
    post = await ana.ready_post()
    assert await bob.refused("reportContent", targetId=post, reason="SPAM") == ("NOT_FOUND", ["targetId"])
    assert await bob.refused("reportContent", targetId="nonsense", reason="SPAM") == ("NOT_FOUND", ["targetId"])
    session = to_global_id("Session", _id(ana.id))
    assert await bob.refused("reportContent", targetId=session, reason="SPAM") == ("NOT_FOUND", ["targetId"])
    assert await ana.refused("reportContent", targetId=post, reason="SPAM") == ("INVALID_INPUT", ["targetId"])
    assert await ana.refused("reportContent", targetId=ana.id, reason="SPAM") == ("INVALID_INPUT", ["targetId"])
    assert await bob.refused("reportContent", targetId=ana.id, reason="OTHER") == ("INVALID_INPUT", ["note"])
    assert (
        await Api(ana.http).ask('mutation { reportContent(input: {targetId: "x", reason: SPAM}) { reported } }')
    ).codes == ["UNAUTHENTICATED"]


async def test_the_queue_is_for_moderators(register: Register, moderator: Moderators, world: World) -> None:
    ana, bob, mia = await register(), await register(), await moderator()
    await bob.done("reportContent", targetId=ana.id, reason="SPAM")
    case = await case_about(mia, ana.id)
    case_id = case["id"]
    assert case["target"] == {"__typename": "User", "id": ana.id}
    for client in (bob, Api(bob.http)):
        assert await client.get(QUEUE) == {"moderation": None}
        assert await client.get(USER, id=case_id) == {"node": None}
    assert await mia.get(USER, id=case_id) == {"node": {"id": case_id}}
    refused = ("NOT_ALLOWED", None)
    assert await bob.refused("moderate", targetId=ana.id, action="DISMISS") == refused
    assert await bob.refused("claimCase", caseId=case_id) == refused
    await mia.done("moderate", caseId=case_id, action="DISMISS")
    await world.sources.moderation.deciding.set_role(_id(mia.id), Role.MEMBER, now())
    assert await mia.get(QUEUE) == {"moderation": None}
    assert await mia.refused("moderate", targetId=ana.id, action="DISMISS") == refused


async def test_a_moderator_s_access_token_sees_cases_only_with_the_scope(
    register: Register, moderator: Moderators
) -> None:
    ana, bob, mia = await register(), await register(), await moderator()
    await bob.done("reportContent", targetId=ana.id, reason="SPAM")
    case_id = (await case_about(mia, ana.id))["id"]
    for scope, seen in (("READ", None), ("WRITE", None), ("MODERATE", {"id": case_id})):
        made = await mia.done("createAccessToken", "text", name="a program", scopes=[scope])
        assert await Api(mia.http, made["text"]).get(USER, id=case_id) == {"node": seen}
    await mia.done("moderate", caseId=case_id, action="DISMISS")


async def test_a_claimed_case_is_left_alone_by_others(register: Register, moderator: Moderators) -> None:
    ana, bob, mia, max_ = await register(), await register(), await moderator(), await moderator()
    await bob.done("reportContent", targetId=ana.id, reason="SPAM")
    case = await case_about(mia, ana.id)
    claimed = (await mia.done("claimCase", "case { claimedUntil claimedBy { id } }", caseId=case["id"]))["case"]
    assert claimed["claimedBy"] == {"id": mia.id}
    assert claimed["claimedUntil"]
    await mia.done("claimCase", caseId=case["id"])
    assert await max_.refused("claimCase", caseId=case["id"]) == ("NOT_ALLOWED", ["caseId"])
    assert await max_.refused("claimCase", caseId=case["id"], release=True) == ("NOT_ALLOWED", ["caseId"])
    for given in ({"caseId": case["id"]}, {"targetId": ana.id}):
        assert await max_.refused("moderate", action="DISMISS", **given) == ("NOT_ALLOWED", ["caseId"])
    await mia.done("claimCase", caseId=case["id"], release=True)
    await max_.done("moderate", caseId=case["id"], action="DISMISS")
    for client in (mia, max_):
        assert await client.refused("claimCase", caseId=case["id"]) == ("NOT_ALLOWED", ["caseId"])
        assert await client.refused("moderate", caseId=case["id"], action="DISMISS") == ("NOT_ALLOWED", ["caseId"])


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
    gone = to_global_id("Post", _id(ana.id))
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
    ends = {"_id": _id(decision["id"])}
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


async def test_a_ban_has_no_end(register: Register, moderator: Moderators) -> None:
    ana, mia = await register(), await moderator()
    await mia.done("moderate", targetId=ana.id, action="BAN", statement="Enough.")
    banned = await log_in(ana)
    viewer = (await banned.get(ME))["viewer"]
    assert (viewer["standing"], viewer["standingUntil"]) == ("BANNED", None)


async def test_an_appeal_comes_once_and_another_moderator_decides_it(register: Register, moderator: Moderators) -> None:
    ana, mia, max_, bob = await register(), await moderator(), await moderator(), await register()
    await mia.done("moderate", targetId=ana.id, action="BAN", statement="Spam.")
    banned = await log_in(ana)
    (decision,) = await decisions_about(banned)
    appeal = {"decisionId": decision["id"], "text": "That was not me."}
    assert await bob.refused("appealDecision", **appeal) == ("NOT_FOUND", ["decisionId"])
    assert await banned.refused("appealDecision", decisionId=decision["id"], text=" ") == ("INVALID_INPUT", ["text"])
    payload = await banned.done("appealDecision", "decision { id canAppeal }", **appeal)
    assert payload["decision"] == {"id": decision["id"], "canAppeal": False}
    assert await banned.refused("appealDecision", **appeal) == ("NOT_ALLOWED", ["decisionId"])
    case = await case_about(max_, ana.id)
    assert case["appealText"] == "That was not me."
    assert await max_.refused("moderate", caseId=case["id"], action="WARN", statement="!") == (
        "INVALID_INPUT",
        ["action"],
    )
    assert await mia.refused("claimCase", caseId=case["id"]) == ("NOT_ALLOWED", ["caseId"])
    assert case["appealedDecision"] == {"action": "BAN", "statement": "Spam."}
    assert await mia.refused("moderate", caseId=case["id"], action="DISMISS") == ("NOT_ALLOWED", ["caseId"])
    await max_.done("moderate", caseId=case["id"], action="RESTORE", statement="Sorry.")
    back = await log_in(ana)
    assert (await back.get(ME))["viewer"]["standing"] == "GOOD"
    restored, banned_before = await decisions_about(back)
    assert (restored["action"], restored["statement"], restored["canAppeal"]) == ("RESTORE", "Sorry.", False)
    assert banned_before["canAppeal"] is False
    entries = (await max_.get(LOG, subject=ana.id))["moderation"]["log"]["edges"]
    assert [edge["node"]["action"] for edge in entries] == ["RESTORE", "APPEAL", "BAN"]


async def test_who_is_reported_neither_claims_the_case_nor_learns_who_reported_them(
    register: Register, moderator: Moderators
) -> None:
    ana, mia, max_ = await register(), await moderator(), await moderator()
    await ana.done("reportContent", targetId=mia.id, reason="HARASSMENT", note="She knows me.")
    case = await case_about(mia, mia.id)
    assert case["reports"] == []
    assert await mia.refused("claimCase", caseId=case["id"]) == ("NOT_ALLOWED", None)
    assert len((await case_about(max_, mia.id))["reports"]) == 1


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


async def test_an_appeal_that_is_accepted_lifts_no_later_decision(register: Register, moderator: Moderators) -> None:
    ana, mia, max_ = await register(), await moderator(), await moderator()
    post_id = await ana.ready_post()
    await mia.done("moderate", targetId=post_id, action="HIDE", statement="Is that yours?")
    await mia.done("moderate", targetId=ana.id, action="WARN", statement="Careful.")
    for decision in await decisions_about(ana):
        await ana.done("appealDecision", decisionId=decision["id"], text="It is mine.")
    await mia.done("moderate", targetId=post_id, action="REMOVE", statement="It is not.")
    await mia.done("moderate", targetId=ana.id, action="BAN", statement="Enough.")
    for target_id in (post_id, ana.id):
        case = await case_about(max_, target_id)
        await max_.done("moderate", caseId=case["id"], action="RESTORE")
    banned = await log_in(ana)
    assert (await banned.get(ME))["viewer"]["standing"] == "BANNED"
    assert (await banned.get("query ($id: ID!) { post(id: $id) { id } }", id=post_id))["post"] is None


async def test_a_decision_is_made_once_for_a_key(register: Register, moderator: Moderators) -> None:
    ana, mia = await register(), await moderator()
    given = {"targetId": ana.id, "action": "WARN", "statement": "Careful.", "idempotencyKey": "one"}
    for _ in range(2):
        await mia.done("moderate", "event { action }", **given)
    changed = {**given, "statement": "Other."}
    assert await mia.refused("moderate", **changed) == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
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
