"""Finished run folders, as tables and gates read them.

Folders come from anywhere: what is in them is checked here, once, so that pages meet no text where a number
should be and nothing is printed with a billion digits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from emojibench_metrics.cost import TRAITS
from pydantic import BaseModel

from emojibench import registry
from emojibench.errors import UserError
from emojibench.files import reading
from emojibench.reports.receipts.receipt import NONE, Receipt
from emojibench.reports.receipts.receipt import read as read_receipt
from emojibench.reports.rows import Values, read_rows
from emojibench.runs.columns import DRIVING
from emojibench.runs.cost import MIXED
from emojibench.runs.folder import RunFolder
from emojibench.runs.provenance import Provenance, Start
from emojibench.runs.spec import RunSpec
from emojibench.runs.summary import ColumnSummary, Summary

_ADVICE = "score the run again"
_DETECTION = {
    "id_sim": "id_sim_detection",
    "id_sim_mobilefacenet": "id_sim_mobilefacenet_detection",
    **dict.fromkeys(("nme", "akd_px", "jitter", "acceleration_error"), "landmark_detection"),
}
"""Means over frames with a face, and the column that says how many frames have one: summaries of older versions do
not say themselves what was lost."""

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: every clip has a value or a reason."""

    path: Path
    spec: RunSpec
    provenance: Provenance
    summary: Summary
    values: Values = field(repr=False)
    """Column name to clip id to value; only rows that have one. Columns of a set are absent."""
    warm_ups: dict[str, frozenset[str]] = field(default_factory=dict)
    """Column name to the clips whose values were left out because a worker was warming up."""
    receipt: Receipt | None = None
    """Of a row of a leaderboard; run folders have none, nor have rows made before 0.3."""
    state: tuple[int, int, int] | None = field(default=None, repr=False, compare=False)
    """`state_of` the folder before it was read: it is another one once the run is written again."""

    @property
    def summaries(self) -> dict[str, ColumnSummary]:
        """Column name to its summary."""
        return self.summary.metrics

    @property
    def failed(self) -> dict[str, str]:
        """Clip id to reason, for clips that the method could not animate."""
        return self.summary.clips.failed

    @cached_property
    def track(self) -> str:
        """Name that comparable runs share: dataset, its digest and the protocol id."""
        return f"{self.spec.dataset}-{self.spec.dataset_digest[:6]}-{self.spec.protocol.id}"

    @property
    def receipt_said(self) -> str:
        """What pages say of a row's receipt; nothing of runs that are no rows."""
        if self.receipt:
            return f"receipt, revision {self.receipt.revision} of the row"
        return NONE if self.path.parent.parent.name == "accepted" else ""

    def lost(self, column: str, clips: Iterable[str]) -> float | None:
        """Share of frames that a column's values of some clips are not of; None where the rows do not say."""
        values = {clip: self.values[column][clip] for clip in clips}
        if totals := [value.total for value in values.values() if value.total]:
            return max(0.0, 1 - sum(value.n for value in values.values() if value.total) / sum(totals))
        detection = self.values.get(_DETECTION.get(column, ""), {})
        shares = [detection[clip].value for clip in values if clip in detection]
        return max(0.0, 1 - fmean(shares)) if shares else None

    @property
    def animated(self) -> Start:
        """The start of the command that animated clips: its device is that of the latencies."""
        return self.provenance.animated

    def cost_gap(self, other: "FinishedRun") -> str:
        """Why seconds and bytes of this run cannot be compared with another's, or its own clips with one another.

        Empty where they can.
        """
        for run in (self, other):
            if any(summary.note.startswith(MIXED) for summary in run.summaries.values()):
                return f"clips of {run.spec.name} were {MIXED}"
        if self.animated.device != other.animated.device:
            return "made on different machines"
        jobs = [run.animated.platform.jobs for run in (self, other)]
        return "" if jobs[0] == jobs[1] else f"made by {jobs[0]} and by {jobs[1]} workers at a time"


