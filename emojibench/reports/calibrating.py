"""Tolerances of the gate from repeated unchanged runs (A/A): what chance does to each column's mean.

Runs of one method on the same clips differ by seed, or by what a machine does. From the means of n of them comes the
difference that two unchanged runs exceed with a stated chance (`statistics.unchanged_tolerance`); the chance of any
false alarm is shared among the columns that vary (Sidak). Columns that do not vary keep the gate's own tolerances: they
do not show what chance can do. Held against an earlier calibration, a larger spread (F test) is told from a mean
that moved (Welch's t test), each corrected by Holm's method for the number of columns.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any, Literal

import yaml
from emojibench_metrics.cost import is_cost
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emojibench.errors import UserError
from emojibench.files import reading
from emojibench.files.writing import write_text
from emojibench.protocol import statistics
from emojibench.reports.blocks import Block, Cell, Column, Footnotes, Heading, Table, missing, number
from emojibench.reports.load import FinishedRun, load_run
from emojibench.reports.ranking import LEVEL
from emojibench.reports.verdicts import Tolerance
from emojibench.runs.scoring import digest
from emojibench.runs.spec import ANIMATION_PROTOCOL
from emojibench.runs.summary import Name

FALSE_ALARMS = 0.05
LEAST = 3
"""Runs from which a spread is worth anything."""
METHOD = (
    "Means of n unchanged runs; tolerance = t(n - 1) * sqrt(2) * their standard deviation (spread), at the level at "
    "which an unchanged run exceeds one in any column with the chance `false_alarms`, shared among `varying` columns "
    "(Sidak)."
)
_HEADER = "# Written by `emojibench gate calibrate`; `emojibench gate --tolerances FILE` reads it.\n"
_COST = "costs belong to a machine, so they are not held against an earlier calibration"
_STILL = (
    "does not vary in these runs, which does not show what chance can do: the gate's own tolerance counts"
)
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Subject(_Part):
    """What was run again and again."""

    method: str
    revision: str
    dataset: str
    dataset_digest: str
    split: str
    protocol: str
    clips: int
    clips_digest: str
    seeds: tuple[int, ...]


class Calibrated(_Part):
    """One column."""

    tolerance: Annotated[_Number, Field(gt=0)] | None
    """None where it does not vary."""
    mean: _Number
    """Of the means of the runs."""
    spread: Annotated[_Number, Field(ge=0)]
    """Their standard deviation."""
    runs: Annotated[int, Field(ge=2)]


class Calibration(_Part):
    """The whole file."""

    schema_version: Literal[1] = 1
    method: str = METHOD
    false_alarms: Annotated[float, Field(gt=0, lt=1)]
    varying: int
    """Columns among which the chance of a false alarm is shared."""
    of: Subject
    columns: dict[Name, Calibrated]


@dataclass(frozen=True)
class Change:
    """A column beside its earlier calibration."""

    before: Calibrated
    spread_p: float
    mean_p: float
    """Corrected by Holm's method for the number of columns."""

    @property
    def verdict(self) -> str:
        """In words."""
        found = ["spread grew"] * (self.spread_p < LEVEL) + ["the reference moved"] * (self.mean_p < LEVEL)
        return " and ".join(found) or "same"


@dataclass(frozen=True)
class CalibrationResult:
    """What `emojibench gate calibrate` prints."""

    calibration: Calibration
    runs: tuple[Path, ...]
    gaps: dict[str, str]
    """Column to why it has no tolerance."""
    decimals: dict[str, int]
    beyond: int
    """Pairs of the runs that differ by more than a tolerance in some judged column."""
    changes: dict[str, Change]

    @property
    def exit_code(self) -> int:
        """1 if a spread grew or the reference moved, else 0."""
        return 1 if any(change.verdict != "same" for change in self.changes.values()) else 0

    def blocks(self) -> list[Block]:
        """A table of all columns."""
        found, n = self.calibration, len(self.runs)
        titles = {"Runs": "n", "Mean": "mean", "Spread": "spread", "Tolerance": "tolerance"}
        header = [Column("Column"), *(Column(title, name) for title, name in titles.items())]
        if self.changes:
            header += [Column("Mean before", "mean_before"), Column("Spread before", "spread_before")]
            header += [Column("p (spread)", "p_spread"), Column("p (mean)", "p_mean"), Column("Verdict")]
        rows = [(Cell(name, "code"), *self._cells(name, about)) for name, about in found.columns.items()]
        rows += [(Cell(name, "code"), *(missing(why) for _ in header[1:])) for name, why in self.gaps.items()]
        pairs = n * (n - 1) // 2
        return [
            Heading(f"A/A: {n} unchanged runs of {found.of.method}", 1),
            f"{found.of.split.capitalize()} reenactment on `{found.of.dataset}`, {found.of.clips} clips, protocol "
            f"`{found.of.protocol}`, seeds {', '.join(map(str, found.of.seeds))}.",
            Table(tuple(header), tuple(rows)),
            f"{found.method} Here n = {n}, `false_alarms` = {found.false_alarms:g}, `varying` = {found.varying}. Of "
            f"the {pairs} pairs of these runs, {self.beyond} differ by more than a tolerance in some column that the "
            "gate judges.",
            *([_CHANGES] if self.changes else []),
            Footnotes(),
        ]

    def _cells(self, name: str, about: Calibrated) -> list[Cell]:
        form = f".{self.decimals[name] + 2}f"
        cells = [Cell(str(about.runs), value=about.runs)]
        cells += [number(value, form=form) for value in (about.mean, about.spread)]
        cells += [missing(_STILL) if about.tolerance is None else number(about.tolerance, form=form)]
        if not self.changes:
            return cells
        if (change := self.changes.get(name)) is None:
            return cells + [missing(_COST if is_cost(name) else "not in the earlier calibration")] * 5
        cells += [number(value, form=form) for value in (change.before.mean, change.before.spread)]
        cells += [number(p, form=".3f") for p in (change.spread_p, change.mean_p)]
        return [*cells, Cell(change.verdict, "" if change.verdict == "same" else "strong")]

    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        changes = {
            name: {
                "verdict": c.verdict,
                "p_spread": c.spread_p,
                "p_mean": c.mean_p,
                "before": c.before.model_dump(),
            }
            for name, c in self.changes.items()
        }
        own = {
            "runs": list(map(str, self.runs)),
            "gaps": self.gaps,
            "beyond": self.beyond,
            "changes": changes,
        }
        return self.calibration.model_dump(mode="json") | own


