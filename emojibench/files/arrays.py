"""Reading numpy's .npz files that somebody else wrote: every size is known and checked before it is allocated.

`np.load` believes a header: an archive of 14 MB, or a header of 100 bytes, makes it allocate gigabytes. Here an array
has a plain type and the expected shape, and memory grows only with the bytes that really come.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from emojibench.errors import UserError
from emojibench.files.reading import open_file

LIMIT = 256 << 20
"""Bytes that the arrays of one file may take together: more than 40,000 frames of landmarks."""
_DIRECTORY = 1 << 20
"""Bytes of a zip's table of contents: more than 10,000 arrays."""
_CHARACTERS = 1024
"""Of an array's texts."""
_BLOCK = 1 << 18
_KINDS = {"f": "floats", "i": "integers", "u": "integers", "b": "booleans", "U": "text"}


@dataclass(frozen=True)
class ArraySpec:
    """What an array of a file must be."""

    kinds: str
    """Kinds of numpy's types: some of b, i, u, f, U."""
    shape: tuple[int | str, ...] | None
    """Lengths; a letter is any length, the same wherever it stands in a file. None: any shape."""
    optional: bool = False
    """Whether the array may be absent."""

    def __str__(self) -> str:
        kinds = " or ".join(dict.fromkeys(_KINDS[kind] for kind in self.kinds))
        return kinds if self.shape is None else f"{kinds} {_shown(self.shape)}"


class _RefusedError(ValueError):
    """A sound archive of the wrong things."""


def read_npz(
    path: Path,
    specs: Mapping[str, ArraySpec] | None = None,
    *,
    lengths: Mapping[str, int] = {},
    limit: int = LIMIT,
    error: type[UserError] = UserError,
    advice: str = "make the file anew",
) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file.

    Args:
        path: a regular file.
        specs: what to read, by name; other arrays are passed over. None: all of any name and shape.
        lengths: what letters of the specs must be, where that is known.
        limit: most bytes that the arrays may take together.
        error: type of whatever is raised.
        advice: what to do about a bad file; ends each message.

    Raises:
        UserError: missing; not a whole .npz file; lacks an array or has something else in its place; larger than
            `limit`; an array of objects, structures, complex numbers or invalid values.
    """
    try:
        with _Bounded(open_file(path).detach()) as stream, zipfile.ZipFile(stream) as archive:
            return _read(archive, specs, dict(lengths), limit)
    except UserError as problem:
        raise error(str(problem)) from problem
    except _RefusedError as problem:
        raise error(f"{path}: {problem}; {advice}") from problem
    except Exception as problem:  # a damaged archive ends in any of a dozen errors, which all mean the same
        reason = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise error(
            f"{path}: expected a whole .npz file, got something else ({reason}); {advice}"
        ) from problem


def npz_names(path: Path) -> frozenset[str]:
    """Names of the arrays in an .npz file; empty where it cannot be read as one."""
    try:
        with _Bounded(open_file(path).detach()) as stream, zipfile.ZipFile(stream) as archive:
            return frozenset(_members(archive))
    except Exception:  # `read_npz` says what is wrong
        return frozenset()


class _Bounded(io.BufferedReader):
    """Refuses to read much at once: zipfile reads a table of contents whole, and keeps ten times as much of it."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's, up to a mebibyte."""
        data = super().read(_DIRECTORY + 1 if size is None or size < 0 else min(size, _DIRECTORY + 1))
        if len(data) > _DIRECTORY:
            raise zipfile.BadZipFile(f"a table of contents of more than {_DIRECTORY:,} bytes")
        return data


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype} {_shown(self.shape)}"


def _read(
    archive: zipfile.ZipFile, specs: Mapping[str, ArraySpec] | None, lengths: dict[str, int], limit: int
) -> dict[str, NDArray[Any]]:
    members = _members(archive)
    if specs is None:
        specs = {name: ArraySpec("".join(_KINDS), None) for name in members}
    if absent := [name for name, spec in specs.items() if not spec.optional and name not in members]:
        raise _RefusedError(f"lacks the arrays {', '.join(sorted(absent))}")
    wanted = {name: spec for name, spec in specs.items() if name in members}
    headers = {name: _header(archive, members[name], name) for name in wanted}
    for name, spec in wanted.items():
        known = ", ".join(f"{letter} is {length}" for letter, length in lengths.items())
        if headers[name].dtype.kind not in spec.kinds or not _fits(headers[name].shape, spec, lengths):
            raise _RefusedError(f"{name}: expected {spec}{known and ' where '}{known}, got {headers[name]}")
    if (total := sum(header.bytes for header in headers.values())) > limit:
        raise _RefusedError(f"expected arrays of at most {limit:,} bytes together, got {total:,}")
    return {name: _array(archive, members[name], name) for name in wanted}


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> _Header:
    with _opened(archive, member, name) as stream:
        return _parsed(stream, member, name)


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> IO[bytes]:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _RefusedError(f"{name}: compressed in another way than numpy does")
    return archive.open(member)


def _parsed(stream: IO[bytes], member: zipfile.ZipInfo, name: str) -> _Header:
    npy: Any = np.lib.format
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise _RefusedError(f"{name}: expected version 1 or 2 of the .npy format, got {version}")
    header = _Header(*readers[version](stream))
    if header.dtype.kind not in _KINDS or header.dtype.itemsize > (
        4 * _CHARACTERS if header.dtype.kind == "U" else 8
    ):
        raise _RefusedError(f"{name}: expected numbers, booleans or short texts, got {header.dtype}")
    if min(header.shape, default=0) < 0 or stream.tell() + header.bytes != member.file_size:
        raise _RefusedError(f"{name}: {header} does not take the {member.file_size:,} bytes that are there")
    return header


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    data = bytearray()
    with _opened(archive, member, name) as stream:
        header = _parsed(stream, member, name)
        while block := stream.read(_BLOCK):  # to the end, where zipfile compares the checksum
            data += block
            if len(data) > header.bytes:
                raise _RefusedError(f"{name}: holds more than its {header}")
    if header.dtype.kind == "b" and data.strip(b"\0\1"):
        raise _RefusedError(f"{name}: a boolean that is neither 0 nor 1")
    if header.dtype.kind == "U":
        _check_text(data, header.dtype, name)
    flat = np.frombuffer(data, header.dtype, math.prod(header.shape))
    array = flat.reshape(header.shape, order="F" if header.fortran else "C")
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _check_text(data: bytearray, dtype: np.dtype[Any], name: str) -> None:
    codes = np.frombuffer(data, dtype.str[0] + "u4")
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
        raise _RefusedError(f"{name}: text with characters that there are not")


def _fits(shape: tuple[int, ...], spec: ArraySpec, lengths: dict[str, int]) -> bool:
    if spec.shape is None:
        return True
    if len(shape) != len(spec.shape):
        return False
    return all(
        length == (lengths.setdefault(wanted, length) if isinstance(wanted, str) else wanted)
        for length, wanted in zip(shape, spec.shape, strict=True)
    )


def _shown(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
