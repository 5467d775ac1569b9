"""Every event and setting that `docs/operations.md` names exists."""

import re
from pathlib import Path

from config import Settings
from deploy.cli.options import DATA_DIR_VARIABLE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
SOURCE = "".join(
    path.read_text()
    for folder in ("datasources", "deploy", "resolvers", "workers")
    for path in (ROOT / folder).rglob("*.py")
)


def test_every_event_is_logged_by_that_name() -> None:
    table = PAGE.partition("| event |")[2].partition("\n\n")[0]
    events = [event for row in table.splitlines() for event in re.findall(r"`([a-z_.' ]+)`", row.split("|")[1]) if row]
    events.remove("dead")
    assert len(events) > 10
    assert [event for event in events if f'"{event}"' not in SOURCE] == []


def test_every_setting_exists() -> None:
    names = set(re.findall(r"PHOTOGRAM_[A-Z0-9_]+", PAGE)) - {DATA_DIR_VARIABLE}
    assert {name.removeprefix("PHOTOGRAM_").lower() for name in names} <= Settings.model_fields.keys()