_CHANGES = (
    "p (spread): F test, one-sided, that the spread has not grown. p (mean): Welch's t test that the mean has not "
    "moved, which holds whether or not the spread grew. Both are corrected for the number of columns (Holm)."
)


def calibrate(
    runs: Sequence[Path], *, false_alarms: float = FALSE_ALARMS, against: Path | None = None
) -> CalibrationResult:
    """Tolerances from unchanged runs.

    Args:
        runs: folders of three runs or more of one method on the same clips; seeds may differ.
        false_alarms: chance in (0, 1) that an unchanged run is beyond a tolerance in any column.
        against: file of an earlier calibration, to tell what has changed since.

    Raises:
        UserError: too few runs, runs that are not of one method and track, or a share or file that is none.
    """
    if not 0 < false_alarms < 1:
        raise UserError(f"--false-alarms: expected a share between 0 and 1, got {false_alarms:g}")
    if len({run.resolve() for run in runs}) != len(runs):
        raise UserError("expected different runs, got a folder twice; leave one out")
    if len(runs) < LEAST:
        raise UserError(f"expected {LEAST} unchanged runs or more, got {len(runs)}; five or more are better")
    loaded = [load_run(run) for run in runs]
    _check_unchanged(loaded)
    means, gaps = _means(loaded)
    decimals = {name: loaded[0].summaries[name].decimals for name in means}
    varies = {name for name, values in means.items() if max(values) - min(values) >= _visible(decimals[name])}
    varying = sum(not is_cost(name) for name in varies)
    share = 1 - (1 - false_alarms) ** (1 / max(varying, 1))
    columns = {
        name: Calibrated(
            tolerance=statistics.unchanged_tolerance(values, share) if name in varies else None,
            mean=fmean(values),
            spread=stdev(values),
            runs=len(values),
        )
        for name, values in means.items()
    }
    judged = [(means[n], c.tolerance) for n, c in columns.items() if c.tolerance and not is_cost(n)]
    beyond = sum(
        any(abs(values[i] - values[j]) > tolerance for values, tolerance in judged)
        for i, j in combinations(range(len(runs)), 2)
    )
    about = _subject(loaded)
    found = Calibration(false_alarms=false_alarms, varying=varying, of=about, columns=columns)
    changes = _changes(found, read_file(against), decimals) if against else {}
    return CalibrationResult(found, tuple(runs), gaps, decimals, beyond, changes)


def write_file(calibration: Calibration, file: Path) -> None:
    """Write the file that the gate reads. Raises `WriteError` where it cannot be written."""
    content = calibration.model_dump(mode="json")
    write_text(file, _HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))


def read_file(file: Path) -> Calibration:
    """Read such a file.

    Raises:
        UserError: there is none, or it is damaged.
    """
    advice = "make it with `emojibench gate calibrate`"
    content = reading.read_yaml(file, advice=advice)
    try:
        return Calibration.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise UserError(f"{file}: {field}: {first['msg']}; {advice}") from error


