"""The commands of `photogram moderation`: roles, the queue, decisions and the log."""

import json
from datetime import timedelta

from domain.ids import to_global_id
from domain.records.moderation import ReportReason, ReportTargetType, Target
from domain.records.users import Role
from tests.support.command_line import run_command
from tests.support.factories import World, now


async def test_an_operator_gives_roles_and_decides(own: World) -> None:
    ana, bob = await own.users(2)
    given = await run_command(own, "moderation", "role", ana.username, "moderator")
    assert (given.code, given.out) == (0, f"{ana.username} is MODERATOR\n")
    assert (await own.stored_user(ana.id)).role is Role.MODERATOR
    target = Target(id=bob.id, type=ReportTargetType.USER, subject_id=bob.id)
    await own.sources.moderation.reports.report(ana.id, target, ReportReason.SPAM, "every minute", now())
    (case,) = (json.loads(line) for line in (await run_command(own, "moderation", "queue", "--json")).out.splitlines())
    assert (case["target"], case["count"], case["reasons"]) == (to_global_id("User", bob.id), 1, "SPAM")
    shown = await run_command(own, "moderation", "show", case["id"])
    assert "every minute" in shown.out
    until = (now() + timedelta(days=2)).isoformat()[:19]
    words = ("SUSPEND", "--statement", "Too much.", "--until", until)
    decided = await run_command(own, "moderation", "decide", bob.username, *words)
    assert decided.code == 0, decided
    suspended = await own.stored_user(bob.id)
    assert (suspended.standing, suspended.state) == ("SUSPENDED", "SUSPENDED")
    assert (await run_command(own, "moderation", "queue")).out == ""
    assert case["id"] in (await run_command(own, "moderation", "queue", "--closed")).out
    log = await run_command(own, "moderation", "log", bob.username, "--json")
    entries = [json.loads(line) for line in log.out.splitlines()]
    assert [(entry["action"], entry["statement"]) for entry in entries] == [("SUSPEND", "Too much.")]
    assert (await run_command(own, "moderation", "decide", case["target"], "restore")).code == 0
    await own.drain()


async def test_what_is_wrong_is_one_line(own: World) -> None:
    ana = await own.user()
    for words, code, complaint in (
        (("role", "nobody.here", "MODERATOR"), 1, "there is no account nobody.here"),
        (("role", ana.username, "KING"), 2, "KING: there are MEMBER, TRUSTED, MODERATOR, ADMINISTRATOR"),
        (("show", "nonsense"), 1, "there is no case nonsense"),
        (("decide", ana.username, "HIDE", "--statement", "!"), 1, "HIDE is no decision about a User."),
        (("decide", to_global_id("Post", ana.id), "HIDE", "--statement", "!"), 1, "there is no user, post or comment"),
    ):
        answer = await run_command(own, "moderation", *words)
        assert answer.code == code, answer
        assert complaint in answer.err
