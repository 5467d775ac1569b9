import errno
import os
from pathlib import Path

import pytest

from deploy.local import data_folder
from deploy.local.errors import StartError


def test_a_folder_has_one_owner_and_the_refusal_names_it(tmp_path: Path) -> None:
    with (
        data_folder.hold(tmp_path),
        pytest.raises(StartError, match=f"in use by process {os.getpid()}"),
        data_folder.hold(tmp_path, patience=0),
    ):
        pass


def test_a_folder_is_free_again_after_its_owner(tmp_path: Path) -> None:
    for _ in range(2):
        with data_folder.hold(tmp_path / "data", patience=0):
            pass


def test_a_process_that_inherits_the_lock_keeps_the_folder_taken(tmp_path: Path) -> None:
    with data_folder.hold(tmp_path) as descriptor:
        inherited = os.dup(descriptor)
    try:
        with pytest.raises(StartError, match="in use"), data_folder.hold(tmp_path, patience=0):
            pass
    finally:
        os.close(inherited)


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StartError, match="cannot be written: Not a directory"),
        data_folder.hold(tmp_path / "file" / "data"),
    ):
        pass


def test_a_nearly_full_disk_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"nearly full: [\d,]+ MB free, 1,000,000,000,000 MB needed"):
        data_folder.check_space(tmp_path, minimum=10**18)


def test_no_space_for_the_lock_file_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StartError, match="No space left on device"), data_folder.hold(tmp_path):
        pass
