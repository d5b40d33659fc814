"""Paths and files on their way between a driver and workers that may not see the same disks.

Work names its roots, folders below which it reads and writes. A path below one of them travels as the number of its
root and the rest, and is put together again by the process that unpacks it, from where that root is for it.
"""

import os
import pickle
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

_places: list[Path] = []
"""Where the roots are for this process."""


@dataclass(frozen=True)
class Parcel:
    """A file on its way."""

    root: int
    relative: str
    content: bytes


@dataclass(frozen=True)
class Witness:
    """What a file looks like to those that see the same one."""

    path: Path
    status: tuple[int, int, int]
    """Inode, size, and nanoseconds of its last change."""

    @classmethod
    def of(cls, path: Path) -> "Witness":
        """A file as this machine sees it now. Raises `OSError` where it does not."""
        seen = path.stat()
        return cls(path, (seen.st_ino, seen.st_size, seen.st_mtime_ns))

    def seen(self) -> bool:
        """Whether this machine sees that very file."""
        try:
            return Witness.of(self.path) == self
        except OSError:
            return False


def settle(places: Iterable[Path]) -> None:
    """Say where the roots are for this process."""
    _places[:] = places


def pack(content: Any, roots: Sequence[Path]) -> bytes:
    """Pickle, with paths below roots on their way; an inner root has to come before the one that it lies in."""
    file = BytesIO()
    _Packer(file, roots).dump(content)
    return file.getvalue()


def address(path: Path, roots: Sequence[Path]) -> tuple[int, str] | None:
    """Number of the root that a path is below, and the rest; None where it is below none."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
    for number, root in enumerate(roots):
        if absolute.is_relative_to(root):
            return number, str(absolute.relative_to(root))
    return None


def put(parcels: Iterable[Parcel], places: Sequence[Path]) -> None:
    """Write files where they belong."""
    for parcel in parcels:
        file = places[parcel.root] / parcel.relative
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(parcel.content)


def files(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def move(folder: Path, relative: str, target: Path) -> None:
    """Move a file below a folder to the same place below another one, on the same disk."""
    final = target / relative
    final.parent.mkdir(parents=True, exist_ok=True)
    (folder / relative).replace(final)


def empty(folder: Path) -> None:
    """Make a folder be there, and hold nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


class _Packer(pickle.Pickler):
    def __init__(self, file: BytesIO, roots: Sequence[Path]) -> None:
        super().__init__(file)
        self._roots = roots

    def reducer_override(self, content: Any) -> Any:
        if isinstance(content, Path) and (found := address(content, self._roots)):
            return _here, found
        return NotImplemented


def _here(root: int, relative: str) -> Path:
    return _places[root] / relative
