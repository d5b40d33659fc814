"""What figures are drawn from: the runs of one split of one track, and their values frame by frame."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.errors import UserError
from emojibench.protocol.statistics import Interval, clustered_bootstrap
from emojibench.reports.blocks import ARROWS, Column
from emojibench.reports.columns import other_columns, paper_columns
from emojibench.reports.load import FinishedRun
from emojibench.reports.rows import rows_of
from emojibench.reports.subsets import ClipRows, clip_rows
from emojibench.reports.tables import Track
from emojibench.runs.columns import DRIVING, TURN

PANELS = 4
_BESIDE = ("nme", "jitter", "acceleration_error")
"""Columns that are shown where the paper's leave room."""
_OF_DRIVING = {traits.name for traits in DRIVING}
_RESAMPLES = 400
_UNITS = ("of 100", "eye distances", "dB")
"""Units that a reader may not guess."""


class NothingToDrawError(UserError):
    """A figure has no data: the message says what is missing."""


@dataclass(frozen=True)
class View:
    """One split of one track."""

    track: Track
    split: str

    @cached_property
    def runs(self) -> dict[str, FinishedRun]:
        """Label to run, in the order of the leaderboard."""
        return {e.label: e.runs[self.split] for e in self.track.entries if self.split in e.runs}

    @cached_property
    def rows(self) -> dict[Path, ClipRows]:
        """The rows of each run, by its path."""
        return {run.path: clip_rows(run) for run in self.runs.values()}

    @property
    def setting(self) -> str:
        """Dataset and split, for notes."""
        return f"{self.track.runs[0].spec.dataset}, {self.split} reenactment"

    def columns(self, most: int = PANELS) -> list[Column]:
        """Columns of clips with a direction that some run has values for, so many at most: the paper's first.

        Raises:
            NothingToDrawError: there is none.
        """
        runs = list(self.runs.values())
        halves = [self.split, *({"self", "cross"} - {self.split})]
        found = [column for half in halves for column in paper_columns(half, runs)]
        found += [column for column in other_columns(self.split, runs) if column.name in _BESIDE]
        known = [c for c in found if c.better != "none" and any(run.values.get(c.name) for run in runs)]
        if not known:
            raise NothingToDrawError("no column of clips has values")
        return list({column.name: column for column in known}.values())[:most]

    def common(self, column: str) -> list[str]:
        """Clips on which every run that has the column has a value."""
        known = [set(run.values[column]) for run in self.runs.values() if run.values.get(column)]
        return sorted(set.intersection(*known)) if known else []

    @cached_property
    def _frames(self) -> dict[str, dict[str, dict[str, NDArray[np.float64]]]]:
        """Label to column to clip to values of frames."""
        found: dict[str, dict[str, dict[str, NDArray[np.float64]]]] = {}
        lengths: dict[str, int] = {}
        for label, run in self.runs.items():
            file = run.path / "rows.parquet"
            wanted, of_run = set(run.spec.clips), found.setdefault(label, {})
            for row in rows_of(file, frames=True):
                if (
                    row["clip_id"] in wanted
                    and row["status"] == "ok"
                    and row.get("frames")
                    and row["metric"] in run.values  # else it is of an older version of the metric
                ):
                    values = np.array([np.nan if v is None else v for v in row["frames"]], np.float64)
                    _check(file, row, values, lengths.setdefault(row["clip_id"], len(values)))
                    of_run.setdefault(row["metric"], {})[row["clip_id"]] = values
        return found

    def frames(self, column: str) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Label to clip to the values of its scored frames; of clips that all runs with such values have."""
        known = {label: of[column] for label, of in self._frames.items() if column in of}
        common = set.intersection(*map(set, known.values())) if known else set()
        return {label: {c: of[c] for c in sorted(common)} for label, of in known.items()} if common else {}

    def framed_columns(self) -> list[Column]:
        """As `columns`, of those that some run has frame by frame.

        Raises:
            NothingToDrawError: there is none; names the runs.
        """
        found = [column for column in self.columns() if self.frames(column.name)]
        if not found:
            names = ", ".join(str(run.path) for run in self.runs.values())
            raise NothingToDrawError(
                f"{names}: no values frame by frame, since an earlier version scored them; animate again with "
                "`emojibench run --overwrite`"
            )
        return found

    def without_frames(self, columns: Sequence[Column]) -> list[str]:
        """Labels of runs that have none of these columns frame by frame."""
        return [label for label in self.runs if not any(label in self.frames(c.name) for c in columns)]

    def turns(self) -> dict[str, NDArray[np.float64]]:
        """Clip id to the head turn of its scored frames, degrees; the same for every run."""
        found: dict[str, NDArray[np.float64]] = {}
        for of in self._frames.values():
            found |= of.get(TURN.name, {})
        if not found:
            raise NothingToDrawError("no rows say how far the driving turns (`driving_turn`)")
        return found

    def interval(self, column: Column, values: NDArray[np.float64], subjects: Sequence[str]) -> Interval:
        """Mean and 95 % interval, clustered by portrait, within the range that the column's values have."""
        found = clustered_bootstrap(values, subjects, resamples=_RESAMPLES)
        floor, ceiling = -math.inf, math.inf
        for run in self.runs.values():
            for about in run.spec.columns:
                if about.name == column.name:
                    floor, ceiling = about.traits.valid_range
        return (
            replace(found, low=max(found.low, floor), high=min(found.high, ceiling))
            if found.defined
            else found
        )

    def subjects(self) -> dict[str, str]:
        """Clip id to who is on the portrait."""
        return {clip: who for rows in self.rows.values() for clip, who in rows.subjects.items()}


def _check(file: Path, row: Mapping[str, Any], values: NDArray[np.float64], length: int) -> None:
    """Raise UserError where a row's frames cannot be those that its value is of: somebody changed the file."""
    known = values[np.isfinite(values)]
    where = f"{file}: clip {row['clip_id']}, {row['metric']}"
    if len(values) != length:
        raise UserError(
            f"{where}: values of {len(values)} frames, other rows of this clip have {length}; score the run again"
        )
    if row["metric"] in _OF_DRIVING or not len(known):  # not a mean over the scored frames
        return
    mean = float(known.mean())
    if row["value"] is None or not math.isclose(mean, row["value"], rel_tol=1e-3, abs_tol=1e-6):
        raise UserError(
            f"{where}: a mean of {mean:.6g} over the frames, but a value of {row['value']}; score the run again"
        )


def axis(column: Column) -> str:
    """Title of an axis: name, unit and which way is better."""
    unit = f" ({column.unit})" if column.unit in _UNITS else ""
    return f"{name_of(column)}{ARROWS[column.better]}{unit}"


def name_of(column: Column) -> str:
    """The paper's title of a column, or our name in words."""
    return column.title if column.title != column.name else column.name.replace("_", " ")


def counted(number: int, noun: str) -> str:
    """`1 clip`, `4 clips`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
