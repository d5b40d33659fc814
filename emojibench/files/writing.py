"""Atomic writing: a reader, or a run that is killed half-way, never meets half a file."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emojibench.errors import WriteError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; when the block succeeds it replaces `path`.

    Missing folders are made. Several processes may write the same `path` at once: each writes its own file
    and the last one stays, whole.

    Raises:
        WriteError: the file cannot be written (full disk, read-only folder, ...); `path` is as it was before.
    """
    # The suffix is kept because encoders choose the container by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:
            raise
        raise WriteError(
            f"cannot write {path}: {error.strerror}; free some space or choose another folder"
        ) from error
    finally:
        _remove(temporary)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically. Raises `WriteError` as `atomic` does."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file atomically. Raises `WriteError` as `atomic` does."""
    write_bytes(path, text.encode())


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:  # a folder that vanished or never could be made; the first error is the one to report
        return
