"""Atomic writing: a reader, or a run that is killed half-way, never meets half a file."""

import errno
import os
import platform
import re
import secrets
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emojibench.errors import WriteError

_LEFT = re.compile(r"\.(\d+)-([0-9a-f]{8})-[0-9a-f]{8}(?:\.[^.]+)?$")
"""The end of a temporary name of `atomic`: process and machine."""


@contextmanager
def replacing(path: Path, temporary: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield `temporary`, on the same disk, to write to; when the block succeeds it takes the place of `path`.

    Args:
        path: in a folder that is there.
        temporary: removed where the block fails.
        durable: wait until the content is on disk, so that the rename cannot come before it.
    """
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
    finally:
        with suppress(OSError):  # a folder that vanished; the first error is the one to report
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """As `replacing`, with a temporary name beside `path`.

    Missing folders are made. Several processes may write the same `path` at once: each writes its own file
    and the last one stays, whole.

    Raises:
        WriteError: the file cannot be written (full disk, read-only folder, ...); `path` is as it was before.
    """
    # The suffix is kept because encoders choose the container by it; `sweep` reads who writes.
    writer = f"{os.getpid()}-{_machine()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.stem}.{writer}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, temporary):
            yield temporary
    except OSError as error:
        if error.errno is None:
            raise
        raise WriteError(
            f"cannot write {path}: {error.strerror}; free some space or choose another folder"
        ) from error


def sweep(folder: Path) -> None:
    """Remove what `atomic` left half-written below a folder where its process was killed; live processes keep theirs.

    Files of other machines that share the folder stay, since nobody here can tell whether they still write.
    """
    import psutil

    for file in folder.rglob(".*"):
        found = _LEFT.search(file.name)
        if found and found[2] == _machine() and not psutil.pid_exists(int(found[1])):
            with suppress(OSError):  # another process may sweep at the same time
                file.unlink()


def _machine() -> str:
    """Tells this machine from others."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically. Raises `WriteError` as `atomic` does."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file atomically. Raises `WriteError` as `atomic` does."""
    write_bytes(path, text.encode())


def reserve(file: Path) -> None:
    """Take the disk space of a file with holes: running out of it later would kill whoever writes to its map (SIGBUS).

    Raises:
        OSError: no space left.
    """
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)


@contextmanager
def continued(folder: Path) -> Iterator[None]:
    """See that a full disk ends long work below a folder in one error, which says that the same command continues it.

    Raises:
        WriteError: there is no space left, or the folder may only be read.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        raise WriteError(
            f"cannot write {error.filename or folder}: {error.strerror}; free some space and run the same command "
            "again: it continues where it stopped"
        ) from error


def check_own(folder: Path, *, temporary: str = "") -> None:
    """See that writing below a folder cannot lead out of it, or wait: all that it holds are plain files and folders.

    Args:
        folder: may be a symbolic link itself, or not be there.
        temporary: name of a folder in it whose content does not matter, since it is removed unread.

    Raises:
        WriteError: it holds a symbolic link, pipe, socket or device.
    """
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            with suppress(FileNotFoundError):  # of another process that works here
                mode = path.lstat().st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    what = "a symbolic link" if stat.S_ISLNK(mode) else "a pipe, socket or device"
                    raise WriteError(
                        f"{path}: expected a plain file or folder where results are written, got {what}; "
                        "put what it stands for in its place, or choose another folder"
                    )
        if Path(root) == folder and temporary in folders:
            folders.remove(temporary)
