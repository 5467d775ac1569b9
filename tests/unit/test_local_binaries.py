import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local import binaries
from deploy.local.errors import StartError


@pytest.mark.parametrize("find", [binaries.mongod, binaries.valkey_server, binaries.weed])
def test_installed_programs_are_found_and_runnable(find: Callable[[], Path]) -> None:
    assert os.access(find(), os.X_OK)


@pytest.mark.parametrize(
    ("find", "setting"),
    [
        (binaries.mongod, "PHOTOGRAM_MONGO_URL"),
        (binaries.valkey_server, "PHOTOGRAM_REDIS_URL"),
        (binaries.weed, "PHOTOGRAM_S3_ENDPOINT_URL"),
    ],
)
def test_a_missing_program_names_the_setting_and_compose(
    find: Callable[[], Path], setting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StartError, match=rf"(?s)installed.*{setting}.*compose\.yaml"):
        find()


def test_a_lost_run_bit_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weed = tmp_path / "weed"
    weed.write_text("")
    weed.chmod(0o600)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert os.access(binaries.weed(), os.X_OK)
