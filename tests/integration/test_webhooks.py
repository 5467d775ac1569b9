"""Signed webhooks: nothing is lost while an endpoint is away, and nothing goes where it must not."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from config import Settings
from datasources.events import webhook_messages
from datasources.events.webhook_endpoints import (
    BY_OPERATOR,
    DISABLED_AFTER,
    MAX_ENDPOINTS,
    MAX_SECRETS,
    Endpoint,
    TooManyEndpointsError,
)
from datasources.events.webhook_messages import DEAD_KEPT, PAUSES, MessageState
from datasources.events.webhook_sender import open_sender, why_refused
from datasources.telemetry.metrics import REGISTRY
from domain.events import EventType
from domain.jobs import JOBS, Fact, Task
from tests.support.account_references import account_references
from tests.support.command_line import run_command
from tests.support.emptying import empty
from tests.support.events import checked, names
from tests.support.factories import World, changed_sources, now, opened
from tests.support.operation_counter import OperationCounter
from tests.support.own_databases import own_database
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import eventually
from tests.support.workers import running_worker
from workers.maintenance.pending import WEBHOOKS, find_stuck
from workers.registry import HANDLERS
from workers.runtime.drain import drain
from workers.runtime.handler import Tools

COMMANDS = OperationCounter()


@pytest.fixture(scope="module")
async def telling(shared_settings: Settings) -> AsyncIterator[World]:
    """A world that sends webhooks, also to this machine."""
    with own_database(shared_settings, events=("webhooks",), webhook_private_addresses=True) as settings:
        async with opened(settings, [COMMANDS]) as world:
            yield world


@pytest.fixture(autouse=True)
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pauses are so short that a busy machine would make a second attempt within a test."""
    monkeypatch.setattr(webhook_messages, "PAUSES", [timedelta(hours=1 + n) for n in range(len(PAUSES))])


@pytest.fixture
async def own(telling: World) -> World:
    """That world, emptied."""
    return await empty(telling)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def added(world: World, receiver: Receiver, *types: EventType) -> Endpoint:
    return await world.sources.webhook_endpoints.add(receiver.url, types)


async def stored(world: World, endpoint: Endpoint) -> Endpoint:
    found = await world.sources.webhook_endpoints.by_id(endpoint.id)
    assert found is not None
    return found


async def make_due(world: World) -> None:
    """Makes it time for every next attempt."""
    await world.sources.database["webhook_messages"].update_many(
        {"state": "WAITING"}, {"$set": {"next_at": now(), "due_at": now()}}
    )


async def count(world: World, endpoint: Endpoint, state: MessageState) -> int:
    return await world.sources.webhook_messages.count(endpoint.id, state, 100)


def attempts(endpoint: Endpoint, outcome: str) -> float | None:
    """How many attempts this process has counted."""
    labels = {"endpoint": str(endpoint.id), "outcome": outcome}
    return REGISTRY.get_sample_value("photogram_webhooks_total", labels)


async def test_events_are_sent_signed_and_as_their_schemas_say(own: World, receiver: Receiver) -> None:
    endpoint = await added(own, receiver)
    ana = await own.user()
    await own.comment(await own.post(ana, caption="At the sea"), ana, "nice")
    await own.drain()
    events = []
    for headers, body in receiver.received:
        event = checked(Webhook(endpoint.secrets[0].value).verify(body, headers))
        assert headers["webhook-id"] == event["id"]
        events.append(event)
        with pytest.raises(WebhookVerificationError):
            Webhook(endpoint.secrets[0].value).verify(body + b" ", headers)
    assert set(names(events)) == {"post.published", "comment.added"}
    assert all("content" in event["data"] for event in events)
    assert not await own.sources.database["webhook_messages"].count_documents({})


async def test_an_endpoint_gets_the_types_that_it_asks_for(own: World, receiver: Receiver) -> None:
    await added(own, receiver, EventType.POST_DELETED)
    ana = await own.user()
    post = await own.post(ana)
    await own.drain()
    await own.sources.posts.delete(post.id, ana.id, now())
    await own.drain()
    assert [json.loads(body)["type"] for _, body in receiver.received] == ["photogram.post.deleted.v1"]


