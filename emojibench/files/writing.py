"""Atomic writing: a reader, or a run that is killed half-way, never meets half a file."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emojibench.errors import WriteError


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
    # The suffix is kept because encoders choose the container by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
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


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically. Raises `WriteError` as `atomic` does."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file atomically. Raises `WriteError` as `atomic` does."""
    write_bytes(path, text.encode())
