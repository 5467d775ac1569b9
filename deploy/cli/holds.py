"""What the commands `moderation hold`, `release` and `holds` do: each returns its exit code."""

from typing import NamedTuple

from bson import ObjectId

from config import Settings
from datasources.mongo import clock
from datasources.sources import Sources
from deploy.cli.maintenance_reports import open_prepared
from deploy.cli.moderation import find_target
from deploy.cli.output import print_json, print_line
from deploy.local.errors import StartError
from domain.errors import Refusal
from domain.limits import REPORT_NOTE_MAX
from domain.records.discovery import HeldKind
from domain.text import checked_text, hashtag_name
from domain.topics import hashtag_id


class _Thing(NamedTuple):
    """What can be held out of explore, and how operators call it."""

    id: ObjectId
    kind: HeldKind
    name: str


async def run_hold(settings: Settings, target: str, reason: str, *, is_held: bool) -> int:
    """Holds something out of explore and trends, or lets it in again. Raises StartError if there is no such thing."""
    async with open_prepared(settings) as sources:
        try:
            reason = checked_text(reason, "reason", max_length=REPORT_NOTE_MAX)
        except Refusal as refusal:
            raise StartError(refusal.message) from None
        thing = await _find(sources, target)
        await sources.discovery.holds.put(*thing, is_held=is_held, reason=reason, now=clock.now())
    print_line(f"{thing.name} is {'held out of explore' if is_held else 'let into explore again'}")
    return 0


async def run_holds(settings: Settings, limit: int, *, released: bool, as_json: bool) -> int:
    """Prints what is held out, each with its latest change, one a line; with `as_json` with all changes."""
    async with open_prepared(settings) as sources:
        for hold in await sources.discovery.holds.latest(limit, released=released):
            if as_json:
                changes = [change.to_document() for change in hold.log]
                print_json({"name": hold.name, "kind": hold.kind, "is_held": hold.is_held, "log": changes})
            else:
                latest = hold.log[-1]
                print_line("  ".join((str(latest.at), hold.kind, hold.name, latest.reason or "-")))
    return 0


async def _find(sources: Sources, target: str) -> _Thing:
    if target.startswith("#"):
        name = hashtag_name(target)
        if name is None:
            raise StartError(f"{target} is no hashtag")
        return _Thing(hashtag_id(name), HeldKind.HASHTAG, f"#{name}")
    found, _ = await find_target(sources, target)
    if found.type.name not in HeldKind.__members__:
        raise StartError("only posts, accounts and hashtags are in explore")
    return _Thing(found.id, HeldKind[found.type.name], target)
