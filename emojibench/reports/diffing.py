"""What differs between two runs: where they come from, what they are, and their numbers. Runs of any tracks."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emojibench_metrics.cost import LATENCY, is_cost

from emojibench.notebooks import DASH
from emojibench.reports.blocks import Block, Cell, Column, Heading, Table, number
from emojibench.reports.load import FinishedRun, load_run
from emojibench.reports.rows import rows_of
from emojibench.runs.summary import ColumnSummary

_TIMES = ("started", "command", "stage", "earlier", "method", "dataset", "protocol", "seed")
"""Of a start: what is never the same twice, or stands in the spec as well."""
_NAMES = ("name", "dataset_ref", "clips", "columns", "metrics")
"""Of the spec: what changes no number, or is told in words of its own."""


@dataclass(frozen=True)
class Fact:
    """One thing that both runs say, or one alone; None where it says nothing of it."""

    field: str
    first: Any
    second: Any


@dataclass(frozen=True)
class ColumnDifference:
    """One column of both runs; None where a run has no mean of it."""

    column: str
    first: float | None
    second: float | None
    difference: float | None
    """First minus second."""
    clips: int
    """Clips that have a value in both."""
    differing: int
    """Of these, clips whose values differ."""
    note: str
    decimals: int

    @property
    def cost(self) -> bool:
        """Whether it is about time, arithmetic or memory, which are never the same twice."""
        return is_cost(self.column)


@dataclass(frozen=True)
class RunDifference:
    """Two runs beside each other; only what differs."""

    first: Path
    second: Path
    provenance: tuple[Fact, ...]
    spec: tuple[Fact, ...]
    frames: tuple[str, ...] | None
    """Clips of both that have other frames; None where a run does not say."""
    numbers: tuple[ColumnDifference, ...]

    @property
    def exit_code(self) -> int:
        """0: nothing differs but costs; 1: something does."""
        found = self.provenance or self.spec or self.frames or any(not n.cost for n in self.numbers)
        return 1 if found else 0

    def blocks(self) -> list[Block]:
        """For a terminal or a page."""
        blocks: list[Block] = [
            Heading(f"{self.first.name} and {self.second.name}", 1),
            f"First: `{self.first}`. Second: `{self.second}`. What is not listed is the same.",
        ]
        for title, facts in (("Provenance", self.provenance), ("Spec", self.spec)):
            blocks.append(Heading(title))
            columns = (Column("Field"), Column("First", "first"), Column("Second", "second"))
            rows = tuple((Cell(f.field, "code"), _cell(f.first), _cell(f.second)) for f in facts)
            blocks.append(Table(columns, rows) if rows else "Nothing differs.")
        blocks += [Heading("Frames"), self._frames(), Heading("Numbers"), self._numbers()]
        return blocks

    def _frames(self) -> str:
        if self.frames is None:
            return "Not known: the rows of a run do not say what they were computed from."
        if not self.frames:
            return "The clips that both have show the same frames."
        return f"Other frames in {len(self.frames)} clips: {', '.join(self.frames)}."

    def _numbers(self) -> Block:
        if not self.numbers:
            return "Nothing differs."
        titles = {
            "First": "first",
            "Second": "second",
            "Difference": "difference",
            "Clips": "n",
            "Differing": "differing",
        }
        columns = (Column("Column"), *(Column(title, name) for title, name in titles.items()), Column("Note"))
        return Table(columns, tuple(map(_line, self.numbers)))

    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "first": str(self.first),
            "second": str(self.second),
            "differs": bool(self.exit_code),
            "provenance": [asdict(fact) for fact in self.provenance],
            "spec": [asdict(fact) for fact in self.spec],
            "frames": self.frames,
            "numbers": [asdict(each) | {"cost": each.cost} for each in self.numbers],
        }


def diff(first: Path, second: Path) -> RunDifference:
    """Compare two finished runs, or rows of a leaderboard.

    Raises:
        UserError: a folder is no finished run, or is damaged.
    """
    runs = load_run(first), load_run(second)
    one, other = runs
    specs = [_flat(run.spec.model_dump(mode="json", exclude={*_NAMES})) for run in runs]
    for flat, run in zip(specs, runs, strict=True):
        flat["protocol.id"] = run.spec.protocol.id
        flat["metrics"] = ", ".join(sorted(run.spec.metrics))
        flat |= {f"version of {n}": s.version for n, s in run.summaries.items() if s.version is not None}
    spec = [fact for fact in _facts(*specs) if not _of_one(fact, one, other)]
    spec += _clips(one, other)
    return RunDifference(
        first,
        second,
        tuple(_facts(*map(_origin, runs))),
        tuple(spec),
        _frames(one, other),
        tuple(_numbers(one, other)),
    )


def _origin(run: FinishedRun) -> dict[str, Any]:
    """What the newest start of each stage says."""
    flat: dict[str, Any] = {}
    for start in reversed(run.provenance.starts):
        content = start.model_dump(mode="json", exclude={*_TIMES})
        flat |= _flat(content, f"{start.stage or 'run'}: ")
    return flat


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Fields within fields as `a.b`."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _facts(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Fact]:
    names = dict.fromkeys((*first, *second))
    return [Fact(n, first.get(n), second.get(n)) for n in names if first.get(n) != second.get(n)]


def _of_one(fact: Fact, one: FinishedRun, other: FinishedRun) -> bool:
    """Versions of columns that one run lacks: the numbers tell that."""
    column = fact.field.removeprefix("version of ")
    return column != fact.field and (column in one.summaries) != (column in other.summaries)


def _clips(one: FinishedRun, other: FinishedRun) -> list[Fact]:
    ours, theirs = one.spec.clips, other.spec.clips
    if ours == theirs:
        return []
    only = [[clip for clip in a if clip not in b] for a, b in ((ours, theirs), (theirs, ours))]
    told = [
        f"{len(clips)} clips" + (f", alone here: {_some(alone)}" if alone else "")
        for clips, alone in ((ours, only[0]), (theirs, only[1]))
    ]
    return [Fact("clips", told[0], told[1])]


def _some(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _frames(one: FinishedRun, other: FinishedRun) -> tuple[str, ...] | None:
    """Rows of latencies name the frames, in accepted runs of older versions, too."""
    seen = []
    for run in (one, other):
        rows = (row for row in rows_of(run.path / "rows.parquet") if row["metric"] == LATENCY.name)
        seen.append({row["clip_id"]: row.get("inputs") or "" for row in rows})
    common = [clip for clip in one.spec.clips if clip in seen[0] and clip in seen[1]]
    if not common or not all(side[clip] for side in seen for clip in common):
        return None
    return tuple(clip for clip in common if seen[0][clip] != seen[1][clip])


def _numbers(one: FinishedRun, other: FinishedRun) -> Iterable[ColumnDifference]:
    for name in dict.fromkeys((*one.summaries, *other.summaries)):
        ours, theirs = one.summaries.get(name), other.summaries.get(name)
        a, b = one.values.get(name, {}), other.values.get(name, {})
        common = [clip for clip in a if clip in b]
        differing = sum(a[clip].value != b[clip].value for clip in common)
        means = [column.mean if column else None for column in (ours, theirs)]
        if means[0] == means[1] and not differing and (ours is None) == (theirs is None):
            continue
        gap = None if means[0] is None or means[1] is None else math.fsum((means[0], -means[1]))
        decimals = (ours or theirs or ColumnSummary.model_construct(decimals=3)).decimals
        yield ColumnDifference(
            name, means[0], means[1], gap, len(common), differing, _note(ours, theirs), decimals
        )


def _note(ours: ColumnSummary | None, theirs: ColumnSummary | None) -> str:
    notes = []
    for side, column in (("first", ours), ("second", theirs)):
        if column is None:
            notes.append(f"{side}: not measured")
        elif column.reason:
            notes.append(f"{side}: {column.reason}")
    if ours and theirs and ours.version != theirs.version:
        notes.append(f"versions {ours.version} and {theirs.version} of the metric: not comparable")
    return "; ".join(notes)


def _cell(value: Any) -> Cell:
    return Cell(DASH if value is None else str(value))


def _line(each: ColumnDifference) -> tuple[Cell, ...]:
    form = f".{each.decimals + 1}f"

    def shown(value: float | None, sign: str = "") -> Cell:
        return Cell(DASH) if value is None else number(value, form=sign + form)

    note = "; ".join(filter(None, (each.note, "a cost" if each.cost else "")))
    return (
        Cell(each.column, "code"),
        shown(each.first),
        shown(each.second),
        shown(each.difference, "+"),
        Cell(str(each.clips), value=each.clips),
        Cell(str(each.differing), value=each.differing),
        Cell(note),
    )
