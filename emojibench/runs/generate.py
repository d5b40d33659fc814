"""The first stage of a run: animations, clip by clip, from a method or from finished videos."""

import hashlib
import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emojibench import media
from emojibench.dataset.clip import Clip, Frames
from emojibench.errors import MediaError, UserError
from emojibench.methods import Animation, Method
from emojibench.runs.clips import Clips
from emojibench.runs.executor import StopError, Task, Tell, Workers
from emojibench.runs.folder import RunFolder
from emojibench.runs.predictions import Predictions
from emojibench.runs.progress import Progress
from emojibench.runs.provenance import device
from emojibench.runs.records import AnimationRecord
from emojibench.runs.spec import clip_seed

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
        self.info = {"revision": method.revision, "device": device()}
        self._flops: dict[tuple[int, ...], float] = {}
        from metrics.flops import count_flops  # torch is loaded here, where no clip's latency sees it

        self._count_flops = count_flops

    def __call__(self, job: Job, tell: Tell) -> AnimationRecord:
        """Animate one clip into `job.made`."""
        clip = self.clips.clip(job.clip_id)
        seed = clip_seed(self.seed, clip.clip_id)
        _seed_everything(seed)
        _reset_cuda_peak()
        shape = (clip.frames, *clip.portrait.shape)
        warm_up = shape not in self._flops
        started = time.perf_counter()
        if warm_up:
            animation, self._flops[shape] = self._animate_counted(clip, seed, tell)
        else:
            animation = self._animate(clip, seed, tell)
        latency = time.perf_counter() - started
        check(animation, clip)
        peak, kind = _peak_memory()
        record = AnimationRecord(
            clip_id=clip.clip_id,
            status="ok",
            seed=seed,
            latency=latency,
            seconds=dict(animation.seconds),
            warm_up=warm_up,
            flops=self._flops[shape],
            peak_memory=peak,
            memory_kind=kind,
        )
        return write(job.made, record, animation.frames, animation.fps)

    def _animate(self, clip: Clip, seed: int, tell: Tell) -> Animation:
        return self.method.animate(
            clip, seed=seed, progress=lambda done, total: tell(done / total if total else 0.0)
        )

    def _animate_counted(self, clip: Clip, seed: int, tell: Tell) -> tuple[Animation, float]:
        with self._count_flops() as counter:
            animation = self._animate(clip, seed, tell)
        return animation, float(counter.total)


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
        frames, fps = self.predictions.read(clip.clip_id, expected=clip.frames)
        height, width = clip.portrait.shape[:2]
        fitted, note = fit(frames, width, height)
        animation = Animation(fitted, fps or clip.driving.fps)
        check(animation, clip)
        record = AnimationRecord(clip_id=clip.clip_id, status="ok", source=source, note=note)
        return write(job.made, record, fitted, animation.fps)


def finished(folder: RunFolder, clip_id: str, predictions: Predictions | None) -> bool:
    """Is the clip animated? Failed clips are tried again, changed videos read again."""
    record = folder.animation(clip_id)
    if record is None or record.status == "failed":
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


def check(animation: Animation, clip: Clip) -> None:
    """Is it what the interface asks for?

    Raises:
        ValueError: another type, dtype, number or size of frames, or a bad frame rate.
    """
    frames = animation.frames
    expected = (clip.frames, *clip.portrait.shape)
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        kind = getattr(frames, "dtype", type(frames).__name__)
        raise ValueError(f"frames: expected a uint8 array of shape {expected}, got {kind}")
    if frames.ndim == 4 and len(frames) != clip.frames and frames.shape[1:] == expected[1:]:
        raise ValueError(f"expected {clip.frames} frames, one for each driving frame, got {len(frames)}")
    if frames.shape != expected:
        raise ValueError(f"frames: expected shape {expected} (T, H, W, 3), got {frames.shape}")
    if not (np.isfinite(animation.fps) and animation.fps > 0):
        raise ValueError(f"fps: expected a positive number, got {animation.fps}")
    for stage, seconds in animation.seconds.items():
        if not stage.isidentifier() or not seconds >= 0:
            raise ValueError(
                f"seconds: expected stages named by letters, digits and _, with seconds of at least 0, "
                f"got {stage!r}: {seconds}"
            )


def write(made: Path, record: AnimationRecord, frames: Frames, fps: float) -> AnimationRecord:
    """Write both videos of a clip; the completed record still has to be published.

    Raises:
        StopError: they cannot be written. Not the method's fault, so no clip fails for it.
    """
    try:
        made.mkdir(parents=True, exist_ok=True)
        media.write_lossless(made / "frames.mkv", frames, fps)
        media.write_preview(made / "preview.mp4", frames, fps)
    except (OSError, UserError) as error:
        raise StopError(f"{error}; run the same command again: it continues where it stopped") from error
    count, height, width, _ = frames.shape
    digest = hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest()
    return record.model_copy(
        update={"digest": digest, "fps": float(fps), "frames": count, "size": (width, height)}
    )


def fit(frames: Frames, width: int, height: int) -> tuple[Frames, str]:
    """Frames at the protocol's size, and a note that says how they were resized (empty: not at all).

    Raises:
        MediaError: the sides have another ratio, so that a resize would squash the face.
    """
    old_height, old_width = frames.shape[1:3]
    if (old_width, old_height) == (width, height):
        return frames, ""
    if abs(old_width * height - old_height * width) > 0.02 * old_height * width:
        raise MediaError(
            f"expected frames of {width}x{height} pixels or the same ratio of sides, got "
            f"{old_width}x{old_height}; crop the videos as the dataset's portraits are"
        )
    filter_ = "area" if width * height < old_width * old_height else "bicubic"
    return media.resize(frames, (width, height)), f"resized from {old_width}x{old_height} ({filter_})"


def _seed_everything(seed: int) -> None:
    """Seed the global generators as well, for methods that draw from them."""
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def _cuda() -> Any:
    """torch.cuda if this process uses it, else None; never imports torch by itself."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _reset_cuda_peak() -> None:
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def _peak_memory() -> tuple[int, Any]:
    if cuda := _cuda():
        return int(cuda.max_memory_allocated()), "cuda"
    unit = 1 if sys.platform == "darwin" else 1024
    own, children = (
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return max(own, children) * unit, "rss"
