"""The pictures of clips, and per-frame values beside them: what the player shows.

A clip is two kinds of data files: what all methods share (portrait, driving, landmarks, truth), and one for each
animation. Both are named after all that they are made of, so what is there already is right and stays.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from emojibench_metrics import jitter, landmarks
from emojibench_metrics.l1 import l1_per_frame
from emojibench_metrics.psnr import psnr_per_frame
from numpy.typing import NDArray

from emojibench.errors import UserError, WriteError
from emojibench.face.draw import draw
from emojibench.face.points import EXPRESSION
from emojibench.parallel import available_cores
from emojibench.reports.load import FinishedRun
from emojibench.reports.material import ClipInputs, clips_of, frames_of, record_of, told
from emojibench.reports.page import sheets
from emojibench.reports.page.folder import PageFolder, key
from emojibench.runs.clips import Clips
from emojibench.runs.folder import RunFolder
from emojibench.runs.records import AnimationRecord
from emojibench.types import Frames

_FORMAT = 1
"""Raised when the content of these files changes."""

_QUALITY = {"landmarks": None, "errors": sheets.ERROR_QUALITY}
"""Of kinds of pictures that are no photographs; None is lossless, which is smaller for lines on black."""
_NOT_CHOSEN = "left out: only the worst clips have pictures (--videos)"


@dataclass
class Shown:
    """Which clips of a run can be played."""

    animations: dict[str, str] = field(default_factory=dict)
    """Clip id to the name of its data file."""
    absent: dict[str, str] = field(default_factory=dict)
    """Clip id to the reason why it cannot be played."""


@dataclass(frozen=True)
class _Job:
    """One clip and the runs that animated it."""

    clip_id: str
    records: Mapping[int, AnimationRecord]
    """Number of a run to the record of its animation."""


class PictureMaker:
    """Makes the pictures of the runs of one track and split."""

    def __init__(self, folder: PageFolder, runs: Sequence[FinishedRun]) -> None:
        self.folder, self.runs = folder, runs
        self.spec = runs[0].spec
        self.shown = [Shown() for _ in runs]
        self.clips: dict[str, str] = {}
        """Clip id to the name of the data file of what methods share; clips without an animation have none."""

    @property
    def _first(self) -> int:
        """The first frame that is scored."""
        return self.spec.protocol.scored(self.spec.split).start or 0

    @cached_property
    def _dataset(self) -> "Clips | str":
        """The clips, or why they cannot be had."""
        return clips_of(self.spec)

    def jobs(self, chosen: Sequence[str]) -> list[_Job]:
        """The clips of `chosen` that some run has frames of; notes why others have none."""
        jobs = []
        wanted = set(chosen)
        for clip_id in dict.fromkeys(clip for run in self.runs for clip in run.spec.clips):
            records = {}
            for number, run in enumerate(self.runs):
                if clip_id not in run.spec.clips:
                    continue
                found = record_of(run, clip_id) if clip_id in wanted else _NOT_CHOSEN
                if isinstance(found, str):
                    self.shown[number].absent[clip_id] = found
                else:
                    records[number] = found
            if records:
                jobs.append(_Job(clip_id, records))
        return jobs

    def make(self, job: _Job) -> None:
        """Write the files of one clip that are not there yet."""
        spec, dataset = self.spec, self._dataset
        absent = dataset if isinstance(dataset, str) else ""
        clip_key = key(
            _FORMAT, "clip", spec.dataset_digest, spec.protocol.id, spec.split, job.clip_id, absent
        )
        features = {number: _features_digest(self.runs[number], job.clip_id) for number in job.records}
        names = {
            number: f"a-{key(_FORMAT, 'animation', clip_key, record.digest, features[number])}"
            for number, record in job.records.items()
        }
        if self.folder.has(f"c-{clip_key}") and all(map(self.folder.has, names.values())):
            self.clips[job.clip_id] = f"c-{clip_key}"
            for number, name in names.items():
                self.shown[number].animations[job.clip_id] = name
            return
        inputs = ClipInputs(dataset, job.clip_id)
        self.folder.write_data(f"c-{clip_key}", self._shared(inputs, clip_key))
        self.clips[job.clip_id] = f"c-{clip_key}"
        for number, record in job.records.items():
            try:
                self._animation(inputs, self.runs[number], record, names[number])
                self.shown[number].animations[job.clip_id] = names[number]
            except WriteError:
                raise
            except UserError as error:
                self.shown[number].absent[job.clip_id] = told(error)

    def _shared(self, inputs: ClipInputs, clip_key: str) -> dict[str, Any]:
        """Portrait, driving, landmarks and truth, each as pictures or with the reason why not."""
        content: dict[str, Any] = {"absent": {}, "scored_from": self._first, "retry": inputs.failed}
        for kind, pictures in {**inputs.pictures, "landmarks": _drawn(inputs)}.items():
            if isinstance(pictures, str):
                content["absent"][kind] = pictures
            else:
                content[kind] = self._sheets(clip_key, kind, pictures)
        if (clip := inputs.clip) is not None:
            content |= {"fps": clip.driving.fps, "driven_by": clip.driving_subject}
            small = sheets.thumbnail(clip.portrait)
            content["thumbnail"] = self.folder.write_picture(f"{clip_key}-thumb", small, quality=80)
        return content

    def _animation(self, inputs: ClipInputs, run: FinishedRun, record: AnimationRecord, name: str) -> None:
        """Frames, error maps and per-frame values of one animation."""
        folder = RunFolder(run.path)
        frames = frames_of(run, record)
        own = name.partition("-")[2]
        curves, absent = _curves(frames, inputs, self._first, folder, record.clip_id)
        content: dict[str, Any] = {
            "frames": self._sheets(own, "frames", frames),
            "fps": record.fps,
            "size": list(frames.shape[2:0:-1]),
            "curves": {metric: [_short(value) for value in values] for metric, values in curves.items()},
            "absent": absent,
            "retry": inputs.failed,
        }
        shown = frames[len(frames) // 2]
        if "l1" in curves:
            truth = inputs.pictures["truth"]
            side = max(sheets.tile_side(frames.shape[1]) // 2, 32)
            content["errors"] = self._sheets(own, "errors", sheets.error_maps(frames, truth, side))
            shown = frames[int(np.argmax(np.nan_to_num(curves["l1"], nan=-1.0)))]
        content["thumbnail"] = self.folder.write_picture(f"{own}-thumb", sheets.thumbnail(shown), quality=80)
        self.folder.write_data(name, content)

    def _sheets(self, own: str, kind: str, frames: Frames) -> dict[str, Any]:
        side = sheets.tile_side(frames.shape[1])
        columns, capacity = sheets.layout(len(frames), side)
        quality = _QUALITY.get(kind, sheets.QUALITY)
        files = [
            self.folder.write_picture(f"{own}-{kind}{number}", sheet, quality=quality)
            for number, sheet in enumerate(sheets.sheets(frames, side))
        ]
        return {"files": files, "side": side, "columns": columns, "capacity": capacity, "count": len(frames)}


def _drawn(inputs: ClipInputs) -> Frames | str:
    """The target landmarks, or why there are none."""
    if isinstance(inputs.targets, str) or inputs.clip is None:
        return str(inputs.targets)
    side = max(
        sheets.tile_side(inputs.clip.portrait.shape[0]) // 2, 32
    )  # a line of one pixel is well seen then
    return draw(inputs.targets, (side, side), smooth=True)


def make_all(pictures: Sequence[tuple[PictureMaker, _Job]], done: Callable[[str], None]) -> None:
    """Make the pictures of many clips on all cores; `done` is told of each clip."""
    with _pool() as pool:
        for _, job in zip(pool.map(lambda pair: pair[0].make(pair[1]), pictures), pictures, strict=True):
            done(job[1].clip_id)


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Threads, since decoders and encoders release the interpreter lock; none is begun after an error."""
    pool = ThreadPoolExecutor(available_cores())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _curves(
    frames: Frames, inputs: ClipInputs, first: int, folder: RunFolder, clip_id: str
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Per-frame values that need no network, (T,) each, NaN where a frame has none; and why others are absent.

    Their means over the frames that are scored are the values in the rows.
    """
    curves: dict[str, NDArray[np.float64]] = {}
    absent: dict[str, str] = {}
    truth = inputs.pictures["truth"]
    if isinstance(truth, str):
        absent |= dict.fromkeys(("l1", "psnr", "errors"), truth)
    elif truth.shape != frames.shape:
        why = f"frames of {frames.shape[:3]} and truth of {truth.shape[:3]} (frames, height, width) do not compare"
        absent |= dict.fromkeys(("l1", "psnr", "errors"), why)
    else:
        curves["l1"] = _from(first, l1_per_frame(frames[first:], truth[first:]))
        curves["psnr"] = _from(first, psnr_per_frame(frames[first:], truth[first:]))
    try:
        found = folder.features(clip_id).get("landmarks")
        if found is None:
            absent["nme"] = absent["acceleration_error"] = f"features/{clip_id}.npz is not in the run folder"
        elif isinstance(inputs.targets, str):
            absent["nme"] = absent["acceleration_error"] = inputs.targets
        else:
            size = (frames.shape[2], frames.shape[1])
            targets = landmarks.pixel_points(inputs.targets[first:], size)
            found = landmarks.pixel_points(found, size)
            curves["nme"] = _from(first, landmarks.errors_per_frame(targets, found, points=EXPRESSION))
            curves["acceleration_error"] = _from(
                first, jitter.errors_per_frame(targets, found, points=EXPRESSION)
            )
    except (UserError, ValueError) as error:
        absent["nme"] = absent["acceleration_error"] = told(error)
    return curves, absent


def _from(first: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of the scored frames, with NaN in front for the frames that are not scored."""
    return np.concatenate([np.full(first, np.nan), values])


def _features_digest(run: FinishedRun, clip_id: str) -> str:
    """Digest of the landmarks that were found, on which per-frame values rest; empty if there are none."""
    file = run.path / "features" / f"{clip_id}.npz"
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
