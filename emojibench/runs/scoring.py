"""The second stage of a run: rows, clip by clip, from finished animations.

Everything that a value depends on goes into the digest `inputs` of its row; a row with today's digest is
never computed again. Rows that failed or were unavailable are tried again each time the command is run.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from emojibench_metrics.cost import LATENCY
from emojibench_metrics.interface import Traits

from emojibench import extras, registry
from emojibench.dataset.dataset import Dataset
from emojibench.errors import UserError
from emojibench.parallel.worker import Task
from emojibench.parallel.workers import Workers
from emojibench.progress import ClipProgress
from emojibench.runs import cost
from emojibench.runs.clips import Clips
from emojibench.runs.columns import ABSENT, DRIVING, ColumnSpec
from emojibench.runs.driving import driven
from emojibench.runs.folder import RowKey, RunFolder
from emojibench.runs.records import AnimationRecord, Row
from emojibench.runs.score_clip import AggregateJob, Arrays, Measured, ScoreJob, ScoreSetup
from emojibench.runs.spec import RunSpec

FINISHED = ("ok", "undefined")
SET = ""
"""`clip_id` of the rows that hold the value of a whole set."""


@dataclass
class ScoringPlan:
    """What is left to score."""

    spec: RunSpec
    dataset: Dataset
    factories: dict[str, Any]
    """Registered name to metric factory, for all of `spec.metrics`."""
    rows: dict[RowKey, Row]
    jobs: list[ScoreJob] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._about = {entry.clip_id: entry for entry in self.dataset.entries}

    def key(self, record: AnimationRecord, metric: str, traits: Iterable[Traits]) -> str:
        """Digest of all that the values of a metric on one clip are computed from."""
        return self._digest(record.clip_id, metric, traits, frames=record.digest)

    def truth_key(self, record: AnimationRecord, metric: str, traits: Iterable[Traits]) -> str:
        """Digest of all that the features of the ground truth are computed from."""
        return self._digest(record.clip_id, metric, traits)

    def landmarks_key(self, record: AnimationRecord) -> str:
        """Digest of all that the landmarks on the generated frames are computed from."""
        return self._digest(record.clip_id, "landmarks", (), frames=record.digest)

    def driving_key(self, clip_id: str, traits: Traits) -> str:
        """Digest of all that a column of a clip's driving is computed from."""
        return self._digest(clip_id, "motion", (traits,))

    def _digest(self, clip_id: str, what: str, traits: Iterable[Traits], **more: str) -> str:
        versions = {column.name: column.version for column in traits}
        return inputs(self.spec, clip_id, what, versions, **more)

    def row(self, clip_id: str, measured: Measured, *, note: str = "", inputs: str = "") -> Row:
        """A measured value as a row of this run."""
        about = self._about.get(clip_id)
        return Row(
            clip_id=clip_id,
            subject=about.subject if about else "",
            domain=about.domain if about else "",
            metric=measured.traits.name,
            value=measured.value,
            unit=measured.traits.unit,
            n=measured.n,
            total=measured.total,
            status=measured.status,
            reason=measured.reason,
            note=note,
            inputs=inputs,
            frames=measured.frames,
        )


