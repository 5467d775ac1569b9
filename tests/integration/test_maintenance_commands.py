"""The commands as an operator types them: exit codes, lines for people, JSON for machines."""

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bson import ObjectId

from datasources.jobs.redis_queue import stream_key
from deploy.cli import dead_letters, maintenance_reports
from deploy.local.errors import StartError
from domain.jobs import Fact, Job, Task
from domain.records.users import Device, UserState
from tests.support.client import PASSWORD
from tests.support.command_line import Answer, finish_command, run_command, start_command
from tests.support.factories import World, now
from tests.support.handlers import ATTEMPTS
from tests.support.maintenance import Scene
from workers.maintenance.checks.check import Finding
from workers.maintenance.checks.registry import REPAIRS
from workers.maintenance.gc.steps import Collected
from workers.maintenance.pending import (
    DEAD_LETTER,
    DEAD_LETTERED,
    NEVER_ENQUEUED,
    QUEUE,
    UNFINISHED,
    WEBHOOKS,
    PendingReport,
)
from workers.maintenance.repair import Repaired
from workers.maintenance.verify import UNCHECKED, Report

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


async def test_an_absent_server_gives_one_line_and_its_own_exit_code(own: World) -> None:
    secret = "mongodb://ana:secret@127.0.0.1:1,127.0.0.1:2/?replicaSet=photogram"
    away = await run_command(own, "verify", mongo_url=secret, mongo_timeout="0.5")
    assert (away.code, away.out) == (3, "")
    assert away.err == "photogram: MongoDB does not answer (127.0.0.1:1,127.0.0.1:2)\n"


async def test_verify_shows_its_progress_on_a_terminal_and_ctrl_c_ends_it_with_one_line(own: World) -> None:
    await Scene.applied(own)
    master, terminal = pty.openpty()
    process = await start_command(own, ["verify", "--pause", "60"], {}, terminal)
    os.close(terminal)
    shown = b""
    async with asyncio.timeout(60):
        while b"posts" not in shown:
            shown += await asyncio.to_thread(os.read, master, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the other end is closed
            while more := await asyncio.to_thread(os.read, master, 4096):
                shown += more
        out, _ = await process.communicate()
    os.close(master)
    assert (process.returncode, out) == (130, b"")
    assert shown.decode().endswith("photogram: stopped; running it again does the rest\r\n")


@pytest.mark.parametrize("struct", [Report, Repaired, Collected, Finding, PendingReport])
def test_every_field_of_the_json_reports_is_documented(struct: type[msgspec.Struct]) -> None:
    page = PAGE.read_text()
    assert [name for name in struct.__struct_fields__ if f"`{name}`" not in page] == []


def test_every_kind_of_finding_is_documented() -> None:
    kinds = {re.sub(r"\w+\.unreadable", "<record>.unreadable", kind) for kind in REPAIRS} | {
        UNCHECKED,
        DEAD_LETTER,
        QUEUE,
        WEBHOOKS,
        *(f"<fact>.{kind}" for kind in (DEAD_LETTERED, NEVER_ENQUEUED, UNFINISHED)),
    }
    page = PAGE.read_text()
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in page] == []


async def dead_letter(world: World, scene: Scene) -> Job:
    await world.sources.post_likes.unlike(scene.post.id, scene.bob.id, now())
    job = Job(Task.COUNT, Fact.POST_LIKE, str(scene.post.id))
    for _ in range(ATTEMPTS):
        await world.sources.dead_letters.count_failure(job, "so it [is]", now())
    return job


async def test_verify_and_repair_agree(own: World, capsys: pytest.CaptureFixture[str]) -> None:
    scene, settings = await Scene.applied(own), own.sources.settings
    assert await maintenance_reports.run_verify(settings, sample=None, as_json=False) == 0
    assert capsys.readouterr().out.endswith("findings: 0\n")
    await own.sources.database["posts"].update_one({"_id": scene.post.id}, {"$inc": {"like_count": 1}})
    assert await maintenance_reports.run_verify(settings, sample=None, as_json=False) == 1
    assert f"post.like_count {scene.post.id}: found 2, expected 1: " in capsys.readouterr().out
    assert await maintenance_reports.run_repair(settings, sample=None, as_json=False) == 0
    assert "repaired: 1; left: 0" in capsys.readouterr().out
    assert await maintenance_reports.run_verify(settings, sample=5, as_json=False) == 0


async def test_verify_prints_one_json_document(own: World) -> None:
    scene = await Scene.applied(own)
    await own.sources.database["posts"].update_one({"_id": scene.post.id}, {"$inc": {"like_count": 1}})
    answer = await run_command(own, "verify", "--json")
    report: dict[str, Any] = json.loads(answer.out)
    assert (answer.code, answer.err, report["found"]) == (1, "", 1)
    assert report["findings"][0] | {"why": ""} == {
        "kind": "post.like_count", "id": str(scene.post.id), "expected": 1, "found": 2, "why": ""
    }  # fmt: skip