async def test_what_fails_is_sent_again_with_the_same_id_and_a_fresh_time(own: World, receiver: Receiver) -> None:
    endpoint = await added(own, receiver)
    receiver.status = 503
    before = now()
    await own.post(await own.user())
    await own.drain()
    (failed,) = await own.sources.database["webhook_messages"].find().to_list()
    assert failed["attempts"] == 1
    assert failed["next_at"] == failed["due_at"] > before + timedelta(minutes=59)
    assert (await stored(own, endpoint)).failing_since
    receiver.status = 200
    await make_due(own)
    await own.drain()
    first, second = receiver.received
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[1] == second[1]
    assert not await own.sources.database["webhook_messages"].count_documents({})
    assert (await stored(own, endpoint)).failing_since is None
    assert [attempts(endpoint, outcome) for outcome in ("failed", "delivered")] == [1, 1]


async def test_after_the_last_attempt_a_message_is_dead_and_can_be_replayed(own: World, receiver: Receiver) -> None:
    endpoint = await added(own, receiver)
    receiver.status = 500
    await own.post(await own.user())
    for _ in range(len(PAUSES) + 2):
        await own.drain()
        await make_due(own)
    assert len(receiver.received) == len(PAUSES) + 1
    (dead,) = await own.sources.webhook_messages.dead(endpoint.id, 9)
    assert dead.last_error == "HTTP 500"
    receiver.status = 200
    assert await own.sources.webhook_messages.replay(endpoint.id) == 1
    await own.drain()
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
    assert not await own.sources.database["webhook_messages"].count_documents({})


async def test_words_that_are_private_by_now_are_not_sent(own: World, receiver: Receiver) -> None:
    await added(own, receiver)
    receiver.status = 503
    ana = await own.user()
    await own.post(ana, caption="SECRET")
    await own.drain()
    assert b"SECRET" in receiver.received[0][1]
    assert "SECRET" not in str(await own.sources.database["webhook_messages"].find().to_list())
    await own.sources.users.update_profile(ana.id, {"is_private": True})
    await make_due(own)
    await own.drain()
    assert len(receiver.received) == 2
    assert b"SECRET" not in receiver.received[1][1]


async def test_both_secrets_sign_after_a_rotation_until_the_old_one_ends(own: World, receiver: Receiver) -> None:
    endpoint = await added(own, receiver)
    new = await own.sources.webhook_endpoints.rotate(endpoint)
    await own.post(await own.user())
    await own.drain()
    headers, body = receiver.received[0]
    for secret in (new, endpoint.secrets[0].value):
        assert Webhook(secret).verify(body, headers)
    await own.sources.database["webhook_endpoints"].update_one({}, {"$set": {"secrets.1.until": now()}})
    await own.post(await own.user())
    await own.drain()
    headers, body = receiver.received[-1]
    assert Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secrets[0].value).verify(body, headers)


async def test_every_secret_signs_for_a_day_after_its_replacement(own: World, receiver: Receiver) -> None:
    endpoint = await added(own, receiver)
    for _ in range(2):
        await own.sources.webhook_endpoints.rotate(await stored(own, endpoint))
    rotated = await stored(own, endpoint)
    assert rotated.secrets[2].value == endpoint.secrets[0].value
    assert len(set(rotated.signing_secrets(now()))) == 3
    await own.sources.database["webhook_endpoints"].update_one({}, {"$set": {"secrets.2.until": now()}})
    for _ in range(MAX_SECRETS):
        await own.sources.webhook_endpoints.rotate(await stored(own, endpoint))
    rotated = await stored(own, endpoint)
    assert len(rotated.secrets) == MAX_SECRETS
    assert endpoint.secrets[0].value not in rotated.signing_secrets(now())
    assert rotated.secrets[0].until is None


