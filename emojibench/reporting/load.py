"""Finished run folders, as tables and gates read them."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from emojibench.errors import UserError
from emojibench.runs.cost import WARM_UP
from emojibench.runs.folder import RunFolder
from emojibench.runs.spec import RunSpec


@dataclass(frozen=True)
class Value:
    """One clip's value of one column."""

    value: float
    subject: str


@dataclass(frozen=True)
class Summary:
    """One column of one run: what summary.json says."""

    mean: float | None
    low: float | None
    high: float | None
    n_clips: int
    expected: int
    status: str
    """ok, or why there is no mean: undefined, unavailable, failed."""
    reason: str = ""
    """Why the mean or the values of some clips are missing."""
    kind: str = "clip"
    """clip: mean of clips. set: one value of all clips together, such as FVD."""
    unit: str = ""
    better: str = "none"
    """higher, lower or none."""
    decimals: int = 3
    """Digits printed."""
    lost: float | None = None
    """Share of the frames in which no face was found, so that `mean` rests on the others; never complete where it is
    above 0. None in summaries of older versions, which do not say it."""
    version: int | None = None
    """Of the metric; None in summaries that do not say it. The protocol has those of the benchmark's own metrics."""


@dataclass(frozen=True)
class FinishedRun:
    """One run folder with all its clips accounted for."""

    path: Path
    spec: RunSpec
    provenance: dict[str, Any]
    summaries: dict[str, Summary]
    values: dict[str, dict[str, Value]] = field(repr=False)
    """Column name to clip id to value; only rows that have one. Columns of a set are absent."""
    failed: dict[str, str] = field(default_factory=dict)
    """Clip id to reason, for clips that the method could not animate."""
    warm_ups: dict[str, frozenset[str]] = field(default_factory=dict)
    """Column name to the clips whose values were left out because a worker was warming up."""

    @cached_property
    def track(self) -> str:
        """Name that comparable runs share: dataset, its digest and the protocol id."""
        return f"{self.spec.dataset}-{self.spec.dataset_digest[:6]}-{self.spec.protocol.id}"

    @property
    def animated(self) -> dict[str, Any]:
        """The newest start of the command that animated clips, else the newest: its device is that of the latencies."""
        starts = [self.provenance, *reversed(self.provenance.get("earlier", []))]
        return next((start for start in starts if start.get("stage") == "animate"), self.provenance)


def load_run(path: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        UserError: not a run folder, not finished, or damaged.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such run folder; `emojibench run` makes one")
    spec = RunFolder(path).spec()
    provenance, summary = (_json(path / name) for name in ("provenance.json", "summary.json"))
    try:
        summaries = {name: _summary(entry) for name, entry in sorted(summary["metrics"].items())}
        failed = dict(summary["clips"]["failed"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path / 'summary.json'}: not a summary of this version ({error!r}); score the run again"
        ) from error
    values, warm_ups = _values(path / "rows.parquet")
    return FinishedRun(path, spec, provenance, summaries, values, failed, warm_ups)


def find_runs(root: Path) -> tuple[list[FinishedRun], list[Path]]:
    """Finished runs below a folder, sorted by path, and the folders of runs that are not finished."""
    finished, unfinished = [], []
    for file in sorted(root.rglob("spec.json")):
        if (file.parent / "summary.json").exists():
            finished.append(load_run(file.parent))
        else:
            unfinished.append(file.parent)
    return finished, unfinished


def by_track(runs: Iterable[FinishedRun]) -> dict[str, list[FinishedRun]]:
    """Runs that may share a page, by track name. Another digest or protocol is another track."""
    tracks: dict[str, list[FinishedRun]] = {}
    for run in runs:
        tracks.setdefault(run.track, []).append(run)
    return dict(sorted(tracks.items()))


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{file.parent} is not finished: it has no {file.name}; start its command again to finish it"
        ) from None
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}); score the run again") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected an object, got {type(content).__name__}; score the run again")
    return content


def _values(file: Path) -> tuple[dict[str, dict[str, Value]], dict[str, frozenset[str]]]:
    import pyarrow.parquet as parquet

    if not file.exists():
        raise UserError(f"{file.parent} is not finished: it has no {file.name}; score the run again")
    measured: dict[str, dict[str, Value]] = {}
    warm_ups: dict[str, dict[str, Value]] = {}
    try:
        rows = parquet.read_table(file).to_pylist()
    except (ValueError, OSError) as error:
        raise UserError(f"{file} is damaged ({error}); score the run again") from error
    for row in rows:
        if row["status"] == "ok" and row["value"] is not None and math.isfinite(row["value"]):
            kept = warm_ups if row["note"] == WARM_UP else measured
            kept.setdefault(row["metric"], {})[row["clip_id"]] = Value(row["value"], row["subject"])
    left_out = {name: frozenset(clips) for name, clips in warm_ups.items() if name in measured}
    return warm_ups | measured, left_out  # as in summaries, a warm-up counts only where there is nothing else


def _summary(entry: dict[str, Any]) -> Summary:
    later = ("lost", "version")  # missing in summaries of older versions
    needed = {field.name: entry[field.name] for field in fields(Summary) if field.name not in later}
    return Summary(**needed, lost=entry.get("lost"), version=entry.get("version"))