async def test_dead_letters_are_listed_and_redriven_one_by_one(own: World, capsys: pytest.CaptureFixture[str]) -> None:
    settings = own.sources.settings
    job = await dead_letter(own, await Scene.applied(own))
    await dead_letters.run_list(settings, as_json=False)
    line = capsys.readouterr().out
    assert line.startswith(f"count post_like {job.key}  5 attempts")
    assert line.endswith("so it [is]\n")
    await dead_letters.run_list(settings, as_json=True)
    assert json.loads(capsys.readouterr().out)["job"] == {"task": "count", "fact": "post_like", "key": job.key}
    with pytest.raises(StartError, match="there is no dead letter"):
        await dead_letters.run_redrive(settings, ("count", "post_like", str(ObjectId())))
    with pytest.raises(StartError, match="bake"):
        await dead_letters.run_redrive(settings, ("bake", "post_like", job.key))
    await dead_letters.run_redrive(settings, ("count", "post_like", job.key))
    assert capsys.readouterr().out == "redriven: 1\n"
    assert [letter async for letter in own.sources.dead_letters.all_dead()] == []
    assert await own.sources.database["post_likes"].count_documents({"due_at": {"$exists": True}}) == 1


async def test_all_dead_letters_are_redriven_only_with_an_option(own: World) -> None:
    await dead_letter(own, await Scene.applied(own))
    vague = await run_command(own, "dlq", "redrive")
    assert vague == Answer(2, "", "photogram: say which: TASK FACT KEY, or --all\n")
    assert await run_command(own, "dlq", "redrive", "--all") == Answer(0, "redriven: 1\n", "")
    assert [letter async for letter in own.sources.dead_letters.all_dead()] == []


async def test_malformed_messages_are_listed_and_put_back(own: World, capsys: pytest.CaptureFixture[str]) -> None:
    await Scene.applied(own)
    settings, fields = own.sources.settings, {b"task": b"bake\n", b"fact": b"\xff[cake]"}
    for _ in range(3):
        letter = await own.sources.dead_letters.add_malformed("counters", fields, now())
    assert letter is not None
    await dead_letters.run_list(settings, as_json=False)
    line = capsys.readouterr().out
    assert line.startswith(f"malformed counters {letter.id}  3 times, the last ")
    assert line.endswith(": fact=\\xff[cake] task=bake\\x0a\n")
    await dead_letters.run_list(settings, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["worker"], document["times"], document["fields"]["task"]) == ("counters", 3, "bake\\x0a")
    with pytest.raises(StartError, match="there is no dead letter"):
        await dead_letters.run_redrive(settings, ("malformed", "feed", letter.id))
    stream = stream_key(settings.key_prefix, "counters")
    await own.redis.delete(stream)
    await dead_letters.run_redrive(settings, ("malformed", "counters", letter.id))
    assert capsys.readouterr().out == "redriven: 1\n"
    messages: Any = await own.redis.xrange(stream)
    ((_, message),) = messages
    assert message == fields
    assert [letter async for letter in own.sources.dead_letters.all_malformed()] == []


async def test_gc_prints_what_would_be_removed(own: World, capsys: pytest.CaptureFixture[str]) -> None:
    await Scene.applied(own)
    await own.sources.database["posts"].delete_many({})
    await maintenance_reports.run_gc(own.sources.settings, min_age=0, dry_run=True, as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["dry_run"] is True
    assert report["removed"]["post_likes"] == 1
    assert await own.sources.database["post_likes"].count_documents({}) == 1


async def test_gc_refuses_a_database_without_users_in_one_line(own: World) -> None:
    refused = await run_command(own, "gc")
    assert (refused.code, refused.out) == (2, "")
    assert "is this the right database?" in refused.err
    assert refused.err.count("\n") == 1


async def test_an_operator_deletes_an_account_by_its_handle_and_only_with_yes(own: World) -> None:
    ana = await own.user()
    await own.sources.sessions.open(ana.id, Device(client_name="phone"), now())
    unsure = await run_command(own, "delete-account", ana.username)
    assert (unsure.code, unsure.out, ana.username in unsure.err, "--yes" in unsure.err) == (2, "", True, True)
    assert (await own.stored_user(ana.id)).state is UserState.ACTIVE
    done = await run_command(own, "delete-account", ana.username.upper(), "--yes")
    assert (done.code, done.out.startswith(f"deleted {ana.username}")) == (0, True)
    assert (await own.stored_user(ana.id)).state is UserState.DELETED
    assert await own.sources.sessions.of_user(ana.id) == []
    again = await run_command(own, "delete-account", ana.username, "--yes")
    assert (again.code, again.err) == (1, f"photogram: there is no account {ana.username}\n")


async def test_an_operator_makes_an_account_that_nobody_can_register(own: World) -> None:
    async def make(*words: str, password: str) -> Answer:
        process = await start_command(own, ["create-account", *words], {}, stdin=asyncio.subprocess.PIPE)
        return await finish_command(process, f"{password}\n")

    weak = await make("support", "support@example.com", password="photogram2026")
    assert (weak.code, weak.out, weak.err.count("\n")) == (1, "", 1)
    made = await make("support", "support@example.com", "--name", "Support", password=PASSWORD)
    assert (made.code, made.out, made.err) == (0, "made support (Support)\n", "")
    credentials = await own.sources.users.credentials("support")
    assert credentials is not None
    assert await own.sources.passwords.verify(credentials.password_hash, PASSWORD)
    taken = await make("Support", "other@example.com", password=PASSWORD)
    assert (taken.code, taken.err) == (1, "photogram: Another account has this user name.\n")