async def test_an_endpoint_for_which_too_much_waits_is_disabled_and_waiting_is_counted_seldom(
    own: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_messages, "MAX_WAITING", 3)
    monkeypatch.setattr(webhook_messages, "COUNTED_EVERY", 2)
    endpoint, ana = await added(own, receiver), await own.user()
    receiver.status = 503
    counted = "aggregate webhook_messages"
    before = COMMANDS.counts[counted]
    for _ in range(4):
        await own.post(ana)
        await own.drain()
    assert COMMANDS.counts[counted] == before + 2
    assert (await stored(own, endpoint)).disabled_at is None
    await own.post(ana)
    await own.drain()
    assert (await stored(own, endpoint)).disabled_because == "3 events waited"
    assert await count(own, endpoint, MessageState.DEAD) == 4


@pytest.mark.parametrize("is_gone", [True, False])
async def test_an_endpoint_that_is_gone_or_fails_for_long_is_disabled(
    own: World, receiver: Receiver, is_gone: bool
) -> None:
    endpoint = await added(own, receiver)
    receiver.status = 410 if is_gone else 500
    if not is_gone:
        since = now() - DISABLED_AFTER - timedelta(minutes=1)
        await own.sources.database["webhook_endpoints"].update_one({}, {"$set": {"failing_since": since}})
    await own.post(await own.user())
    await own.drain()
    disabled = await stored(own, endpoint)
    assert disabled.disabled_at
    assert f"HTTP {receiver.status}" in str(disabled.disabled_because)
    assert await count(own, endpoint, MessageState.DEAD) == 1
    assert [finding.kind for finding in await find_stuck(own.sources, now())] == [WEBHOOKS]
    assert not await own.sources.webhook_endpoints.disable(endpoint.id, BY_OPERATOR)
    again = await stored(own, endpoint)
    assert (again.disabled_at, again.disabled_because) == (disabled.disabled_at, BY_OPERATOR)
    await own.post(await own.user())
    await own.drain()
    assert len(receiver.received) == 1


async def test_webhooks_that_are_turned_off_tell_nobody(own: World, receiver: Receiver) -> None:
    endpoint = await added(own, receiver)
    receiver.status = 503
    await own.post(await own.user())
    await own.drain()
    await make_due(own)
    off = own.sources.settings.model_copy(update={"events": ()})
    await drain(Tools(sources=changed_sources(own.sources, settings=off)))
    assert len(receiver.received) == 1
    assert await count(own, endpoint, MessageState.DEAD) == 1


async def test_a_deleted_account_is_named_only_by_what_is_to_be_sent(own: World, receiver: Receiver) -> None:
    endpoint, ana = await added(own, receiver), await own.user()
    receiver.status = 503
    await own.post(ana)
    await own.drain()
    assert "webhook_messages" in await account_references(own, ana.id)
    await own.sources.users.delete(ana.id, now())
    await own.drain()
    await own.sources.webhook_messages.give_up(endpoint.id)
    messages = await own.sources.database["webhook_messages"].find().to_list()
    assert {message["type"] for message in messages} >= {"post.published", "user.deleted"}
    assert all(message["expires_at"] <= now() + DEAD_KEPT for message in messages)


async def test_redirects_are_not_followed(own: World, receiver: Receiver) -> None:
    endpoint = await added(own, receiver)
    receiver.status = 302
    await own.post(await own.user())
    await own.drain()
    assert len(receiver.received) == 1
    assert (await stored(own, endpoint)).last_error == "HTTP 302"


async def test_a_slow_endpoint_holds_up_no_other(own: World, receiver: Receiver) -> None:
    async with receiving() as slow:
        slow.pause = 60
        await added(own, slow)
        await added(own, receiver)
        await own.post(await own.user())
        kinds = {kind: HANDLERS[kind] for kind in HANDLERS if kind[0] in (Task.DELIVER, Task.PUBLISH_WEBHOOKS)}
        async with running_worker(own, "events", kinds), running_worker(own, "webhooks", kinds):
            await eventually(lambda: asyncio.sleep(0, bool(slow.received and receiver.received)))
            assert await own.sources.database["webhook_messages"].count_documents({}) == 1
    assert JOBS[Task.DELIVER, Fact.WEBHOOK_MESSAGE].concurrency >= MAX_ENDPOINTS


