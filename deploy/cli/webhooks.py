"""What the commands of `webhooks` do: each returns its exit code."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from bson import ObjectId

from config import Settings
from datasources.events.webhook_endpoints import BY_OPERATOR, Endpoint, TooManyEndpointsError
from datasources.events.webhook_messages import MAX_WAITING, MessageState
from datasources.events.webhook_sender import why_refused
from datasources.sources import Sources
from deploy.cli.exit_codes import WRONG_USAGE
from deploy.cli.maintenance_reports import open_prepared
from deploy.cli.output import print_json, print_line
from deploy.local.errors import StartError
from domain.events import EventType

LISTED = 1_000


async def run_add(settings: Settings, url: str, types: Sequence[str], *, as_json: bool) -> int:
    """Adds an endpoint and prints its id and secret. Raises StartError for what is refused."""
    if reason := why_refused(url, is_private_allowed=settings.webhook_private_addresses):
        raise StartError(reason, exit_code=WRONG_USAGE)
    try:
        kinds = [EventType(each) for each in types]
    except ValueError as error:
        raise StartError(f"{error}: there are {', '.join(EventType)}", exit_code=WRONG_USAGE) from error
    async with open_prepared(settings) as sources:
        try:
            endpoint = await sources.webhook_endpoints.add(url, kinds)
        except TooManyEndpointsError as error:
            raise StartError(str(error)) from error
    _print({"endpoint": str(endpoint.id), "secret": endpoint.secrets[0].value}, as_json=as_json)
    return 0


async def run_list(settings: Settings, *, as_json: bool) -> int:
    """Prints the endpoints, without their secrets; one JSON document a line with `as_json`."""
    async with open_prepared(settings) as sources:
        for endpoint in await sources.webhook_endpoints.all():
            counts = {
                state.lower(): await sources.webhook_messages.count(endpoint.id, state, MAX_WAITING)
                for state in MessageState
            }
            known = {**msgspec.structs.asdict(endpoint), **counts, "id": str(endpoint.id)}
            del known["secrets"]
            print_json(known) if as_json else print_line(_line(endpoint, counts))
    return 0


async def run_dead(settings: Settings, name: str, *, as_json: bool) -> int:
    """Prints what an endpoint never took."""
    async with _found(settings, name) as (sources, endpoint):
        for message in await sources.webhook_messages.dead(endpoint.id, LISTED):
            known = {"id": message.to_event().id, "attempts": message.attempts, "error": message.last_error}
            print_json(known) if as_json else print_line("  ".join(map(str, known.values())))
    return 0


async def run_act(settings: Settings, act: str, name: str, *, as_json: bool) -> int:
    """Does one of `ACTS` with an endpoint, and prints what it returns. Raises StartError if there is no such one."""
    async with _found(settings, name) as (sources, endpoint):
        _print(await ACTS[act](sources, endpoint), as_json=as_json)
    return 0


async def _rotate(sources: Sources, endpoint: Endpoint) -> dict[str, Any]:
    return {"secret": await sources.webhook_endpoints.rotate(endpoint)}


async def _disable(sources: Sources, endpoint: Endpoint) -> dict[str, Any]:
    is_new = await sources.webhook_endpoints.disable(endpoint.id, BY_OPERATOR)
    await sources.webhook_messages.give_up(endpoint.id)
    return {"disabled": is_new}


async def _enable(sources: Sources, endpoint: Endpoint) -> dict[str, Any]:
    await sources.webhook_endpoints.enable(endpoint.id)
    return {"enabled": True}


async def _replay(sources: Sources, endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.disabled_at is not None:
        raise StartError(f"the endpoint is disabled ({endpoint.disabled_because}): enable it first")
    return {"replayed": await sources.webhook_messages.replay(endpoint.id)}


async def _delete(sources: Sources, endpoint: Endpoint) -> dict[str, Any]:
    is_deleted = await sources.webhook_endpoints.delete(endpoint.id)
    await sources.webhook_messages.delete_of(endpoint.id)
    return {"deleted": is_deleted}


ACTS: Mapping[str, Callable[[Sources, Endpoint], Awaitable[dict[str, Any]]]] = {
    "rotate": _rotate,
    "disable": _disable,
    "enable": _enable,
    "replay": _replay,
    "delete": _delete,
}


@contextlib.asynccontextmanager
async def _found(settings: Settings, name: str) -> AsyncIterator[tuple[Sources, Endpoint]]:
    async with open_prepared(settings) as sources:
        endpoint = await sources.webhook_endpoints.by_id(ObjectId(name)) if ObjectId.is_valid(name) else None
        if endpoint is None:
            raise StartError(f"there is no endpoint {name}")
        yield sources, endpoint


def _print(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(values)
        return
    for name, value in values.items():
        print_line(f"{name}: {value}")


def _line(endpoint: Endpoint, counts: dict[str, int]) -> str:
    types = ", ".join(endpoint.types) or "all types"
    state = "enabled"
    if endpoint.disabled_at is not None:
        state = f"disabled {endpoint.disabled_at.isoformat(timespec='seconds')}: {endpoint.disabled_because}"
    elif endpoint.failing_since is not None:
        state = f"failing since {endpoint.failing_since.isoformat(timespec='seconds')}: {endpoint.last_error}"
    return f"{endpoint.id}  {endpoint.url}  {types}  {counts['waiting']} waiting, {counts['dead']} dead  {state}"
