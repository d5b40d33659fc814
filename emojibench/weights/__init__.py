"""The weights registry: `find(name)` gives a verified local file, or says in one line why it cannot."""

from pathlib import Path

from emojibench.errors import UnavailableError, UserError
from emojibench.registry import unknown
from emojibench.weights import store
from emojibench.weights.table import TABLE, UNPUBLISHED, Archive, WeightFile

__all__ = ["TABLE", "WeightFile", "find", "locate", "used"]

_used: dict[str, str] = {}


def find(name: str, *, asked: bool = False) -> Path:
    """Path of a verified file of the registry.

    Looked for by digest in the folders of EMOJIBENCH_WEIGHTS, then in the cache, then in installed packages;
    at last downloaded from the official place, unless EMOJIBENCH_OFFLINE is set.

    Args:
        name: key of `TABLE`.
        asked: whether a user asked for this very file; others are only downloaded if commercial use is allowed.

    Raises:
        UserError: unknown name, or a file that carries the official name but not the official content.
        UnavailableError: it is not here and cannot be fetched now; one line says how to get it.
    """
    entry = _entry(name)
    found = store.locate(entry) or _make(entry, asked)
    _used[name] = found.digests.sha256
    return found.path


def locate(name: str) -> Path | None:
    """Path of a verified file of the registry that is already on this machine; nothing is downloaded or made.

    Raises:
        UserError: as `find`.
    """
    found = store.locate(_entry(name))
    return found.path if found else None


def used() -> dict[str, str]:
    """Names found in this process, and the sha256 of the official file behind each; for the provenance."""
    return dict(_used)


def _entry(name: str) -> WeightFile:
    if name not in TABLE:
        raise UserError(unknown("weight file", name, TABLE))
    return TABLE[name]


def _make(entry: WeightFile, asked: bool) -> store.Found:
    """Bring a file into the cache; one process at a time, the others then find it there."""
    from filelock import FileLock

    cache = store.cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / ".lock"):
            return _obtain(entry, asked)
    except OSError as error:
        raise UnavailableError(
            f"{entry.file}: cannot be kept in {cache} ({error.strerror or error}); "
            f"set {store.CACHE} to a folder that can be written"
        ) from error


def _obtain(entry: WeightFile, asked: bool) -> store.Found:
    from emojibench.weights import derive

    if found := store.locate(entry):
        return found
    if entry.slice_of is not None:
        return derive.cut(_obtain(TABLE[entry.slice_of.source], asked), entry.slice_of)
    if entry.archive is not None:
        return _unpack(entry, entry.archive, asked)
    return _download(entry, entry, asked)


def _download(entry: WeightFile, source: WeightFile | Archive, asked: bool) -> store.Found:
    """Download a file, or the archive that holds it."""
    from emojibench.weights import download

    if entry.non_commercial and not asked and entry.digest != UNPUBLISHED:
        name = next(name for name, other in TABLE.items() if other == entry)
        why = (
            f"it is for non-commercial use only ({entry.licence}): `emojibench weights fetch {name}` gets it"
        )
        raise download.missing(entry, why)
    return download.download(source)


def _unpack(entry: WeightFile, origin: Archive, asked: bool) -> store.Found:
    """Take all files of the table out of the zip at once, so that it is fetched once and not kept."""
    from emojibench.weights import derive

    held = store.locate(origin)
    archive = held or _download(entry, origin, asked)
    for sibling in TABLE.values():
        if sibling.archive == origin and sibling != entry and store.locate(sibling) is None:
            derive.unpack(archive.path, origin, sibling)
    found = derive.unpack(archive.path, origin, entry)
    if held is None:
        archive.path.unlink()
    return found