def digest(content: object) -> str:
    """Short digest of anything that is JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def inputs(spec: RunSpec, clip_id: str, what: str, versions: Mapping[str, int], **more: str) -> str:
    """Digest of all that values of one clip are computed from: `Row.inputs`.

    Args:
        spec: of the run.
        clip_id: the clip.
        what: registered name of the metric, or what else is computed.
        versions: the metric's columns, each with its version.
        more: `frames`, the digest of the generated frames, where they are looked at.
    """
    protocol = spec.protocol.model_dump(mode="json")
    return digest([clip_id, what, dict(versions), spec.dataset_digest, spec.split, protocol, more])


def set_inputs(members: Mapping[str, str]) -> str:
    """The same of a whole set, from its clips, in the order of the dataset, and the digests of their inputs."""
    return digest(list(members.items()))


def plan(folder: RunFolder, spec: RunSpec, dataset: Dataset) -> ScoringPlan:
    """Find out what has to be scored; rows that need no frames (costs, failed clips) are written at once."""
    usable = registry.usable(registry.METRICS)
    factories = {name: usable[name] for name in spec.metrics if name in usable}
    kept = [column for column in spec.columns if column.kept]
    known = {column.name: column.traits for column in spec.columns}
    rows = {
        key: row.judged(known[row.metric]) if row.metric in known else row
        for key, row in folder.rows().items()
    }
    left = ScoringPlan(spec, dataset, factories, rows)
    records = {clip_id: folder.animation(clip_id) for clip_id in spec.clips}
    costs = cost.columns(record for record in records.values() if record)
    _tell_driving(folder, left)
    for clip_id, record in records.items():
        if record is None or record.status == "failed":
            reason = record.reason if record else "not animated yet"
            failed = [Measured(traits, "failed", reason=reason) for traits in [*known.values(), *costs]]
            _append(folder, left, [left.row(clip_id, measured) for measured in failed])
            continue
        _give_up(folder, left, record, kept)
        _append(
            folder,
            left,
            [
                left.row(clip_id, measured, note=note, inputs=record.digest[:16])
                for measured, note in cost.measured(record, costs)
            ],
        )
        if job := _job(folder, left, record):
            left.jobs.append(job)
    return left


def _tell_driving(folder: RunFolder, left: ScoringPlan) -> None:
    """What each clip's driving does, which its animation does not change."""
    clips = Clips(left.dataset, left.spec.protocol.frames)
    for clip_id in left.spec.clips:
        keys = {traits.name: left.driving_key(clip_id, traits) for traits in DRIVING}
        rows = [left.rows.get((clip_id, name)) for name in keys]
        if any(r is None or r.inputs != keys[r.metric] or r.status not in FINISHED for r in rows):
            measured = driven(clips, clip_id, left.spec.protocol)
            _append(folder, left, [left.row(clip_id, m, inputs=keys[m.traits.name]) for m in measured])


def _give_up(
    folder: RunFolder, left: ScoringPlan, record: AnimationRecord, kept: Iterable[ColumnSpec]
) -> None:
    """Columns whose metric is absent: no value for a clip that they never saw, or not as it is animated now."""
    latest = left.rows.get((record.clip_id, LATENCY.name))
    anew = latest is None or latest.inputs != record.digest[:16]
    for column in kept:
        lost = Measured(column.traits, "unavailable", reason=ABSENT)
        if anew or (record.clip_id, column.name) not in left.rows:
            _append(folder, left, [left.row(record.clip_id, lost)])
            if column.kind == "set":
                _append(folder, left, [left.row(SET, lost)])


def _append(folder: RunFolder, left: ScoringPlan, rows: list[Row]) -> None:
    """Append the rows that say something new."""
    new = [row for row in rows if left.rows.get((row.clip_id, row.metric)) != row]
    folder.append(new)
    left.rows |= {(row.clip_id, row.metric): row for row in new}


def _job(folder: RunFolder, left: ScoringPlan, record: AnimationRecord) -> ScoreJob | None:
    features = folder.features(record.clip_id)
    missing = [
        name
        for name, factory in left.factories.items()
        if not _finished(left, record, name, factory, features)
    ]
    if not missing:
        return None
    kept: Arrays = {}
    if "landmarks" in features and str(features.get("landmarks.inputs")) == left.landmarks_key(record):
        kept["landmarks"] = features["landmarks"]
    for name in missing:
        key = left.truth_key(record, name, left.factories[name].traits)
        if f"{name}.truth" in features and str(features.get(f"{name}.truth.inputs")) == key:
            kept[f"{name}.truth"] = features[f"{name}.truth"]
    return ScoreJob(record, folder.frames_file(record.clip_id), tuple(missing), kept)


