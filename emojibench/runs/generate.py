"""The first stage of a run: animations, clip by clip, from a method or from finished videos."""

import hashlib
import numbers
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from emojibench import media, weights
from emojibench.dataset.clip import Clip
from emojibench.errors import MediaError, UserError, one_line
from emojibench.methods import Animation, Method, batch, cost_by_shape, outside, working_size
from emojibench.parallel.worker import StopError, Task, Tell, undisturbed
from emojibench.parallel.workers import Workers
from emojibench.progress import ClipProgress
from emojibench.runs.clips import Clips, resized
from emojibench.runs.folder import VIDEOS, RunFolder, remedy
from emojibench.runs.measuring import MemoryWatch, Operations
from emojibench.runs.predictions import Predictions
from emojibench.runs.provenance import device
from emojibench.runs.records import AnimationRecord
from emojibench.runs.spec import FACTS, WEIGHTS, clip_seed
from emojibench.types import Frames

FPS = (0.1, 1000.0)
"""Frame rates that a video can be written with."""
NOTE = 1000
"""Most characters of an animation's note."""
SECONDS = 1e9
"""Most that a stage may take: thirty years."""
REVISION = 10_000
"""Most characters of a method's revision."""
STAGES = 1000
"""Most stages that a method may time: its clip's record has to stay readable."""


Sources = Callable[[str], tuple[Path, ...]]
"""Files that a clip, given by its id, is made from."""


@dataclass(frozen=True)
class AnimateJob:
    """What a worker is told about one clip."""

    clip_id: str
    made: Path
    """Folder for frames.mkv and preview.mp4; the worker makes it."""


@dataclass(frozen=True)
class AnimateSetup:
    """Builds the handler that runs a method; picklable."""

    clips: Clips
    open_method: Callable[[], Method]
    seed: int

    def __call__(self, first: Any) -> "AnimateHandler":
        """Open the method in this process."""
        return AnimateHandler(self.open_method(), self.clips, self.seed)


class AnimateHandler:
    """Animates clips with one method and measures what that costs."""

    def __init__(self, method: Method, clips: Clips, seed: int) -> None:
        self.method, self.clips, self.seed = method, clips, seed
        self.info = {
            "revision": _revision(method), "device": device(), "batch": batch(method), "about": _about(method),
            "weights": weights.used() | _weights(method),
        }  # fmt: skip
        self._size = working_size(method)
        self._operations = None if outside(method) else Operations(by_shape=cost_by_shape(method))

    def __call__(self, jobs: Sequence[AnimateJob], tell: Tell) -> list[AnimationRecord]:
        """Animate one clip, or several at once, into their `made`.

        Raises:
            Exception: whatever the method raises, or is wrong with a single clip's animation; of several, those that
                went wrong have the reason in their record.
        """
        clips = [self.clips.clip(job.clip_id) for job in jobs]
        sizes = [(clip.portrait.shape[1], clip.portrait.shape[0]) for clip in clips]
        clips = [resized(clip, self._size) for clip in clips]
        shapes = [(clip.frames, *clip.portrait.shape) for clip in clips]
        seeds = [clip_seed(self.seed, clip.clip_id) for clip in clips]
        seed_everything(seeds[0])
        animations, cost = self._measured(clips, seeds, tuple(chain.from_iterable(shapes)), tell)
        records = []
        for job, seed, animation, shape, size in zip(jobs, seeds, animations, shapes, sizes, strict=True):
            try:
                if isinstance(animation, UserError):
                    raise animation
                check(animation, shape)
                record = _written(job, seed, animation, size, cost)
                records.append(record.model_copy(update={"device": self.info["device"]}))
            except Exception as error:
                if len(jobs) == 1 or isinstance(error, StopError):
                    raise
                reason = str(error) if isinstance(error, UserError) else one_line(error)
                records.append(
                    AnimationRecord(clip_id=job.clip_id, status="failed", reason=" ".join(reason.split()))
                )
        return records

    def _measured(
        self, clips: Sequence[Clip], seeds: Sequence[int], shape: tuple[int, ...], tell: Tell
    ) -> tuple[Sequence[Animation | UserError], dict[str, Any]]:
        """What the method makes of clips, and the cost of each, as fields of a record."""
        operations, share = self._operations, len(clips)
        warm_up = operations is not None and shape not in operations
        counted = operations is not None and operations.counts(shape)
        memory = MemoryWatch()
        started = time.perf_counter()
        with undisturbed(), operations.of(shape) if operations else nullcontext():
            animations = self._animate(clips, seeds, tell)
        latency = (time.perf_counter() - started) / share
        peak, kind = memory.peak()
        flops = operations[shape] / share if operations else None
        return animations, {
            "latency": latency, "warm_up": warm_up, "flops": flops, "counted": counted, "peak_memory": peak,
            "memory_kind": kind,
        }  # fmt: skip

    def _animate(
        self, clips: Sequence[Clip], seeds: Sequence[int], tell: Tell
    ) -> Sequence[Animation | UserError]:
        def progress(done: int, total: int) -> None:
            tell(done / total if total else 0.0)

        if len(clips) == 1:
            return [self.method.animate(clips[0], seed=seeds[0], progress=progress)]
        several: Any = self.method
        animations: Sequence[Animation | UserError] = several.animate_batch(
            clips, seeds=seeds, progress=progress
        )
        if not isinstance(animations, Sequence) or len(animations) != len(clips):
            got = len(animations) if isinstance(animations, Sequence) else type(animations).__name__
            raise ValueError(f"animate_batch: expected a list of {len(clips)}, one for each clip, got {got}")
        return animations


