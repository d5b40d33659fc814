"""Checking a dataset folder from its manifest down to every frame."""

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator

from emojibench.dataset import landmarks, sounds
from emojibench.dataset.loading import FolderFiles
from emojibench.dataset.locating import CLIPS_FILE, DATASET_FILE
from emojibench.dataset.manifest import ClipEntry, Manifest, read_manifest
from emojibench.dataset.preparing import spread
from emojibench.errors import DatasetError, UserError, plain
from emojibench.face.template import flaw_of
from emojibench.media import iterate_video, read_image
from emojibench.parallel.local import Local

Shown = Annotated[str, BeforeValidator(plain)]
"""Text that names files, whatever bytes their names consist of."""


class Problem(BaseModel):
    """One thing found; errors break the dataset, warnings do not."""

    where: Shown
    severity: Literal["error", "warning"]
    what: Shown


class VerifyReport(BaseModel):
    """What `verify` looked at and found."""

    folder: Shown
    name: str = ""
    digest: str = ""
    clips: int = 0
    files: int = 0
    problems: list[Problem] = []

    @property
    def ok(self) -> bool:
        """No errors; there may be warnings."""
        return not any(problem.severity == "error" for problem in self.problems)


def verify(folder: Path) -> VerifyReport:
    """Check every file of a folder: sha256, shapes, ranges, frame counts, faces, detectors, duplicates.

    Broken datasets are reported, not raised.

    Raises:
        UserError: no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one that `emojibench data build` wrote")
    try:
        manifest, entries = read_manifest(folder)
        if manifest.recipe is not None:
            raise DatasetError(f"{folder}: the cache of a built-in dataset; its files are made, not verified")
    except DatasetError as error:
        problem = Problem(where=DATASET_FILE, severity="error", what=str(error))
        return VerifyReport(folder=str(folder), problems=[problem])
    files = FolderFiles(folder, entries)
    tasks = _tasks(files, manifest, entries)
    found = spread(_run, tasks, executor=Local(), title="Verifying")
    problems = [problem for one in found for problem in one]
    problems += _duplicates(entries) + _strangers(folder, entries)
    return VerifyReport(
        folder=str(folder),
        name=manifest.name,
        digest=manifest.digest,
        clips=len(entries),
        files=len({where for where, _ in tasks}),
        problems=problems,
    )


_Task = tuple[str, Callable[[], str]]
"""A file, and a check of it: returns a warning or "", raises `UserError` for an error."""


def _run(task: _Task) -> list[Problem]:
    where, check = task
    try:
        warning = check()
    except UserError as error:
        return [Problem(where=where, severity="error", what=str(error))]
    return [Problem(where=where, severity="warning", what=warning)] if warning else []


def _tasks(files: FolderFiles, manifest: Manifest, entries: tuple[ClipEntry, ...]) -> list[_Task]:
    """One check for each file and use of it, however many clips share it."""
    tasks: dict[tuple[str, str, int], Callable[[], str]] = {}
    for entry in entries:
        tasks[entry.portrait, "portrait", 0] = partial(_portrait, files, entry.portrait, manifest)
        tasks[entry.portrait_landmarks, "face", 0] = partial(_face, files, entry.portrait_landmarks, manifest)
        tasks[entry.driving, "driving", entry.frames] = partial(_driving, files, entry, manifest)
        for path in filter(None, (entry.driving_frames, entry.truth)):
            tasks[path, "video", entry.frames] = partial(_video, files, path, entry.frames, manifest)
        if entry.driving_sound is not None:
            tasks[entry.driving_sound, "sound", entry.frames] = partial(_sound, files, entry)
    return [(path, check) for (path, _, _), check in tasks.items()]


def _portrait(files: FolderFiles, path: str, manifest: Manifest) -> str:
    height, width, _ = read_image(files.path(path)).shape
    if (width, height) != (manifest.size, manifest.size):
        raise DatasetError(f"{width}x{height} pixels; expected {manifest.size}x{manifest.size}")
    return ""


def _face(files: FolderFiles, path: str, manifest: Manifest) -> str:
    face, detector = landmarks.read_portrait(files.path(path))
    if detector not in (manifest.detector, landmarks.MANUAL):
        raise DatasetError(f"landmarks of {detector}; expected {manifest.detector}")
    if face is None:
        return "no face: motion cannot be aligned to this portrait"
    if flaw := flaw_of(face.landmarks):
        raise DatasetError(f"no face: {flaw}")
    return ""


def _driving(files: FolderFiles, entry: ClipEntry, manifest: Manifest) -> str:
    driving = landmarks.read_driving(files.path(entry.driving), frames=entry.frames)
    if driving.detector != manifest.detector:
        raise DatasetError(f"landmarks of {driving.detector}; expected {manifest.detector}")
    found = int(driving.detected.sum())
    if not found:
        raise DatasetError(f"no face in any of {len(driving)} frames")
    flaws = {k: flaw for k in np.flatnonzero(driving.detected) if (flaw := flaw_of(driving.landmarks[k]))}
    return "; ".join(
        [
            *(
                [f"no face in {len(driving) - found} of {len(driving)} frames"]
                if found < len(driving)
                else []
            ),
            *(
                f"frame {k}: no face: {flaw} ({len(flaws)} such frames)"
                for k, flaw in list(flaws.items())[:1]
            ),
        ]
    )


def _video(files: FolderFiles, path: str, frames: int, manifest: Manifest) -> str:
    shapes = [frame.shape[:2] for frame in islice(iterate_video(files.path(path)), frames + 1)]
    if len(shapes) != frames:
        found = f"more than {frames}" if len(shapes) > frames else len(shapes)
        raise DatasetError(f"{found} frames; expected {frames}")
    if set(shapes) != {(manifest.size, manifest.size)}:
        raise DatasetError(
            f"frames of {shapes[0][1]}x{shapes[0][0]}; expected {manifest.size}x{manifest.size}"
        )
    return ""


def _sound(files: FolderFiles, entry: ClipEntry) -> str:
    assert entry.driving_sound is not None
    driving = landmarks.read_driving(files.path(entry.driving), frames=entry.frames)
    sound = sounds.read(files.path(entry.driving_sound), driving)
    return "" if sound.any() else "silent all along"


def _duplicates(entries: tuple[ClipEntry, ...]) -> list[Problem]:
    """Files with the same bytes under two names: one subject would be counted twice.

    A subject's picture may be the first frame of its own video, or of two of them.
    """
    first: dict[str, str] = {}
    owners = {entry.portrait: entry.subject for entry in entries}
    # Landmarks that are placed by hand may be the same on two pictures, and silence is like silence.
    alike = {path for entry in entries for path in (entry.portrait_landmarks, entry.driving_sound)}
    problems = []
    for path, digest in {path: digest for entry in entries for path, digest in entry.sha256.items()}.items():
        twin = first.setdefault(digest, path)
        one_person = path in owners and owners[path] == owners.get(twin)
        if twin != path and not one_person and path not in alike:
            problems.append(Problem(where=path, severity="error", what=f"the same bytes as {twin}"))
    return problems


def _strangers(folder: Path, entries: tuple[ClipEntry, ...]) -> list[Problem]:
    """Files in the folders of the dataset that no clip names."""
    named = {path for entry in entries for path in entry.files} | {DATASET_FILE, CLIPS_FILE}
    present = (file.relative_to(folder).as_posix() for file in sorted(folder.glob("*/*")) if file.is_file())
    return [
        Problem(where=path, severity="warning", what="in the folder, but no clip names it")
        for path in present
        if path not in named
    ]
