"""What somebody else's program needs for each clip of a split, as plain files: `emojibench data export`.

```
<out>/<clip_id>/clip.json       what the clip is, what each file is, what was left out and why
<out>/<clip_id>/portrait.png    and the other files of `FILES`
```
A clip's folder appears complete or not at all, and is left alone as long as it is what would be written again.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from emojibench import media
from emojibench.dataset.clip_files import FILES, ClipContent, LeftOutError
from emojibench.dataset.dataset import Dataset
from emojibench.dataset.manifest import Digest, RelativePath
from emojibench.dataset.preparing import spread
from emojibench.dataset.workplace import workplace
from emojibench.errors import DatasetError, MediaError, UserError, WriteError
from emojibench.files.reading import MissingFileError, open_file, read_model
from emojibench.parallel.local import Local
from emojibench.registry import unknown

RECORD = "clip.json"
_FORMAT = 1
"""Raised when a file of the same name comes to hold something else; older exports are then made again."""


FORMS: dict[str, tuple[str, ...]] = {
    "mp4": ("driving.mp4",),
    "frames": ("frames",),
    "landmarks": ("landmarks.npz", "portrait_landmarks.npz", "target_landmarks.npz"),
    "motion": ("motion.npy",),
    "maps": ("maps.mkv",),
    "mesh": ("mesh.mkv",),
    "openpose": ("openpose",),
    "sound": ("sound.wav",),
}
"""What can be asked for beside `ALWAYS`, and the files that it makes."""
ALWAYS = ("portrait.png", "driving.mkv")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExportedFile(_Strict):
    """One file, or one folder of pictures."""

    what: str
    sha256: Digest
    """Of the file's bytes; of a folder, of the names (each with a null byte) and bytes of its files in order."""


class ExportedFrom(_Strict):
    """The dataset that a clip comes from."""

    name: str
    version: str
    digest: Digest
    licence: str
    detector: str


class ExportedClip(_Strict):
    """clip.json."""

    format: int = _FORMAT
    clip_id: str
    split: str
    domain: str
    subject: str
    driving_subject: str
    fps: float
    frames: Annotated[int, Field(ge=1)]
    """Number of driving frames, hence of frames to make."""
    faces: int
    """Driving frames with a face."""
    size: tuple[int, int]
    """Width and height of portrait and driving frames, pixels."""
    dataset: ExportedFrom
    inputs: Digest
    """Of everything that decides the files' content."""
    files: dict[RelativePath, ExportedFile]
    left_out: dict[str, str]
    """File that was asked for and cannot be, to the reason."""


class ClipOutcome(_Strict):
    """What became of one clip."""

    clip_id: str
    state: Literal["written", "kept", "failed"]
    reason: str = ""
    left_out: dict[str, str] = {}


class ExportReport(_Strict):
    """What became of every clip, in manifest order."""

    out: str
    clips: list[ClipOutcome]

    @property
    def ok(self) -> bool:
        """Whether no clip failed."""
        return all(clip.state != "failed" for clip in self.clips)


def export(
    dataset: Dataset,
    out: Path,
    *,
    split: str,
    clips: int | Sequence[str] | None = None,
    forms: Iterable[str] = (),
    frames: int | None = None,
    jobs: int = 1,
    quiet: bool = False,
) -> ExportReport:
    """Write clips as folders of plain files below `out`; clips that are there and current are kept.

    Args:
        dataset: where the clips are.
        out: folder of clip folders; made if need be.
        split: `self` or `cross`.
        clips: the first so many, or ids; None means all.
        forms: keys of `FORMS`. A clip that has others already keeps them.
        frames: cut clips to so many driving frames; None means the length of the longest one, as in runs.
        jobs: processes that share the work.
        quiet: no progress on stderr.

    Raises:
        UserError: an unknown split, clip or form, or a number out of range.
        WriteError: `out` cannot be written, or holds something else where a clip should go.
    """
    wanted = tuple(dict.fromkeys(forms))
    for form in wanted:
        if form not in FORMS:
            raise UserError(f"--with: {unknown('form', form, FORMS)}")
    names = [*ALWAYS, *(name for form in wanted for name in FORMS[form])]
    ids, length = dataset.chosen(split, clips), dataset.checked_frames(frames)
    with workplace(out / "export") as work:
        job = _Job(dataset, out, work, frozenset(names), length)
        outcomes = spread(
            partial(_outcome, job), ids, executor=Local(jobs), title="Exporting clips", quiet=quiet
        )
    return ExportReport(out=str(out), clips=outcomes)


@dataclass(frozen=True)
class _Job:
    """What a process is told."""

    dataset: Dataset
    out: Path
    work: Path
    names: frozenset[str]
    frames: int


