"""Appeals of those who are decided upon, as clients see them."""

from tests.e2e.conftest import Moderators, Register
from tests.e2e.moderating import LOG, ME, case_about, decisions_about, log_in


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
    again = await banned.done("appealDecision", "decision { id canAppeal }", **appeal)  # the answer was lost
    assert again == payload
    other = {**appeal, "text": "That was my brother."}
    assert await banned.refused("appealDecision", **other) == ("NOT_ALLOWED", ["decisionId"])
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
    assert (restored["nothingToUndo"], banned_before["canAppeal"]) == (False, False)
    assert await back.refused("appealDecision", **appeal) == ("NOT_ALLOWED", ["decisionId"])
    entries = (await max_.get(LOG, subject=ana.id))["moderation"]["log"]["edges"]
    assert [edge["node"]["action"] for edge in entries] == ["RESTORE", "APPEAL", "BAN"]


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
        payload = await max_.done("moderate", "event { action nothingToUndo }", caseId=case["id"], action="RESTORE")
        assert payload["event"] == {"action": "RESTORE", "nothingToUndo": True}
    banned = await log_in(ana)
    assert (await banned.get(ME))["viewer"]["standing"] == "BANNED"
    told = [(each["action"], each["nothingToUndo"]) for each in await decisions_about(banned)]
    assert told[:3] == [("RESTORE", True), ("RESTORE", True), ("BAN", False)]
    assert (await banned.get("query ($id: ID!) { post(id: $id) { id } }", id=post_id))["post"] is None
