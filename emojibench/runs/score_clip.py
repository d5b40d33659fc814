"""What a scoring worker does: all metrics of one clip, from frames decoded and faces detected once."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from emojibench_metrics.interface import ClipArrays, Figure, Traits
from numpy.typing import NDArray

from emojibench import extras, media, registry, weights
from emojibench.dataset.clip import Clip
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import DatasetError, MediaError, UnavailableError, UserError, one_line
from emojibench.face.detect import Detector
from emojibench.parallel.worker import Tell
from emojibench.protocol import Protocol
from emojibench.runs.clips import Clips
from emojibench.runs.provenance import device
from emojibench.runs.records import AnimationRecord, Status, per_frame
from emojibench.types import Frames

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ScoreJob:
    """What a worker is told about one clip."""

    record: AnimationRecord
    frames_file: Path
    metrics: tuple[str, ...]
    """Registered names of those that have no valid rows yet."""
    kept: Arrays = field(default_factory=dict)
    """`landmarks` on the scored frames and `<metric>.truth` features where they are still valid."""


@dataclass(frozen=True)
class AggregateJob:
    """What a worker is told about one metric of the whole set."""

    metric: str
    generated: list[NDArray[np.float64]]
    truth: list[NDArray[np.float64]]


@dataclass(frozen=True)
class Measured:
    """One measured column of one clip, before it becomes a row."""

    traits: Traits
    status: Status
    value: float | None = None
    n: int = 0
    reason: str = ""
    total: int | None = None
    frames: tuple[float | None, ...] = ()
    """As `emojibench.runs.records.Row.frames`."""


@dataclass(frozen=True)
class Scored:
    """All that scoring one clip gave."""

    values: list[Measured]
    arrays: Arrays = field(default_factory=dict)
    """`landmarks`, `<metric>.generated`, `<metric>.truth`: worth keeping."""


@dataclass(frozen=True)
class ScoreSetup:
    """Builds the scoring handler; picklable."""

    clips: Clips
    open_detector: Callable[[], Detector]
    metrics: tuple[str, ...]
    protocol: Protocol
    split: str
    by_sound: bool = False
    """Whether the method hears the driving sequence and does not see it."""

    def __call__(self, first: Any) -> "Scorer":
        """Open metrics and detector here; what the first worker could not have stays unavailable."""
        return Scorer(self, {} if first is None else first["unavailable"])


class Scorer:
    """Scores clips, one at a time."""

    def __init__(self, setup: ScoreSetup, unavailable: Mapping[str, str]) -> None:
        self._clips = setup.clips
        self._scored = setup.protocol.scored(setup.split)
        self._by_sound = setup.by_sound
        self._unavailable = dict(unavailable)
        self._metrics: dict[str, Any] = {}
        self._factories = {name: registry.load(registry.METRICS, name) for name in setup.metrics}
        self._detector: Detector | None = None
        self._open_detector(setup.open_detector)
        for name, factory in self._factories.items():
            if name not in self._unavailable:
                try:
                    extras.require(*getattr(factory, "packages", ()), what=f"metric {name!r}")
                    self._metrics[name] = factory(weights.find)
                except (UnavailableError, ImportError) as error:  # weights or an optional package
                    self._unavailable[name] = extras.lacking(error) or " ".join(str(error).split())
                except ValueError as error:
                    raise UserError(f"metric {name!r}: {error}") from error
        self.info = {"unavailable": self._unavailable, "weights": weights.used(), "device": device()}

    def _open_detector(self, open_detector: Callable[[], Detector]) -> None:
        users = [
            name
            for name, factory in self._factories.items()
            if any("generated_landmarks" in traits.needs for traits in factory.traits)
        ]
        if not users:
            return
        try:
            self._detector = open_detector()
        except UnavailableError as error:
            self._unavailable |= dict.fromkeys(users, f"landmark detector: {error}")

    def __call__(self, job: ScoreJob | AggregateJob, tell: Tell) -> Scored:
        """Score one clip, or a whole set from the features of its clips."""
        if isinstance(job, AggregateJob):
            return Scored(self._aggregate(job))
        clip = self._clips.clip(job.record.clip_id)
        frames = _frames(job)[self._scored]
        truth = self._clips.truth(clip.clip_id)
        arrays: Arrays = {}
        given, missing = self._inputs(job, clip, frames, truth, arrays)
        values: list[Measured] = []
        for done, name in enumerate(job.metrics):
            lacking = _lacking(self._factories[name], len(frames), missing)
            values += [Measured(traits, "undefined", reason=reason) for traits, reason in lacking.items()]
            columns = [traits for traits in self._factories[name].traits if traits not in lacking]
            if name in self._unavailable:
                values += _unavailable(columns, self._unavailable[name])
            elif columns and self._factories[name].kind == "set":
                values += self._features(name, columns, given, job.kept, arrays)
            elif columns:
                values += _measure(self._metrics[name], columns, given)
            tell((done + 1) / len(job.metrics))
        return Scored(values, arrays)

    def _inputs(
        self, job: ScoreJob, clip: Clip, frames: Frames, truth: Frames | None, arrays: Arrays
    ) -> tuple[ClipArrays, dict[str, str]]:
        """What metrics see, and for each input that is absent the reason."""
        missing = {}
        if truth is None:
            missing["truth"] = "no ground truth"
        else:
            truth = truth[self._scored]
        targets = None
        if self._by_sound:
            missing["target_landmarks"] = "driven by sound, which says nothing of where the head goes"
        else:
            try:
                targets = target_landmarks(clip)[self._scored]
            except DatasetError as error:
                missing["target_landmarks"] = str(error)
        landmarks = job.kept.get("landmarks")
        if landmarks is None and self._detector is not None:
            landmarks = self._detector.detect_video(frames, fps=job.record.fps or clip.driving.fps).landmarks
        if landmarks is not None:
            arrays["landmarks"] = landmarks
        return ClipArrays(frames, truth, clip.portrait, targets, landmarks), missing

    def _features(
        self, name: str, columns: Sequence[Traits], given: ClipArrays, kept: Arrays, arrays: Arrays
    ) -> list[Measured]:
        """Features of a set metric; its columns hold no value until the whole set is there."""
        metric = self._metrics[name]
        try:
            generated = np.asarray(metric.features(given.generated), np.float64)
            truth = kept.get(f"{name}.truth")
            assert given.truth is not None  # else all columns were undefined
            truth = np.asarray(metric.features(given.truth) if truth is None else truth, np.float64)
        except Exception as error:
            return _broken(columns, error)
        arrays |= {f"{name}.generated": generated, f"{name}.truth": truth}
        return [Measured(traits, "ok", n=len(generated), total=len(generated)) for traits in columns]

    def _aggregate(self, job: AggregateJob) -> list[Measured]:
        columns = self._factories[job.metric].traits
        if job.metric in self._unavailable:
            return _unavailable(columns, self._unavailable[job.metric])
        try:
            figures = self._metrics[job.metric].aggregate(job.generated, job.truth)
            return [_judge(traits, figures.get(traits.name)) for traits in columns]
        except Exception as error:
            return _broken(columns, error)


def _frames(job: ScoreJob) -> Frames:
    frames = media.read_video(job.frames_file)
    if hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest() != job.record.digest:
        raise MediaError(
            f"{job.frames_file}: not the frames that animation.json tells of; "
            "delete the clip's folder and run again"
        )
    return frames


def _measure(metric: Any, columns: Sequence[Traits], given: ClipArrays) -> list[Measured]:
    """Those columns of a per-clip metric whose inputs are there."""
    try:
        figures = metric.measure(given)
        return [_judge(traits, figures.get(traits.name), len(given.generated)) for traits in columns]
    except Exception as error:
        return _broken(columns, error)


def _lacking(factory: Any, frames: int, missing: Mapping[str, str]) -> dict[Traits, str]:
    """Columns that cannot be defined here, whatever weights there are, and why."""
    always = {"truth"} if factory.kind == "set" else set()
    lacking = {}
    for traits in factory.traits:
        absent = [missing[need] for need in sorted(traits.needs | always) if need in missing]
        if frames < traits.minimum_frames:
            lacking[traits] = f"{frames} frames, at least {traits.minimum_frames} are needed"
        elif absent:
            lacking[traits] = absent[0]
    return lacking


def _unavailable(columns: Sequence[Traits], reason: str) -> list[Measured]:
    return [Measured(traits, "unavailable", reason=reason) for traits in columns]


def _judge(traits: Traits, figure: Figure | None, length: int = 0) -> Measured:
    """A figure as a value, or why it is none. A value outside the declared range is a broken metric.

    Args:
        traits: of the column.
        figure: what the metric says; None where it left the column out.
        length: frames that were given, and of which it may have values one by one.
    """
    if figure is None:
        return Measured(traits, "failed", reason=f"the metric returned nothing for its column {traits.name}")
    n, total = int(figure.n), None if figure.total is None else int(figure.total)
    if figure.value is None:
        return Measured(traits, "undefined", None, n, figure.reason or "no reason given", total)
    value = float(figure.value)
    if refusal := traits.refusal(value):
        return Measured(traits, "failed", None, n, f"the metric returned a wrong value: {refusal}")
    frames: tuple[float | None, ...] = ()
    if figure.frames is not None:
        values = np.asarray(figure.frames, np.float64)
        if values.shape != (length,):
            reason = f"the metric returned values of frames of shape {values.shape}; expected ({length},)"
            return Measured(traits, "failed", None, n, reason)
        frames = per_frame(values)
    return Measured(traits, "ok", value, n, total=n if total is None else total, frames=frames)


def _broken(columns: Sequence[Traits], error: Exception) -> list[Measured]:
    """All columns of a metric that raised: unavailable weights are no failure."""
    if isinstance(error, UnavailableError):
        return _unavailable(columns, " ".join(str(error).split()))
    import traceback

    traceback.print_exception(error)  # into the clip's log
    return [Measured(traits, "failed", reason=one_line(error)) for traits in columns]
