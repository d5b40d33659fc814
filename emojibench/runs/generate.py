"""The first stage of a run: animations, clip by clip, from a method or from finished videos."""

import hashlib
import math
import numbers
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emojibench import media
from emojibench.dataset.clip import Clip
from emojibench.errors import MediaError, UserError
from emojibench.methods import Animation, Method, cost_by_shape, working_size
from emojibench.runs.clips import Clips, resized
from emojibench.runs.executor import Workers
from emojibench.runs.folder import VIDEOS, RunFolder, remedy
from emojibench.runs.measuring import Memory, Operations
from emojibench.runs.predictions import Predictions
from emojibench.runs.progress import Progress
from emojibench.runs.provenance import device
from emojibench.runs.records import AnimationRecord
from emojibench.runs.spec import clip_seed
from emojibench.runs.worker import StopError, Task, Tell
from emojibench.types import Frames

FPS = (0.1, 1000.0)
"""Frame rates that a video can be written with."""

OpenClips = Callable[[], Clips]
"""Opens the dataset in a worker; picklable."""


@dataclass(frozen=True)
class Job:
    """What a worker is told about one clip."""

    clip_id: str
    made: Path
    """Empty folder to be; frames.mkv and preview.mp4 go there."""


@dataclass(frozen=True)
class AnimateSetup:
    """Builds the handler that runs a method; picklable."""

    open_clips: OpenClips
    open_method: Callable[[], Method]
    seed: int

    def __call__(self, first: Any) -> "Animator":
        """Open the method and the dataset in this process."""
        return Animator(self.open_method(), self.open_clips(), self.seed)


class Animator:
    """Animates clips with one method and measures what that costs."""

    def __init__(self, method: Method, clips: Clips, seed: int) -> None:
        self.method, self.clips, self.seed = method, clips, seed
        self.info = {"revision": _revision(method), "device": device()}
        self._size = working_size(method)
        self._operations = Operations(by_shape=cost_by_shape(method))

    def __call__(self, job: Job, tell: Tell) -> AnimationRecord:
        """Animate one clip into `job.made`."""
        clip = self.clips.clip(job.clip_id)
        height, width = clip.portrait.shape[:2]
        clip = resized(clip, self._size)
        seed = clip_seed(self.seed, clip.clip_id)
        _seed_everything(seed)
        shape = (clip.frames, *clip.portrait.shape)
        warm_up, counted = shape not in self._operations, self._operations.counts(shape)
        memory = Memory()
        started = time.perf_counter()
        with self._operations.of(shape):
            animation = self._animate(clip, seed, tell)
        latency = time.perf_counter() - started
        peak, kind = memory.peak()
        check(animation, shape)
        frames, note = media.fit(animation.frames, (width, height))
        record = AnimationRecord(
            clip_id=clip.clip_id,
            status="ok",
            note=note,
            seed=seed,
            latency=latency,
            seconds={stage: float(seconds) for stage, seconds in animation.seconds.items()},
            warm_up=warm_up,
            flops=self._operations[shape],
            counted=counted,
            peak_memory=peak,
            memory_kind=kind,
        )
        return write(job.made, record, frames, animation.fps)

    def _animate(self, clip: Clip, seed: int, tell: Tell) -> Animation:
        return self.method.animate(
            clip, seed=seed, progress=lambda done, total: tell(done / total if total else 0.0)
        )


@dataclass(frozen=True)
class IngestSetup:
    """Builds the handler that reads finished videos; picklable."""

    open_clips: OpenClips
    predictions: Predictions

    def __call__(self, first: Any) -> "Ingester":
        """Open the dataset in this process."""
        return Ingester(self.open_clips(), self.predictions)


class Ingester:
    """Brings finished videos into the run folder in the form that methods' frames have."""

    def __init__(self, clips: Clips, predictions: Predictions) -> None:
        self.clips, self.predictions = clips, predictions
        self.info = {"revision": "finished videos", "device": device()}

    def __call__(self, job: Job, tell: Tell) -> AnimationRecord:
        """Read one clip's video into `job.made`."""
        clip = self.clips.clip(job.clip_id)
        source = self.predictions.digest(clip.clip_id)
        height, width = clip.portrait.shape[:2]
        read = self.predictions.read(clip.clip_id, expected=clip.frames, size=(width, height))
        animation = Animation(read.frames, read.fps or clip.driving.fps)
        check(animation, (clip.frames, *clip.portrait.shape))
        record = AnimationRecord(clip_id=clip.clip_id, status="ok", source=source, note=read.note)
        return write(job.made, record, read.frames, animation.fps)