def _written(
    job: AnimateJob, seed: int, animation: Animation, size: tuple[int, int], cost: dict[str, Any]
) -> AnimationRecord:
    """One clip's record, its videos written at `size`; `MediaError` where its frames cannot be brought to that."""
    frames, resized_by = media.fit(animation.frames, size)
    if animation.peak_memory is not None:
        cost = cost | {"peak_memory": animation.peak_memory, "memory_kind": "processes"}
    record = AnimationRecord(
        clip_id=job.clip_id,
        status="ok",
        note="; ".join(filter(None, [animation.note, resized_by])),
        seed=seed,
        seconds={stage: float(seconds) for stage, seconds in animation.seconds.items()},
        shared=animation.shared,
        **cost,
    )
    return write(job.made, record, frames, animation.fps)


@dataclass(frozen=True)
class IngestSetup:
    """Builds the handler that reads finished videos; picklable."""

    clips: Clips
    predictions: Predictions

    def __call__(self, first: Any) -> "Ingester":
        """Take what there is to read."""
        return Ingester(self.clips, self.predictions)


class Ingester:
    """Brings finished videos into the run folder in the form that methods' frames have."""

    def __init__(self, clips: Clips, predictions: Predictions) -> None:
        self.clips, self.predictions = clips, predictions
        self.info = {"revision": "finished videos", "device": device()}

    def __call__(self, jobs: Sequence[AnimateJob], tell: Tell) -> list[AnimationRecord]:
        """Read a clip's video into its `made`."""
        return [self._read(job) for job in jobs]

    def _read(self, job: AnimateJob) -> AnimationRecord:
        clip = self.clips.clip(job.clip_id)
        source = self.predictions.digest(clip.clip_id)
        height, width = clip.portrait.shape[:2]
        read = self.predictions.read(clip.clip_id, expected=clip.frames, size=(width, height))
        animation = Animation(read.frames, read.fps or clip.driving.fps)
        check(animation, (clip.frames, *clip.portrait.shape))
        record = AnimationRecord(clip_id=clip.clip_id, status="ok", source=source, note=read.note)
        return write(job.made, record, read.frames, animation.fps)


def finished(folder: RunFolder, clip_id: str, predictions: Predictions | None) -> bool:
    """Whether the clip is animated. It is not if it failed, its frames are gone, or its finished video changed.

    The preview serves only to be looked at: without it a clip is still whole.
    """
    record = folder.animation(clip_id)
    if record is None or record.status == "failed" or not folder.frames_file(clip_id).is_file():
        return False
    try:
        return predictions is None or predictions.digest(clip_id) == record.source
    except MediaError:  # it is gone: reading it again says so
        return False


def generate(
    folder: RunFolder, workers: Workers, clips: list[str], sources: Sources, progress: ClipProgress
) -> dict[str, str]:
    """Animate `clips` into the run folder.

    Args:
        folder: locked.
        workers: of a setup of this module.
        clips: ids.
        sources: files that a clip is made from.
        progress: is told of clips.

    Returns:
        Clip id to reason for those that failed; each has a record too, and its log in logs/.

    Raises:
        UserError: the folder cannot be written, or workers cannot be started.
    """
    failed = {}
    for outcome in workers.map(
        _tasks(folder, workers, clips, sources), lambda task, done: progress.partly(task.key, done)
    ):
        records: list[AnimationRecord] = outcome.result or [
            AnimationRecord(clip_id=job.clip_id, status="failed", reason=outcome.failure)
            for job in outcome.task.payload
        ]
        for record in records:
            if record.status == "failed":
                failed[record.clip_id] = record.reason
                folder.discard_scratch(record.clip_id)
                folder.keep_log(outcome.task.log, f"animate-{record.clip_id}")
            folder.publish(record.model_copy(update={"node": outcome.node}))
            progress.done(record.clip_id, record.reason)
    return failed


