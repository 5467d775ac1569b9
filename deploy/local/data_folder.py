"""The data folder: one owner at a time, writable, with room on its disk."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import StartError

MIN_FREE_BYTES = 1_000_000_000
LOCK_PATIENCE = 3.0
"""Seconds to wait for an owner that is just stopping."""


@contextmanager
def hold(folder: Path, *, patience: float = LOCK_PATIENCE) -> Iterator[int]:
    """Makes `folder` if it is missing, and owns it while the block runs; yields the lock's file descriptor.

    The lock belongs to the open file, and so to every server that inherits the descriptor: the folder stays locked
    until the last of them is gone, even if their owner was killed. Raises StartError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "logs").mkdir(exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"the data folder {folder} cannot be written: {error.strerror}") from error
    try:
        _lock(descriptor, folder, patience)
        _write_pid(descriptor, folder)
        check_space(folder)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether somebody owns `folder`, or a server that they started still writes in it."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def check_space(folder: Path, minimum: int = MIN_FREE_BYTES) -> None:
    """Raises StartError when the disk below `folder` has fewer than `minimum` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < minimum:
        raise StartError(
            f"the disk that holds {folder} is nearly full: {free / 1e6:,.0f} MB free, {minimum / 1e6:,.0f} MB needed"
        )


def _lock(descriptor: int, folder: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise StartError(f"the data folder {folder} cannot be locked: {error.strerror}") from error
            if time.monotonic() > until:
                owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise StartError(f"the data folder {folder} is in use by process {owner}") from None
            time.sleep(0.1)
        else:
            return


def _write_pid(descriptor: int, folder: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise StartError(f"the data folder {folder} cannot be written: {error.strerror}") from error
