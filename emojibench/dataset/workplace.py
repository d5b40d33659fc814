"""A hidden folder beside the result, in which a build works; those of builds that were killed are cleared away."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emojibench.errors import WriteError

LOCK = "building.lock"
"""Locked for as long as the build lives; the system frees it, however that ends."""


@contextmanager
def workplace(out: Path, content: str = "dataset") -> Iterator[Path]:
    """A folder `.NAME.xxxxxxxx` beside `out`, gone when the block ends; for a folder of the name `content`.

    Folders that builds into the same place left behind, killed half-way, are removed; never that of one that runs.

    Raises:
        WriteError: no folder can be made there.
    """
    parent, prefix = out.resolve().parent, f".{out.resolve().name}."
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _clear(parent, prefix, content)
        folder, lock = _locked_folder(parent, prefix)
    except OSError as error:
        raise WriteError(f"cannot write to {out.parent}: {error.strerror}; choose another --out") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _clear(parent: Path, prefix: str, content: str) -> None:
    """Remove what is certainly a build's own folder, and no living build's."""
    for folder in parent.iterdir():
        if folder.name.startswith(prefix) and not folder.is_symlink() and (folder / LOCK).is_file():
            with contextlib.suppress(FileNotFoundError):  # its own process, or another, removes it now
                _clear_one(folder, content)


def _clear_one(folder: Path, content: str) -> None:
    if not {entry.name for entry in folder.iterdir()} <= {LOCK, content}:
        return
    lock = _try_lock(folder / LOCK)
    if lock is not None:
        shutil.rmtree(folder / content, ignore_errors=True)
        if not (folder / content).exists():  # the lock goes last, as the mark of an unfinished clearing
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        lock = _try_lock(folder / LOCK)
        if lock is not None:
            if (folder / LOCK).exists():
                return folder, lock
            os.close(lock)  # cleared by another build between making and locking it


def _try_lock(file: Path) -> int | None:
    """A descriptor that holds the lock; None where another process does."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
