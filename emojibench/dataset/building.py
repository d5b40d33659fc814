"""Building a dataset folder from somebody's own portraits and driving videos.

Every file given is either kept or left out with the reason, in `build-report.json`. See docs/datasets.md.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from emojibench.dataset.ingest import Item, Settings, add_driving, add_portrait, first_frame_id, sound_of
from emojibench.dataset.loading import sha256
from emojibench.dataset.manifest import (
    ClipEntry,
    Identifier,
    Manifest,
    Split,
    digest_of_clips,
    write_manifest,
)
from emojibench.dataset.preparing import spread
from emojibench.dataset.sources import Source, files_of, find_sources, shown
from emojibench.dataset.subjects import name_subjects
from emojibench.dataset.twins import without_shared_pictures, without_twins
from emojibench.dataset.workplace import workplace
from emojibench.errors import UserError, WriteError
from emojibench.face import detector_id
from emojibench.media import PICTURES, VIDEOS, write_text
from emojibench.parallel.executor import Executor, Root
from emojibench.parallel.local import LOCAL

REPORT_FILE = "build-report.json"


class BuildReport(BaseModel):
    """What became of every file, and the clips that came out."""

    name: str
    digest: str
    settings: Settings
    items: list[Item]
    clips: dict[str, int]
    """Clips per split."""


def build(
    portraits: Path,
    driving: Path,
    out: Path,
    *,
    name: str | None = None,
    licence: str = "unstated; see the sources",
    subjects: Path | None = None,
    detector: str = "auto",
    executor: Executor = LOCAL,
    **settings: Any,
) -> BuildReport:
    """Build a dataset folder; it appears at once, complete, or not at all.

    Self clips: every kept video drives its own first frame. Cross clips: every kept portrait is driven by
    `pairs_per_portrait` videos of other subjects, those with the smallest sha256 of "seed:portrait:video", so
    that a file added later disturbs few pairs.

    Args:
        portraits: folder of pictures; a picture in a subfolder has that subfolder's name as its domain.
        driving: folder of videos.
        out: folder to make; must not exist, or be empty.
        name: of the dataset; `out`'s by default.
        licence: terms under which the portraits and videos may be used.
        subjects: CSV with the columns file, subject and, optionally, domain; a file that it does not name is
            a subject of its own.
        detector: `auto`, `bundled`, `task` or a full detector id.
        executor: where the work is done.
        settings: fields of `Settings`.

    Raises:
        UserError: a folder is missing, a setting is out of range, `out` is in the way or cannot be written,
            or no clip came out.
    """
    chosen = _settings(detector, settings)
    name = _checked_name(name or out.resolve().name)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: already there; choose another --out, or remove it")
    pictures = find_sources(portraits, PICTURES)
    videos = find_sources(driving, VIDEOS, frames=True)
    named = name_subjects([*pictures, *videos], subjects)
    pictures, videos = named[: len(pictures)], named[len(pictures) :]
    given = ((portraits, pictures), (driving, videos))
    with workplace(out) as folder:
        root = folder / "dataset"
        roots = (Root(root, private=True), *(_root(where, found) for where, found in given if found))
        add = partial(add_portrait, root, chosen)
        added = spread(add, pictures, executor=executor, title="Portraits", roots=roots, reads=files_of)
        items = without_twins(root, _of_files(pictures, added))
        add = partial(add_driving, root, chosen)
        added = spread(add, videos, executor=executor, title="Driving videos", roots=roots, reads=files_of)
        items = without_shared_pictures(root, items + without_twins(root, _of_files(videos, added)))
        entries = tuple(_with_digests(root, entry) for entry in _clips(items, chosen))
        if not entries:
            lines = "\n".join(f"  {item.file}: {item.reason}" for item in items if not item.kept)
            raise UserError(f"no clip came out of {portraits} and {driving}; left out:\n{lines}")
        report = _finish(root, name, licence, chosen, entries, items)
        _put(root, out)
    return report


def _of_files(sources: list[Source], added: list[list[Item]]) -> Iterator[Item]:
    """Items under the names that files have here, wherever they were read."""
    for source, items in zip(sources, added, strict=True):
        yield from (item.model_copy(update={"file": shown(source.file)}) for item in items)


def _root(folder: Path, sources: list[Source]) -> Root:
    return Root(folder.absolute(), str(sources[0].file.relative_to(folder)))


def _put(root: Path, out: Path) -> None:
    try:
        if out.is_dir():
            out.rmdir()
        root.rename(out)
    except OSError as error:
        raise WriteError(
            f"{out}: the dataset cannot be put there: {error.strerror}; was something else written there meanwhile? "
            "choose another --out"
        ) from error


def _settings(detector: str, given: dict[str, Any]) -> Settings:
    try:
        return Settings(detector=detector_id(detector), **given)
    except ValidationError as error:
        first = error.errors()[0]
        flag = f"--{first['loc'][0]}".replace("_", "-")
        raise UserError(f"{flag}: {first['msg'].lower()}, got {first['input']!r}") from error


def _checked_name(name: str) -> str:
    try:
        return TypeAdapter(Identifier).validate_python(name)
    except ValidationError as error:
        raise UserError(
            f"--name: expected letters, digits and . _ + - (first a letter or digit), at most 200, got {name!r}; "
            "it is the name of --out unless given"
        ) from error


def _clips(items: list[Item], settings: Settings) -> list[ClipEntry]:
    portraits = [item for item in items if item.kept and item.kind == "portrait"]
    videos = [item for item in items if item.kept and item.kind == "driving"]
    own = [_entry("self", video, video, settings) for video in videos]
    return own + [
        _entry("cross", portrait, video, settings)
        for portrait in portraits
        for video in _drivers(portrait, videos, settings)
    ]


def _drivers(portrait: Item, videos: list[Item], settings: Settings) -> list[Item]:
    """The videos that drive a portrait: one window of each, before any gives a second one."""
    near = partial(_distance, settings.seed, portrait)
    windows: dict[str, list[Item]] = {}
    for video in sorted(videos, key=near):
        if video.subject != portrait.subject:
            windows.setdefault(video.file, []).append(video)
    ranked = [(rank, near(video), video) for own in windows.values() for rank, video in enumerate(own)]
    return [video for _, _, video in sorted(ranked, key=itemgetter(0, 1))[: settings.pairs_per_portrait]]


def _distance(seed: int, portrait: Item, video: Item) -> str:
    return hashlib.sha256(f"{seed}:{portrait.id}:{video.id}".encode()).hexdigest()


def _entry(split: Split, portrait: Item, video: Item, settings: Settings) -> ClipEntry:
    own = split == "self"
    picture = first_frame_id(video.id) if own else portrait.id
    frames = f"driving/{video.id}.mkv"
    return ClipEntry(
        clip_id=f"self-{video.id}" if own else f"cross-{portrait.id}-by-{video.id}",
        split=split,
        domain=portrait.domain,
        subject=portrait.subject,
        driving_subject=video.subject,
        frames=settings.frames,
        portrait=f"portraits/{picture}.png",
        portrait_landmarks=f"portraits/{picture}.npz",
        driving=f"driving/{video.id}.npz",
        driving_frames=frames,
        truth=frames if own else None,
        driving_sound=sound_of(video.id) if video.sound else None,
    )


def _with_digests(root: Path, entry: ClipEntry) -> ClipEntry:
    return entry.model_copy(update={"sha256": {path: sha256(root / path) for path in entry.files}})


def _finish(
    root: Path,
    name: str,
    licence: str,
    settings: Settings,
    entries: tuple[ClipEntry, ...],
    items: list[Item],
) -> BuildReport:
    """Drop the files of items that were left out after all; write manifest and report."""
    named = {root / path for entry in entries for path in entry.files}
    for file in root.rglob("*"):
        if file.is_file() and file not in named:
            file.unlink()
    splits = {split: sum(entry.split == split for entry in entries) for split in ("self", "cross")}
    digest = digest_of_clips(entries)
    report = BuildReport(name=name, digest=digest, settings=settings, items=items, clips=splits)
    write_text(root / REPORT_FILE, report.model_dump_json(indent=2) + "\n")
    manifest = Manifest(
        name=name,
        version="1",
        licence=licence,
        size=settings.size,
        detector=settings.detector,
        clips=len(entries),
        digest=digest,
        notes={"settings": settings.model_dump()},
    )
    write_manifest(root, manifest, entries)
    return report