def load_run(path: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        UserError: not a run folder, not finished, or damaged: the message names the file.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such run folder; `emojibench run` makes one")
    state = state_of(path)
    spec = RunFolder(path).spec()
    provenance = _read(path / "provenance.json", Provenance)
    summary = _complete(_read(path / "summary.json", Summary), spec.protocol.metrics)
    values, warm_ups = read_rows(path / "rows.parquet")
    _refuse_impossible(path, summary.metrics, values)
    return FinishedRun(path, spec, provenance, summary, values, warm_ups, read_receipt(path), state)


def find_runs(root: Path) -> tuple[list[FinishedRun], list[Path]]:
    """Finished runs below a folder, sorted by path, and the folders of runs that are not finished.

    A run that is written while it is read is one of the latter.
    """
    finished, unfinished = [], []
    for file in sorted(root.rglob("spec.json")):
        if any(part.startswith(".") for part in file.relative_to(root).parts):  # somebody's work in progress
            continue
        run = _load_steady(file.parent)
        if run is None:
            unfinished.append(file.parent)
        else:
            finished.append(run)
    return finished, unfinished


def state_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one result of a run from another: it is removed before, and written after, all that it says."""
    try:
        about = (path / "summary.json").stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


def _load_steady(path: Path) -> FinishedRun | None:
    """The run, or None where it is not finished, or is being written."""
    if (before := state_of(path)) is None:
        return None
    try:
        run = load_run(path)
    except UserError:
        if state_of(path) == before:
            raise
        return None
    return run if state_of(path) == before else None


def by_track(runs: Iterable[FinishedRun]) -> dict[str, list[FinishedRun]]:
    """Runs that may share a page, by track name. Another digest or protocol is another track."""
    tracks: dict[str, list[FinishedRun]] = {}
    for run in runs:
        tracks.setdefault(run.track, []).append(run)
    return dict(sorted(tracks.items()))


def _read(file: Path, model: type[_Model]) -> _Model:
    try:
        return reading.read_model(model, file, advice=_ADVICE)
    except reading.MissingFileError:
        raise UserError(
            f"{file.parent} is not finished: it has no {file.name}; start its command again to finish it"
        ) from None


def _complete(summary: Summary, versions: Mapping[str, int]) -> Summary:
    """The summary, columns sorted, with what older versions wrote elsewhere: versions of columns, and what was lost."""
    columns = {}
    for name, column in sorted(summary.metrics.items()):
        detection = summary.metrics.get(_DETECTION.get(name, ""))
        lost = column.lost
        if lost is None and detection is not None and detection.mean is not None:
            lost = min(max(1 - detection.mean, 0.0), 1.0)
        version = versions.get(name) if column.version is None else column.version
        columns[name] = column.model_copy(update={"lost": lost, "version": version})
    return summary.model_copy(update={"metrics": columns})


def _refuse_impossible(path: Path, summaries: Mapping[str, ColumnSummary], values: Values) -> None:
    """Raise UserError for a mean of no rows, or a value that a column of this version cannot have.

    Unknown columns may have any value.
    """
    for name, summary in summaries.items():
        if summary.kind == "clip" and summary.mean is not None and name not in values:
            raise UserError(
                f"{path / 'rows.parquet'}: has no values of {name}, but summary.json a mean; {_ADVICE}"
            )
    known = {t.name: t for factory in registry.usable(registry.METRICS).values() for t in factory.traits}
    known |= {traits.name: traits for traits in (*TRAITS, *DRIVING)}
    for name, summary in summaries.items():
        if (traits := known.get(name)) is None or summary.version not in (None, traits.version):
            continue
        if summary.mean is not None and (refusal := traits.refusal(summary.mean)):
            raise UserError(f"{path / 'summary.json'}: {name}: {refusal}; {_ADVICE}")
        for clip, value in values.get(name, {}).items():
            if refusal := traits.refusal(value.value):
                raise UserError(f"{path / 'rows.parquet'}: {name} of clip {clip}: {refusal}; {_ADVICE}")
