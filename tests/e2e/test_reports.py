"""Reports, and the queue of cases that moderators work at, as clients see them."""

from domain.ids import to_global_id
from domain.records.users import Role
from tests.e2e.conftest import Moderators, Register
from tests.e2e.moderating import QUEUE, USER, case_about, id_of
from tests.support.client import Api
from tests.support.factories import World, now


async def test_reports_of_one_target_are_one_case(register: Register, moderator: Moderators) -> None:
    ana, bob, eve, mia = await register(), await register(), await register(), await moderator()
    post = await ana.ready_post(caption="look at this")
    for _ in range(2):  # the second one changes nothing
        payload = await bob.done("reportContent", "reported", targetId=post, reason="SPAM", note="again and again")
        assert payload["reported"] is True
    await eve.done("reportContent", targetId=post, reason="NUDITY")
    await ana.done("updatePost", postId=post, caption="nothing here")
    case = await case_about(mia, post)
    assert case["target"] == {"__typename": "Post", "id": post, "caption": "nothing here"}
    assert case["reportedText"] == "look at this"
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
    session = to_global_id("Session", id_of(ana.id))
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
    await world.sources.moderation.deciding.set_role(id_of(mia.id), Role.MEMBER, now())
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


async def test_who_is_reported_neither_claims_the_case_nor_learns_who_reported_them(
    register: Register, moderator: Moderators
) -> None:
    ana, mia, max_ = await register(), await moderator(), await moderator()
    await ana.done("reportContent", targetId=mia.id, reason="HARASSMENT", note="She knows me.")
    case = await case_about(mia, mia.id)
    assert case["reports"] == []
    assert await mia.refused("claimCase", caseId=case["id"]) == ("NOT_ALLOWED", None)
    assert len((await case_about(max_, mia.id))["reports"]) == 1