def read_calibration(
    file: Path, baseline: FinishedRun, clips: Collection[str]
) -> dict[str, tuple[Tolerance, str]]:
    """Column to its calibrated tolerance, and what is said of it.

    Raises:
        UserError: the file is damaged, or of another method, track or choice of clips than the baseline.
    """
    found = read_file(file)
    spec = baseline.spec
    for what, wanted, got in (
        ("method", spec.method, found.of.method),
        ("dataset digest", spec.dataset_digest, found.of.dataset_digest),
        ("split", spec.split, found.of.split),
        ("protocol", spec.protocol.id, found.of.protocol),
        ("clips", f"{len(clips)} ({_clips_digest(clips)})", f"{found.of.clips} ({found.of.clips_digest})"),
    ):
        if wanted != got:
            raise UserError(
                f"--tolerances {file}: expected a calibration of the baseline's {what}, {wanted}, got one of {got}; "
                "calibrate with runs of the baseline's kind"
            )
    return {
        name: (Tolerance(about.tolerance, relative=False), _said(about, baseline, name))
        for name, about in found.columns.items()
        if about.tolerance is not None
    }


def _visible(decimals: int) -> float:
    """The digit after the last printed: less is rounding."""
    return 10.0 ** -(decimals + 1)


def _said(about: Calibrated, baseline: FinishedRun, name: str) -> str:
    """How the column is judged, and whether the baseline can be one of the calibrated runs."""
    text = f"calibrated by {about.runs} unchanged runs: by tolerance alone"
    summary = baseline.summaries.get(name)
    if summary is None or summary.mean is None:
        return text
    assert about.tolerance is not None
    reach = about.tolerance * math.sqrt(
        (1 + 1 / about.runs) / 2
    )  # of one more run from the mean of the others
    if abs(summary.mean - about.mean) <= reach:
        return text
    form = f".{summary.decimals + 1}f"
    return (
        f"{text}; the reference moved since: the baseline's mean is {summary.mean:{form}}, that of the calibrated runs "
        f"{about.mean:{form}} (spread {about.spread:{form}}): calibrate again"
    )


def _check_unchanged(runs: Sequence[FinishedRun]) -> None:
    first = runs[0]
    for run in runs[1:]:
        differing = [line for line in first.spec.conflicts(run.spec) if not line.startswith("seed:")]
        protocol = first.spec.protocol.differences(run.spec.protocol)
        differing += [line for line in protocol if line.partition(":")[0] not in ANIMATION_PROTOCOL]
        if first.spec.clips != run.spec.clips and not any(line.startswith("clips:") for line in differing):
            differing.append(f"clips: {len(first.spec.clips)}, {len(run.spec.clips)}")
        if differing:
            lines = "".join(f"\n  {line}" for line in differing)
            raise UserError(
                f"{first.path} and {run.path}: expected unchanged runs, which differ in their seeds at most; these "
                f"differ in (first, second):{lines}"
            )


def _means(runs: Sequence[FinishedRun]) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Column to its mean in each run, and why others have none."""
    means: dict[str, list[float]] = {}
    gaps: dict[str, str] = {}
    for name, about in runs[0].summaries.items():
        if about.better == "none":
            continue
        columns = [run.summaries.get(name) for run in runs]
        values = [column.mean for column in columns if column and column.mean is not None]
        behind = {frozenset(run.values.get(name, {})) for run in runs}
        if len(values) < len(runs):
            gaps[name] = next((c.reason for c in columns if c and c.mean is None), "") or "not in every run"
        elif len({column.version for column in columns if column}) > 1:
            gaps[name] = "versions of the metric differ; score the older runs again"
        elif len(behind) > 1 and not is_cost(name):
            gaps[name] = "the runs have values of different clips"
        else:
            means[name] = values
    return means, gaps


def _subject(runs: Sequence[FinishedRun]) -> Subject:
    spec = runs[0].spec
    return Subject(
        method=spec.method, revision=spec.revision, dataset=spec.dataset, dataset_digest=spec.dataset_digest,
        split=spec.split, protocol=spec.protocol.id, clips=len(spec.clips), clips_digest=_clips_digest(spec.clips),
        seeds=tuple(run.spec.seed for run in runs),
    )  # fmt: skip


def _clips_digest(clips: Collection[str]) -> str:
    return digest(sorted(clips))


def _changes(now: Calibration, before: Calibration, decimals: Mapping[str, int]) -> dict[str, Change]:
    for field in ("method", "dataset_digest", "split", "protocol", "clips_digest"):
        if (ours := getattr(now.of, field)) != (theirs := getattr(before.of, field)):
            raise UserError(f"--against: expected a calibration of the same {field}, {ours}, got {theirs}")
    names = [name for name in now.columns if name in before.columns and not is_cost(name)]
    pairs = [(now.columns[name], before.columns[name]) for name in names]
    spread = [statistics.spread_p_value((a.spread, a.runs), (b.spread, b.runs)) for a, b in pairs]
    means = [
        1.0
        if abs(a.mean - b.mean) < _visible(decimals[name])
        else statistics.mean_p_value((a.mean, a.spread, a.runs), (b.mean, b.spread, b.runs))
        for name, (a, b) in zip(names, pairs, strict=True)
    ]
    corrected = zip(statistics.holm(spread), statistics.holm(means), strict=True)
    return {
        name: Change(then, grew, moved)
        for name, (_, then), (grew, moved) in zip(names, pairs, corrected, strict=True)
    }
