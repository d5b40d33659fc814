"""The checkpoints of somebody else's method: fetched, verified, and remembered where nobody publishes a digest."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from emojibench.errors import UnavailableError, UserError, one_line
from emojibench.files.reading import open_file, parse_json
from emojibench.files.writing import continued
from emojibench.methods.description import Strict
from emojibench.weights import download, store
from emojibench_baselines.external.description import Checkpoint

HUB = "huggingface.co"
_LISTING_LIMIT = 16 << 20


class FileFacts(Strict):
    """A file as it was when it was first used."""

    bytes: int
    modified: int
    """Nanoseconds; the file is hashed again where this or its length differ."""
    sha256: str


Facts = Mapping[str, FileFacts]
"""Path below the folder of weights to what the file was."""


@dataclass(frozen=True)
class _Part:
    """One file to fetch; `download.Source`."""

    file: str
    url: str
    bytes: int | None
    sha256: str | None


def told(checkpoint: Checkpoint) -> str:
    """`file, bytes, URL`, and what is known beside."""
    size = f"{checkpoint.bytes:,} bytes" if checkpoint.bytes else "size not published"
    return f"{checkpoint.file}, {size}, {checkpoint.url or 'nobody says where'}"


def missing(checkpoint: Checkpoint, weights: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    path = weights / checkpoint.file
    return not (path.is_file() or (path.is_dir() and any(path.iterdir())))


def fetch(checkpoint: Checkpoint, weights: Path) -> None:
    """Bring a checkpoint below `weights`; what an interrupted call has fetched stays.

    Raises:
        UnavailableError: it is on a page that only a browser can read, or could not be fetched; says where it is and
            where to put it.
    """
    try:
        parts = list(_parts(checkpoint))
    except download.TransferError as error:
        raise UnavailableError(_by_hand(checkpoint, weights, str(error))) from error
    if not parts:
        raise UnavailableError(
            _by_hand(checkpoint, weights, "its address is a page for people, not a file")
            if checkpoint.url
            else f"{checkpoint.file}: nobody says where it is; put it at {weights / checkpoint.file}"
        )
    target = weights / checkpoint.file
    if parts[0].file == checkpoint.file:
        _fetch(parts[0], target, checkpoint, weights)
        return
    arriving = target.with_name(f"{target.name}.part")  # so that a folder is there whole or not at all
    for part in parts:
        _fetch(part, arriving / part.file, checkpoint, weights)
    arriving.replace(target)


def examined(checkpoint: Checkpoint, known: Facts) -> bool:
    """Whether `examine` has seen a checkpoint."""
    return any(file == checkpoint.file or file.startswith(f"{checkpoint.file}/") for file in known)


def examine(checkpoint: Checkpoint, weights: Path, known: Facts) -> dict[str, FileFacts]:
    """Digests of a checkpoint's files, read only where a file is new or was changed.

    Raises:
        UserError: not what was published, or not what it was when it was first used.
    """
    found = {}
    for path in _files(weights / checkpoint.file):
        name = path.relative_to(weights).as_posix()
        status, before = path.stat(), known.get(name)
        if before and (before.bytes, before.modified) == (status.st_size, status.st_mtime_ns):
            found[name] = before
            continue
        if checkpoint.bytes not in (None, status.st_size):
            raise UserError(
                f"{path}: expected {checkpoint.bytes:,} bytes, got {status.st_size:,}; remove the file and fetch it "
                f"again from {checkpoint.url}"
            )
        if _is_pointer(path):
            raise UserError(
                f"{path}: expected the checkpoint, got Git LFS's pointer to it; run `git lfs pull` where it comes "
                f"from, or remove it and fetch it from {checkpoint.url}"
            )
        digest = store.digests_of(path).sha256
        if checkpoint.sha256 and digest != checkpoint.sha256:
            raise UserError(
                f"{path}: expected the published sha256 {checkpoint.sha256}, got {digest}; "
                f"remove the file and fetch it again from {checkpoint.url}"
            )
        if before and digest != before.sha256:
            raise UserError(
                f"{path}: expected sha256 {before.sha256}, recorded at its first use, got {digest}; put the old file "
                "back, or remove the entry from setup.json to use the new one"
            )
        found[name] = FileFacts(bytes=status.st_size, modified=status.st_mtime_ns, sha256=digest)
    return found


def check_keys(checkpoint: Checkpoint, weights: Path) -> str:
    """Compare the names at the top of a torch file with those that the method reads.

    Returns:
        What was found, for people; says so where the names cannot be read without running the file's code.

    Raises:
        UserError: names are missing; those that are there are listed.
    """
    import torch

    path = weights / checkpoint.file
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes the reader stumble over
        return f"its keys were not checked, since it holds more than tensors ({one_line(error, 120)})"
    got = sorted(map(str, content)) if isinstance(content, dict) else [type(content).__name__]
    if lacking := [key for key in checkpoint.keys if key not in got]:
        shown = ", ".join(got[:12]) + (f" and {len(got) - 12} more" if len(got) > 12 else "")
        raise UserError(
            f"{path}: expected the keys {', '.join(checkpoint.keys)}; {', '.join(lacking)} missing, "
            f"got {shown or 'none'}; it is another method's or another version's checkpoint, the right one is at "
            f"{checkpoint.url or 'no stated place'}"
        )
    return f"has the keys {', '.join(checkpoint.keys)}"


def _is_pointer(path: Path) -> bool:
    """Whether a clone without Git LFS has left a few lines in the file's place."""
    with open_file(path) as stream:
        return stream.read(40).startswith(b"version https://git-lfs.github.com/")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = (Path(parent, name) for parent, _, names in os.walk(path) for name in names)
    return sorted(file for file in found if not file.name.endswith(".part"))