def _tasks(folder: RunFolder, workers: Workers, clips: list[str], sources: Sources) -> list[Task]:
    """Clips in groups as large as the method takes them at once, but no larger than gives each worker one."""
    most = min(workers.info.get("batch", 1), -(-len(clips) // workers.jobs))
    tasks = []
    for start in range(0, len(clips), most):
        jobs = [AnimateJob(clip_id, folder.scratch / clip_id) for clip_id in clips[start : start + most]]
        first = jobs[0].clip_id
        reads = tuple(path for job in jobs for path in sources(job.clip_id))
        tasks.append(Task(first, jobs, folder.scratch / f"{first}.txt", share=len(jobs), reads=reads))
    return tasks


def check(animation: Animation, expected: tuple[int, ...]) -> None:
    """Refuse an animation that is not what the interface asks for, so that whatever is written can be read again.

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
    note = animation.note
    if not (isinstance(note, str) and note.isprintable() and len(note) <= NOTE):
        raise ValueError(f"note: expected one line of at most {NOTE} printable characters, got {note!r:.100}")
    peak = 1 if animation.peak_memory is None else animation.peak_memory
    for what, number in (("shared", animation.shared), ("peak_memory", peak)):
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 2**63:
            raise ValueError(f"{what}: expected a whole number from 1 to 2^63 - 1, got {number!r:.100}")
    if not isinstance(animation.seconds, Mapping):
        raise TypeError(
            f"seconds: expected a mapping of stages to seconds, got {type(animation.seconds).__name__}"
        )
    if len(animation.seconds) > STAGES:
        raise ValueError(f"seconds: expected at most {STAGES} stages, got {len(animation.seconds):,}")
    for stage, seconds in animation.seconds.items():
        named = isinstance(stage, str) and stage.isidentifier() and len(stage) <= 64
        if not (named and _is_number(seconds) and 0 <= seconds <= SECONDS):
            raise ValueError(
                f"seconds: expected stages named by letters, digits and _ (at most 64), with finite seconds of at "
                f"least 0, got {stage!r:.100}: {seconds!r:.100}"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _revision(method: Method) -> str:
    """The method's revision, checked: it is compared and written down, and tables show it."""
    revision = method.revision
    usable = isinstance(revision, str) and revision.isprintable() and revision.strip()
    if not usable or len(revision) > REVISION:
        raise UserError(
            f"method {type(method).__name__}: revision: expected printable text of 1 to {REVISION:,} characters, "
            f"got {revision!r:.100}; correct the method"
        )
    return revision


def _about(method: Method) -> dict[str, str]:
    """What the method says of itself, checked: it is kept with the run, and tables print its label."""
    about = getattr(method, "about", {})
    try:
        return FACTS.validate_python(about)
    except ValidationError as error:
        raise UserError(
            f"method {method.name!r}: about: expected texts of at most 500 printable characters without | and `, "
            f"got {about!r:.100}; correct the method"
        ) from error


def _weights(method: Method) -> dict[str, str]:
    """Weight files that are in no registry of ours, as the method says, checked."""
    said = getattr(method, "weight_files", {})
    try:
        return WEIGHTS.validate_python(said)
    except ValidationError as error:
        raise UserError(
            f"method {method.name!r}: weight_files: expected names with 12 to 64 hex digits of a sha256, "
            f"got {said!r:.100}; correct the method"
        ) from error


def write(made: Path, record: AnimationRecord, frames: Frames, fps: float) -> AnimationRecord:
    """Write both videos of a clip; the completed record still has to be published.

    Raises:
        StopError: they cannot be written. Not the method's fault, so no clip fails for it.
    """
    try:
        shutil.rmtree(made, ignore_errors=True)  # what a lost worker left half-written
        made.mkdir()  # not its parents: a folder that somebody removed is not to come back in part
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


def seed_everything(seed: int) -> None:
    """Seed the global generators as well, for methods that draw from them."""
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)
