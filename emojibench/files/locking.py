"""A lock that keeps a second process out of a folder; the system frees it, however the first one ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from emojibench.errors import UserError, WriteError

LOCK = ".lock"


def lock(folder: Path, busy: str) -> IO[str]:
    """Lock a folder for as long as the returned file is open.

    Args:
        folder: is there.
        busy: what to say where another process holds the lock, below the folder's name.

    Raises:
        UserError: another process holds the lock, or the disk knows no locks.
        OSError: nothing can be written there.
    """
    file = (folder / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError):
            raise UserError(f"{folder}: {busy}") from error
        raise UserError(
            f"{folder}: expected a disk that can lock files, got {error.strerror}; choose a folder on another one"
        ) from error
    return file


@contextmanager
def alone(folder: Path, busy: str) -> Iterator[None]:
    """Make a folder where there is none, and hold its lock.

    Raises:
        UserError: as `lock`.
        WriteError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = lock(folder, busy)
    except OSError as error:
        raise WriteError(f"cannot write {folder}: {error.strerror}; choose another --out") from error
    with file:
        yield