def finished(folder: RunFolder, clip_id: str, predictions: Predictions | None) -> bool:
    """Is the clip animated? Failed clips are tried again, changed videos read again.

    So are clips whose frames are gone; without its preview, which serves only to be looked at, a clip is whole.
    """
    record = folder.animation(clip_id)
    if record is None or record.status == "failed" or not folder.frames_file(clip_id).is_file():
        return False
    try:
        return predictions is None or predictions.digest(clip_id) == record.source
    except MediaError:  # it is gone: reading it again says so
        return False


def generate(folder: RunFolder, workers: Workers, clips: list[str], progress: Progress) -> dict[str, str]:
    """Animate `clips` into the run folder.

    Returns:
        Clip id to reason for those that failed; each has a record too, and its log in logs/.

    Raises:
        UserError: the folder cannot be written, or workers cannot be started.
    """
    failed = {}
    tasks = [
        Task(clip_id, Job(clip_id, folder.scratch / clip_id), folder.scratch / f"{clip_id}.txt")
        for clip_id in clips
    ]
    for outcome in workers.map(tasks, lambda task, done: progress.partly(task.key, done)):
        clip_id = outcome.task.key
        record = outcome.result
        if record is None:
            failed[clip_id] = outcome.failure
            record = AnimationRecord(clip_id=clip_id, status="failed", reason=outcome.failure)
            folder.discard_scratch(clip_id)
            folder.keep_log(outcome.task.log, f"animate-{clip_id}")
        folder.publish(record)
        progress.done(clip_id, outcome.failure)
    return failed


def check(animation: Animation, expected: tuple[int, ...]) -> None:
    """Is it what the interface asks for, so that what is written of it can be read again?

    Args:
        animation: what a method returned.
        expected: shape of the frames, (T, H, W, 3), known before the method had a hand on the clip.

    Raises:
        TypeError, ValueError: another type, dtype, number or size of frames, a bad frame rate, or bad seconds.
    """
    if not isinstance(animation, Animation):
        raise TypeError(f"expected an emojibench.methods.Animation, got {type(animation).__name__}")
    frames = animation.frames
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        kind = getattr(frames, "dtype", type(frames).__name__)
        raise ValueError(f"frames: expected a uint8 array of shape {expected}, got {kind}")
    if frames.ndim == 4 and len(frames) != expected[0] and frames.shape[1:] == expected[1:]:
        raise ValueError(f"expected {expected[0]} frames, one for each driving frame, got {len(frames)}")
    if frames.shape != expected:
        raise ValueError(f"frames: expected shape {expected} (T, H, W, 3), got {frames.shape}")
    if not (_is_number(animation.fps) and FPS[0] <= animation.fps <= FPS[1]):
        raise ValueError(f"fps: expected a number from {FPS[0]:g} to {FPS[1]:g}, got {animation.fps!r:.100}")
    if not isinstance(animation.seconds, Mapping):
        raise TypeError(
            f"seconds: expected a mapping of stages to seconds, got {type(animation.seconds).__name__}"
        )
    for stage, seconds in animation.seconds.items():
        named = isinstance(stage, str) and stage.isidentifier() and len(stage) <= 64
        if not (named and _is_number(seconds) and 0 <= seconds < math.inf):
            raise ValueError(
                f"seconds: expected stages named by letters, digits and _ (at most 64), with finite seconds of at "
                f"least 0, got {stage!r:.100}: {seconds!r:.100}"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _revision(method: Method) -> str:
    """The method's revision, checked: it is compared and written down, and tables show it."""
    revision = method.revision
    if not isinstance(revision, str) or not revision.isprintable() or not revision.strip():
        raise UserError(
            f"method {type(method).__name__}: revision: expected printable text that is not empty, "
            f"got {revision!r:.100}; correct the method"
        )
    return revision


def write(made: Path, record: AnimationRecord, frames: Frames, fps: float) -> AnimationRecord:
    """Write both videos of a clip; the completed record still has to be published.

    Raises:
        StopError: they cannot be written. Not the method's fault, so no clip fails for it.
    """
    try:
        made.mkdir(
            exist_ok=True
        )  # not its parents: a folder that somebody removed is not to come back in part
        for name, write_video in zip(VIDEOS, (media.write_lossless, media.write_preview), strict=True):
            write_video(made / name, frames, fps)
    except OSError as error:
        raise StopError(f"cannot write {made}: {error.strerror}; {remedy(error)}") from error
    except UserError as error:
        raise StopError(f"{error}; run the same command again: it continues where it stopped") from error
    count, height, width, _ = frames.shape
    digest = hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest()
    return record.model_copy(
        update={"digest": digest, "fps": float(fps), "frames": count, "size": (width, height)}
    )


def _seed_everything(seed: int) -> None:
    """Seed the global generators as well, for methods that draw from them."""
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)