def _parts(checkpoint: Checkpoint) -> Iterator[_Part]:
    """Files behind a checkpoint's address; none where only people can follow it."""
    if checkpoint.url is None:
        return
    address = urlsplit(checkpoint.url)
    steps = [step for step in address.path.split("/") if step]
    if address.netloc == HUB and (len(steps) == 2 or steps[2:3] == ["tree"]):
        revision, folder = (steps[3], "/".join(steps[4:])) if steps[3:] else ("main", "")
        for inner, part in _in_hub("/".join(steps[:2]), revision, folder):
            if not checkpoint.only or any(fnmatch(inner, pattern) for pattern in checkpoint.only):
                yield part
    elif address.netloc == HUB and steps[2:3] == ["resolve"] and steps[4:]:
        found = dict(_in_hub("/".join(steps[:2]), steps[3], "/".join(steps[4:-1])))
        if steps[-1] not in found:
            raise download.TransferError(f"{HUB} lists no such file")
        yield replace(found[steps[-1]], file=checkpoint.file)
    elif address.netloc != HUB and PurePosixPath(address.path).suffix:
        yield _Part(checkpoint.file, checkpoint.url, checkpoint.bytes, checkpoint.sha256)


def _in_hub(repository: str, revision: str, folder: str) -> Iterator[tuple[str, _Part]]:
    """Files of a folder of a model hub, by their path in it. The hub publishes the sha256 of those that are large."""
    for entry in _listing(f"https://{HUB}/api/models/{repository}/tree/{revision}?recursive=true"):
        path = entry.get("path")
        if entry.get("type") != "file" or not isinstance(path, str):
            continue
        inner = path.removeprefix(f"{folder}/") if folder else path
        place = PurePosixPath(inner)
        if (folder and inner == path) or place.is_absolute() or ".." in place.parts:
            continue
        large, size = entry.get("lfs"), entry.get("size")
        part = _Part(
            file=inner,
            url=_mirrored(f"https://{HUB}/{repository}/resolve/{revision}/{quote(path)}"),
            bytes=size if isinstance(size, int) else None,
            sha256=large.get("oid") if isinstance(large, dict) else None,
        )
        yield inner, part


def _listing(url: str) -> list[dict[str, object]]:
    """All pages of a hub's list of files."""
    entries: list[dict[str, object]] = []
    following = _mirrored(url)
    while following:
        content, following = download.page(following, _LISTING_LIMIT)
        try:
            entries += parse_json(content, url, list, advice="try again later")
        except UserError as error:
            raise download.TransferError(str(error)) from error
    return entries


def _mirrored(url: str) -> str:
    """With the hub's mirror that HF_ENDPOINT names, as the hub's own tools do."""
    mirror = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return url.replace(f"https://{HUB}", mirror, 1) if mirror else url


def _fetch(part: _Part, target: Path, checkpoint: Checkpoint, weights: Path) -> None:
    if target.is_file():
        return
    arriving = target.with_name(f"{target.name}.part")
    try:
        with continued(arriving):
            arriving.parent.mkdir(parents=True, exist_ok=True)
            got = download.transfer(part, arriving, lambda found: part.sha256 in (None, found.sha256)).sha256
    except download.TransferError as error:
        raise UnavailableError(_by_hand(checkpoint, weights, str(error))) from error
    if part.sha256 not in (None, got):
        arriving.unlink()
        raise UnavailableError(
            f"{part.file}: {part.url} sent another file (expected sha256 {part.sha256}, got {got}); discarded"
        )
    with arriving.open("rb") as stream:
        start = stream.read(64).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        arriving.unlink()
        raise UnavailableError(_by_hand(checkpoint, weights, "its address sent a web page, not the file"))
    arriving.replace(target)


def _by_hand(checkpoint: Checkpoint, weights: Path, why: str) -> str:
    note = f" ({checkpoint.note.rstrip('.')})" if checkpoint.note else ""
    return f"{told(checkpoint)}{note}: {why}; fetch it and put it at {weights / checkpoint.file}"


def link(checkpoint: Checkpoint, weights: Path, repo: Path) -> None:
    """Make the place in the checkout where the code opens a checkpoint lead to it.

    Raises:
        UserError: something else is there.
    """
    assert checkpoint.in_repository is not None
    place, target = repo / checkpoint.in_repository, (weights / checkpoint.file).resolve()
    with contextlib.suppress(OSError):
        if place.samefile(target):
            return
    if place.is_symlink():
        place.unlink()
    elif place.is_dir() and not any(place.iterdir()):
        place.rmdir()
    elif place.exists():
        raise UserError(
            f"{place}: expected a link to {target}, got something else; move it away, or use it by "
            f"`--weights` with {checkpoint.file} in that folder"
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    except OSError as error:
        raise UserError(
            f"{place}: cannot be linked to {target}: {error.strerror}; make it by hand"
        ) from error