async def test_there_is_a_limit_of_endpoints(own: World, receiver: Receiver) -> None:
    for _ in range(MAX_ENDPOINTS):
        await added(own, receiver)
    with pytest.raises(TooManyEndpointsError):
        await added(own, receiver)


async def test_messages_of_a_deleted_endpoint_go(own: World, receiver: Receiver) -> None:
    endpoint = await added(own, receiver)
    receiver.status = 500
    await own.post(await own.user())
    await own.drain()
    await own.sources.webhook_endpoints.delete(endpoint.id)
    await make_due(own)
    await own.drain()
    assert not await own.sources.database["webhook_messages"].count_documents({})


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1:9/", "https://localhost:9/", "https://2130706433:9/", "https://[::1]:9/", "https://0x7f.1:9/"],
)
async def test_private_addresses_are_never_connected_to(own: World, receiver: Receiver, url: str) -> None:
    port = receiver.url.split(":")[2].split("/")[0]
    strict = own.sources.settings.model_copy(update={"webhook_private_addresses": False})
    async with open_sender(strict) as sender:
        error = await sender.send(url.replace(":9/", f":{port}/"), "{}", {})
    assert error is not None
    assert receiver.received == []
    assert "is not a public address" in error


async def test_an_address_that_was_stored_is_checked_again(own: World, receiver: Receiver) -> None:
    strict = own.sources.settings.model_copy(update={"webhook_private_addresses": False})
    async with open_sender(strict) as sender:
        for url in ("http://example.com/", "https://u:p@example.com/", "https://example.com/#part"):
            assert await sender.send(url, "{}", {}) == why_refused(url, is_private_allowed=False)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 SECRET\r\n\r\n", b"HTTP/1.1 200 OK\r\nSECRET: " + b"S" * 9_000, b""])
async def test_errors_hold_nothing_of_the_address_and_the_answer(own: World, answer: bytes) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server, open_sender(own.sources.settings) as sender:
        port = server.sockets[0].getsockname()[1]
        error = await sender.send(f"http://127.0.0.1:{port}/?token=SECRET", "{}", {})
    assert error is not None
    assert error.isidentifier()  # the name of a class


async def test_operators_manage_endpoints_by_commands(own: World, receiver: Receiver) -> None:
    given = {"webhook_private_addresses": "true"}
    refused = await run_command(own, "webhooks", "add", receiver.url)
    assert (refused.code, refused.err) == (2, "photogram: the address must begin with https://\n")
    new = json.loads((await run_command(own, "webhooks", "add", receiver.url, "--json", **given)).out)
    assert (await run_command(own, "webhooks", "disable", new["endpoint"])).out == "disabled: True\n"
    listed = (await run_command(own, "webhooks", "list")).out
    assert "by an operator" in listed
    assert new["secret"] not in listed
    assert (await run_command(own, "webhooks", "replay", new["endpoint"])).code == 1
    assert (await run_command(own, "webhooks", "enable", new["endpoint"])).code == 0
    receiver.status = 410
    await own.post(await own.user())
    await own.drain()
    assert "HTTP 410" in (await run_command(own, "webhooks", "list", "--json")).out
    assert (await run_command(own, "webhooks", "dead", new["endpoint"])).out.startswith("post_published:")
    await run_command(own, "webhooks", "enable", new["endpoint"])
    assert (await run_command(own, "webhooks", "replay", new["endpoint"])).out == "replayed: 1\n"
    rotated = (await run_command(own, "webhooks", "rotate", new["endpoint"])).out
    assert rotated.startswith("secret: whsec_")
    assert (await run_command(own, "webhooks", "delete", new["endpoint"])).out == "deleted: True\n"
    assert (await run_command(own, "webhooks", "delete", new["endpoint"])).code == 1