def _outcome(job: _Job, clip_id: str) -> ClipOutcome:
    """One clip; what is wrong with its files does not stop the others."""
    try:
        return _exported(job, clip_id)
    except (DatasetError, MediaError) as error:
        return ClipOutcome(clip_id=clip_id, state="failed", reason=str(error))


def _exported(job: _Job, clip_id: str) -> ClipOutcome:
    target, inputs = job.out / clip_id, _inputs(job, clip_id)
    names, before = job.names, _found(target)
    if before is not None:
        there = {*before.files, *before.left_out}
        sound = all(_digest(target / name) == file.sha256 for name, file in before.files.items())
        if before.inputs == inputs and names <= there and sound:
            left = {name: why for name, why in before.left_out.items() if name in names}
            return ClipOutcome(clip_id=clip_id, state="kept", left_out=left)
        names |= there & set(FILES)
    made = job.work / "dataset" / clip_id
    record = _made(job, clip_id, made, names, inputs)
    _replace(target, made, before)
    left = {name: why for name, why in record.left_out.items() if name in job.names}
    return ClipOutcome(clip_id=clip_id, state="written", left_out=left)


def _made(job: _Job, clip_id: str, folder: Path, names: frozenset[str], inputs: str) -> ExportedClip:
    dataset = job.dataset
    clip = dataset.clip(clip_id).cut(job.frames)
    content = ClipContent(clip)
    files, left_out = {}, {}
    for name in (name for name in FILES if name in names):
        what, write = FILES[name]
        try:
            write(content, folder / name)
        except LeftOutError as error:
            left_out[name] = str(error)
        else:
            files[name] = ExportedFile(what=what, sha256=_digest(folder / name))
    record = ExportedClip(
        clip_id=clip_id,
        split=clip.split,
        domain=clip.domain,
        subject=clip.subject,
        driving_subject=clip.driving_subject,
        fps=clip.driving.fps,
        frames=clip.frames,
        faces=int(clip.driving.detected.sum()),
        size=content.size,
        dataset=ExportedFrom(
            name=dataset.name,
            version=dataset.version,
            digest=dataset.digest,
            licence=dataset.licence,
            detector=dataset.detector,
        ),
        inputs=inputs,
        files=files,
        left_out=left_out,
    )
    media.write_text(folder / RECORD, record.model_dump_json(indent=2) + "\n")
    return record


def _inputs(job: _Job, clip_id: str) -> str:
    """Digest of the clip's row, which has those of its files, and of what else decides the content."""
    dataset = job.dataset
    facts = {
        "format": _FORMAT,
        "clip": dataset.entry(clip_id).model_dump(mode="json"),
        "recipe": dataset.manifest.recipe and dataset.digest,
        "detector": dataset.detector,
        "size": dataset.size,
        "frames": job.frames,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _found(target: Path) -> ExportedClip | None:
    """The record of an earlier export, or None where there is nothing; `WriteError` where there is something else."""
    advice = "move it away, or choose another --out"
    if not target.is_symlink() and (not target.exists() or (target.is_dir() and not any(target.iterdir()))):
        return None
    try:
        return read_model(ExportedClip, target / RECORD, advice=advice)
    except MissingFileError:
        raise WriteError(f"{target}: there already, and no exported clip (no {RECORD}); {advice}") from None
    except UserError as error:
        raise WriteError(str(error)) from error


def _replace(target: Path, made: Path, before: ExportedClip | None) -> None:
    """Put the folder `made` in the place of an earlier export; nothing else is ever removed."""
    old = made.with_name(f".{made.name}")  # no clip's id starts with a dot
    try:
        if before is not None:
            strange = {path.name for path in target.iterdir()} - {RECORD, *before.files}
            if strange:
                raise WriteError(
                    f"{target / min(strange)}: not written by an export, and the clip has to be written anew; "
                    "move it away, or choose another --out"
                )
            target.rename(old)
        made.rename(target)
    except OSError as error:
        raise WriteError(f"cannot write {target}: {error.strerror}; choose another --out") from error
    shutil.rmtree(old, ignore_errors=True)


def _digest(path: Path) -> str:
    """See `ExportedFile.sha256`; "" where it cannot be read."""
    digest = hashlib.sha256()
    try:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if path.is_dir():
                digest.update(f"{file.name}\0".encode())
            with open_file(file) as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    except (UserError, OSError):
        return ""
    return digest.hexdigest()


__all__ = ["ALWAYS", "FILES", "FORMS", "RECORD", "ClipOutcome", "ExportReport", "ExportedClip", "export"]