def _finished(left: ScoringPlan, record: AnimationRecord, name: str, factory: Any, features: Arrays) -> bool:
    key = left.key(record, name, factory.traits)
    for traits in factory.traits:
        row = left.rows.get((record.clip_id, traits.name))
        if row is None or row.inputs != key or row.status not in FINISHED:
            return False
        if factory.kind == "set" and row.status == "ok":
            there = {f"{name}.generated", f"{name}.truth"} <= set(features)
            if not there or str(features.get(f"{name}.inputs")) != key:
                return False
    return True


def needed(left: ScoringPlan) -> tuple[str, ...]:
    """Metrics that a scoring worker has to load: those with missing rows, and sets whose value is stale."""
    names = {name for job in left.jobs for name in job.metrics}
    names |= {
        name for name, factory in left.factories.items() if factory.kind == "set" and _stale(left, name)
    }
    return tuple(name for name in left.factories if name in names)


def score_clips(folder: RunFolder, left: ScoringPlan, workers: Workers, progress: ClipProgress) -> None:
    """Score every clip that lacks rows. Raises `UserError` when the folder cannot be written."""
    unavailable = workers.info["unavailable"]
    jobs = []
    for job in left.jobs:
        if _still_dashes(left, job, unavailable):
            dashes = [
                Measured(traits, "unavailable", reason=unavailable[name])
                for name in job.metrics
                for traits in left.factories[name].traits
                if left.rows[job.record.clip_id, traits.name].status == "unavailable"
            ]
            _append(folder, left, _rows(left, job, dashes))
            progress.done(job.record.clip_id)
        else:
            jobs.append(job)
    tasks = [
        Task(
            job.record.clip_id, job, folder.scratch / f"score-{job.record.clip_id}.txt",
            reads=(job.frames_file, *left.dataset.sources(job.record.clip_id)),
        )
        for job in jobs
    ]  # fmt: skip
    for outcome in workers.map(tasks, lambda task, done: progress.partly(task.key, done)):
        job = outcome.task.payload
        if outcome.result is None:
            columns = [traits for name in job.metrics for traits in left.factories[name].traits]
            values = [Measured(traits, "failed", reason=outcome.failure) for traits in columns]
        else:
            values = outcome.result.values
            _keep_features(folder, left, job, outcome.result.arrays)
        _append(folder, left, _rows(left, job, values))
        failures = [measured.reason for measured in values if measured.status == "failed"]
        if failures:
            folder.keep_log(outcome.task.log, f"score-{job.record.clip_id}")
        progress.done(job.record.clip_id, failures[0] if failures else "")


def _still_dashes(left: ScoringPlan, job: ScoreJob, unavailable: Mapping[str, str]) -> bool:
    """Was it found earlier that only weights are missing, and are they missing still? Then no frame is read."""
    if not set(job.metrics) <= set(unavailable):
        return False
    for name in job.metrics:
        key = left.key(job.record, name, left.factories[name].traits)
        for traits in left.factories[name].traits:
            row = left.rows.get((job.record.clip_id, traits.name))
            if row is None or row.inputs != key or row.status not in ("unavailable", "undefined"):
                return False
    return True


def _rows(left: ScoringPlan, job: ScoreJob, values: list[Measured]) -> list[Row]:
    inputs = {
        traits.name: left.key(job.record, name, left.factories[name].traits)
        for name in job.metrics
        for traits in left.factories[name].traits
    }
    note = job.record.note
    return [
        left.row(job.record.clip_id, measured, note=note, inputs=inputs[measured.traits.name])
        for measured in values
    ]


