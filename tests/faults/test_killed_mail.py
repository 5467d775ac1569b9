"""The mail worker killed again and again: every mail is sent at least once, and no log has a secret of one."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from config import Settings
from domain.mails import MailKind
from tests.support.auditing import audit
from tests.support.factories import World, now, opened
from tests.support.mail_server import MailServer, running_mail_server, text_of, token_in
from tests.support.stack import stack_on
from tests.support.waiting import eventually

WORKERS = ("mail", "relay")
LONGEST_LIFE = 0.3  # seconds after the first lease
PATIENCE = 60.0  # after the last kill
STATEMENT = "canary-in-a-statement"

Record = Callable[[str, object], None]


async def count_leased(world: World) -> int:
    """How many mails a worker sends just now."""
    return await world.sources.database["mails"].count_documents({"leased_until": {"$gt": now()}})


async def end_leases(world: World) -> None:
    """Ends the leases of dead workers, as time does."""
    over = {"$set": {"leased_until": now(), "due_at": now()}}
    await world.sources.database["mails"].update_many({"lease": {"$exists": True}}, over)


async def add_mails(world: World, number: int) -> None:
    """For each of some people a mail with a token, and one with words of moderators."""
    for user in await world.users(number // 2):
        await world.sources.mails.add(MailKind.PASSWORD_RESET, to=f"{user.username}@example.com")
        await world.sources.mails.add(MailKind.DECIDED, user_id=user.id, values={"statement": STATEMENT})


async def test_every_mail_is_sent_at_least_once_however_often_its_worker_is_killed(
    settings: Settings, tmp_path: Path, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills, each_time = (20, 100) if full_size else (3, 40)
    async with running_mail_server() as server, opened(server.settings(settings)) as world:
        server.pause = 0.05  # 40 mails take longer than LONGEST_LIFE, and one longer than a poll
        killed_during_work = await send_and_kill(world, server, tmp_path, rng, kills, each_time)
        rows = await world.sources.database["mails"].find().to_list()
    assert Counter(row["outcome"] for row in rows) == {"sent": kills * each_time}
    by_id = {str(mail["Message-ID"]).strip("<>").partition("@")[0]: mail for mail in server.mails}
    assert set(by_id) == {str(row["_id"]) for row in rows}
    assert set(Counter((mail["To"], mail["Subject"]) for mail in by_id.values()).values()) == {1}
    await asyncio.to_thread(assert_no_log_tells, tmp_path, server)
    record_property("mails", len(rows))
    record_property("sent_again", len(server.mails) - len(by_id))
    record_property("kills_during_work", killed_during_work)
    assert killed_during_work


async def send_and_kill(world: World, server: MailServer, folder: Path, rng: Random, kills: int, each_time: int) -> int:
    """Adds mails and kills their worker, until the last one sends what is left. How often it was killed at work."""
    killed_during_work = 0
    with stack_on(world.sources.settings, folder) as stack:
        for _ in range(kills):
            worker = await stack.workers(*WORKERS)
            await add_mails(world, each_time)
            await eventually(lambda: count_leased(world), seconds=PATIENCE)
            await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
            worker.kill()
            killed_during_work += await count_leased(world) > 0
            await end_leases(world)
        server.pause = 0.0
        await stack.workers(*WORKERS)
        await audit(world, seconds=PATIENCE)
    return killed_during_work


def assert_no_log_tells(folder: Path, server: MailServer) -> None:
    """No log has an address, a token or a word of a mail. The tokens are those that the recipients got."""
    addresses = {str(mail["To"]) for mail in server.mails}
    tokens = {token_in(mail) for mail in server.mails if STATEMENT not in text_of(mail)}
    secrets = [secret.encode() for secret in (*addresses, *tokens, STATEMENT)]
    logs = [path.read_bytes() for path in folder.glob("*.log")]
    assert logs
    assert addresses
    assert tokens
    for log in logs:
        assert not [secret for secret in secrets if secret in log]
