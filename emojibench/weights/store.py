"""Finds weight files on this machine by their content, whatever they are called.

Hashing is remembered as long as the file system says that a file is the same, so that a folder of large files is
read once.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from emojibench.errors import UserError
from emojibench.files import cache
from emojibench.files.reading import open_file, read_json
from emojibench.weights.table import UNPUBLISHED, Archive, WeightFile

FOLDERS = "EMOJIBENCH_WEIGHTS"
CACHE = cache.VARIABLE
_BLOCK = 1 << 20
_TICK = 50_000_000
"""Nanoseconds; the clock of file systems is finer."""


@dataclass(frozen=True)
class Digests:
    """What a file is, read in one pass."""

    sha256: str
    git: str
    """Git blob id: sha1 of `blob <size>\\0` and the content."""

    def match(self, digest: str) -> bool:
        """Whether this is the file with that digest (`sha256:<hex or its first digits>` or `git:<hex>`)."""
        kind, _, value = digest.partition(":")
        return {"sha256": self.sha256, "git": self.git}[kind].startswith(value)


@dataclass(frozen=True)
class Found:
    """A verified file."""

    path: Path
    digests: Digests


def cache_folder() -> Path:
    """Where downloads are kept: `weights` under EMOJIBENCH_CACHE or the platform's cache folder."""
    return cache.cache_folder("weights")


def folders() -> list[Path]:
    """Folders to search, in order: those of EMOJIBENCH_WEIGHTS, then the cache.

    Raises:
        UserError: EMOJIBENCH_WEIGHTS names something that is not a folder.
    """
    given = [Path(part).expanduser() for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part]
    for folder in given:
        if not folder.is_dir():
            raise UserError(f"{FOLDERS}: expected a folder with weight files, {folder} is not one")
    return [*given, cache_folder()]


def locate(wanted: WeightFile | Archive) -> Found | None:
    """The wanted file in `folders()` or in an installed package, found by digest; None where it is not.

    A file whose digest is `UNPUBLISHED` is found by name.

    Raises:
        UserError: none has the digest, but a file carries the name with another content.
    """
    if wanted.digest == UNPUBLISHED:
        named = (path for folder in folders() for path in _walk(folder) if path.name == wanted.file)
        return next((Found(path, _index.digests(path)) for path in named), None)
    namesakes = []
    for folder in folders():
        for path in _walk(folder):
            if _plausible(wanted, path.stat().st_size):
                digests = _index.digests(path)
                if digests.match(wanted.digest):
                    return Found(path, digests)
            if path.name == wanted.file:
                namesakes.append(path)
    if found := _packaged(wanted):
        return found
    if namesakes:
        raise UserError(_impostor(wanted, namesakes[0]))
    return None


def digests_of(path: Path) -> Digests:
    """Read a file and compute its digests.

    Raises:
        UserError: it cannot be read.
    """
    sha256 = hashlib.sha256()
    with open_file(path) as stream:
        try:
            git = hashlib.sha1(b"blob %d\0" % os.fstat(stream.fileno()).st_size, usedforsecurity=False)
            while block := stream.read(_BLOCK):
                sha256.update(block)
                git.update(block)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror or error}; take it away") from error
    return Digests(sha256.hexdigest(), git.hexdigest())


def _walk(folder: Path) -> Iterator[Path]:
    for parent, children, files in os.walk(folder):
        children.sort()
        for name in sorted(files):
            path = Path(parent, name)
            if path.is_file():  # not a dangling link
                yield path


def _plausible(wanted: WeightFile | Archive, size: int) -> bool:
    """Spares the hashing of files that cannot be the wanted one."""
    if isinstance(wanted, WeightFile) and not wanted.bytes_exact:
        return abs(size - wanted.bytes) <= wanted.bytes / 4
    return size == wanted.bytes


def _packaged(wanted: WeightFile | Archive) -> Found | None:
    if not isinstance(wanted, WeightFile) or wanted.packaged is None:
        return None
    package, inner = wanted.packaged
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / inner
    if not path.is_file():
        return None
    digests = _index.digests(path)
    return Found(path, digests) if digests.match(wanted.digest) else None


def _impostor(wanted: WeightFile | Archive, path: Path) -> str:
    kind, _, expected = wanted.digest.partition(":")
    if not _plausible(wanted, path.stat().st_size):
        mismatch = f"expected {wanted.bytes} bytes, got {path.stat().st_size}"
    else:
        mismatch = f"expected {kind} {expected}, got {getattr(_index.digests(path), kind)}"
    return f"{path}: not the official {wanted.file} ({mismatch}); remove or rename it, or get {wanted.url}"


_Identity = tuple[int, int, int, int, int]
"""Size, modification time, change time, device and inode of a file. The change time is beyond the reach of users: it
gives away a file that was changed and then given its old modification time."""
_ENTRY = TypeAdapter(tuple[_Identity, Digests])


class _Index:
    """Digests of files that were hashed before, kept in the cache folder."""

    def __init__(self) -> None:
        self._source: Path | None = None
        self._known: dict[str, tuple[_Identity, Digests]] = {}

    def digests(self, path: Path) -> Digests:
        self._load()
        key = str(path.resolve())
        identity = _identity(path)
        known = self._known.get(key)
        if known is not None and known[0] == identity:
            return known[1]
        # A change within one tick of the clock would leave the times as they are.
        settled = time.time_ns() - identity[2] > _TICK
        digests = digests_of(path)
        if settled and _identity(path) == identity:
            self._known[key] = (identity, digests)
            self._save()
        return digests

    def _load(self) -> None:
        source = cache_folder() / "index.json"
        if source == self._source:
            return
        self._source, self._known = source, {}
        # The index only saves time: one that is missing or broken is made anew.
        with contextlib.suppress(UserError, ValueError):
            for key, entry in read_json(source).items():
                self._known[key] = _ENTRY.validate_python(entry)

    def _save(self) -> None:
        assert self._source is not None
        text = json.dumps(
            {key: (identity, asdict(digests)) for key, (identity, digests) in self._known.items()}
        )
        with contextlib.suppress(OSError):
            self._source.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._source.with_name(f"{self._source.name}.{os.getpid()}")
            try:
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(self._source)
            finally:
                temporary.unlink(missing_ok=True)


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino


_index = _Index()