def _keep_features(folder: RunFolder, left: ScoringPlan, job: ScoreJob, arrays: Mapping[str, Any]) -> None:
    """Merge new arrays into the clip's file, each with the digest of what it was computed from."""
    if not arrays:
        return
    merged = folder.features(job.record.clip_id) | dict(arrays)
    if "landmarks" in arrays:
        merged["landmarks.inputs"] = np.array(left.landmarks_key(job.record))
    for name in job.metrics:
        if f"{name}.generated" in arrays:
            traits = left.factories[name].traits
            merged[f"{name}.inputs"] = np.array(left.key(job.record, name, traits))
            merged[f"{name}.truth.inputs"] = np.array(left.truth_key(job.record, name, traits))
    folder.write_features(job.record.clip_id, merged)


def score_sets(folder: RunFolder, left: ScoringPlan, workers: Workers) -> None:
    """Compute the metrics of the whole set from the features of its clips."""
    names = [name for name, factory in left.factories.items() if factory.kind == "set" and _stale(left, name)]
    tasks = []
    for name in names:
        features = [folder.features(clip_id) for clip_id in _members(left, name)]
        generated = [arrays[f"{name}.generated"] for arrays in features]
        truth = [arrays[f"{name}.truth"] for arrays in features]
        tasks.append(Task(name, AggregateJob(name, generated, truth), folder.scratch / f"set-{name}.txt"))
    for outcome in workers.map(tasks, lambda task, done: None):
        name = outcome.task.key
        if outcome.result is None:
            values = [Measured(t, "failed", reason=outcome.failure) for t in left.factories[name].traits]
        else:
            values = outcome.result.values
        if any(measured.status == "failed" for measured in values):
            folder.keep_log(outcome.task.log, f"set-{name}")
        key = _set_key(left, name)
        _append(folder, left, [left.row(SET, measured, inputs=key) for measured in values])


def _members(left: ScoringPlan, name: str) -> dict[str, str]:
    """Clips whose features are there, in the order of the dataset, with the digests of their inputs."""
    members = {}
    for clip_id in left.spec.clips:
        for traits in left.factories[name].traits:
            row = left.rows.get((clip_id, traits.name))
            if row is not None and row.status == "ok":
                members[clip_id] = row.inputs
    return members


def _set_key(left: ScoringPlan, name: str) -> str:
    return set_inputs(_members(left, name))


def _stale(left: ScoringPlan, name: str) -> bool:
    """Does the value of the set still have to be computed from the features that are there?"""
    if not _members(left, name):
        return False
    key = _set_key(left, name)
    rows = [left.rows.get((SET, traits.name)) for traits in left.factories[name].traits]
    return any(row is None or row.inputs != key or row.status not in FINISHED for row in rows)


def setup(left: ScoringPlan, clips: Clips, open_detector: Any) -> ScoreSetup:
    """What scoring workers are built from."""
    spec = left.spec
    by_sound = spec.about.get("motion") == "audio"
    return ScoreSetup(clips, open_detector, needed(left), spec.protocol, spec.split, by_sound)


def checked_metrics(wanted: Iterable[str] | None) -> tuple[str, ...]:
    """Registered names for what a user asked for: metrics, or columns of theirs; None means all that can be had.

    Raises:
        UserError: no such metric or column, or it cannot be imported.
        UnavailableError: a package that a metric needs is not installed.
    """
    if wanted is None:
        return tuple(registry.usable(registry.METRICS))
    names = registry.names(registry.METRICS)
    chosen = set()
    columns: dict[str, str] = {}
    for given in wanted:
        if given not in names and not columns:
            usable = registry.usable(registry.METRICS)
            columns = {traits.name: name for name, factory in usable.items() for traits in factory.traits}
        if given not in names and given not in columns:
            raise UserError(registry.unregistered(registry.METRICS, given, {*names, *columns}))
        name = given if given in names else columns[given]
        factory = registry.load(registry.METRICS, name)
        landmarks = any("generated_landmarks" in traits.needs for traits in factory.traits)
        packages = (*getattr(factory, "packages", ()), *(("mediapipe",) if landmarks else ()))
        extras.require(*packages, what=f"metric {name!r}")
        chosen.add(name)
    return tuple(name for name in names if name in chosen)
