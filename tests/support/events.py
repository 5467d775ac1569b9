"""What others read of public events, each checked against its schema."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from datasources.events.redis_stream import stream_key
from domain.ids import to_global_id
from domain.records.users import UserRecord
from tests.support.factories import World

SCHEMAS = Path(__file__).parents[2] / "docs" / "events"


@cache
def schema(event_type: str) -> dict[str, Any]:
    """The schema of a CloudEvents `type`."""
    name = event_type.removeprefix("photogram.")
    read: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text())
    Draft202012Validator.check_schema(read)
    return read


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """The event; fails if it is not as its schema says."""
    validator = Draft202012Validator(schema(event["type"]), format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(event)
    return event


async def stream_entries(world: World) -> list[tuple[int, dict[str, Any]]]:
    """The numbers and events in the stream of Redis, oldest first, checked."""
    key = stream_key(world.sources.settings.key_prefix)
    rows: Any = await world.redis_of(key).xrange(key)
    return [(int(fields[b"number"]), checked(orjson.loads(fields[b"event"]))) for _, fields in rows]


async def told(world: World) -> list[dict[str, Any]]:
    """Runs what is pending; returns all events in the stream of Redis, oldest first, checked."""
    await world.drain()
    return [event for _, event in await stream_entries(world)]


def names(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, without what all have."""
    return [event["type"].removeprefix("photogram.").removesuffix(".v1") for event in events]


def user_id(user: UserRecord) -> str:
    """The global id of an account, as events have it."""
    return to_global_id("User", user.id)
