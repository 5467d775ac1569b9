from pathlib import Path

import pytest
from bson import ObjectId
from pydantic import ValidationError

from config import Settings, read_settings
from datasources.mongo.sharded_ids import ShardedIds


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:5173,https://app.example",
        " http://localhost:5173 , https://app.example, ",
        '["http://localhost:5173", "https://app.example"]',
    ],
)
def test_list_is_written_with_commas_or_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    wanted = ("http://localhost:5173", "https://app.example")
    monkeypatch.setenv("PHOTOGRAM_ALLOWED_ORIGINS", text)
    assert Settings().allowed_origins == wanted
    monkeypatch.delenv("PHOTOGRAM_ALLOWED_ORIGINS")
    file = tmp_path / "photogram.env"
    file.write_text(f"PHOTOGRAM_ALLOWED_ORIGINS='{text}'\n")
    assert read_settings(file).allowed_origins == wanted


def test_every_list_among_the_settings_takes_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [name for name, field in Settings.model_fields.items() if field.annotation == tuple[str, ...]]
    assert {"allowed_origins", "blocked_words"} <= set(lists)
    for name in lists:
        monkeypatch.setenv(f"PHOTOGRAM_{name.upper()}", "a1,b2")
    settings = Settings()
    assert {name: getattr(settings, name) for name in lists} == dict.fromkeys(lists, ("a1", "b2"))


def test_nothing_is_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOGRAM_ALLOWED_ORIGINS", "")
    assert Settings().allowed_origins == ()


@pytest.mark.parametrize("moment", ["1969-12-31T23:59:59Z", "2106-02-07T06:00:00Z", "0001-01-01T00:00:00Z"])
def test_ids_have_no_such_times(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOGRAM_SHARDED_IDS_SINCE", moment)
    with pytest.raises(ValidationError, match="sharded_ids_since"):
        Settings()


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:00Z", "2106-01-01T00:00:00Z"])
def test_ids_have_the_times_that_may_be_set(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOGRAM_SHARDED_IDS_SINCE", moment)
    assert ShardedIds(Settings().sharded_ids_since).comments([ObjectId("00" * 12)]) == {}
