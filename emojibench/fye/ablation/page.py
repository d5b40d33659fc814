"""The page of an ablation: measured rows, paired differences to their references, the paper's Table 4."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojibench_metrics.cost import is_cost

from emojibench.notebooks import DASH, share_lost
from emojibench.protocol.statistics import Difference, paired_difference
from emojibench.reports.blocks import Block, Cell, Column, Footnotes, Heading, Table, missing, number
from emojibench.reports.load import FinishedRun
from emojibench.reports.parts import cells, origin, published, setting, shared_columns
from emojibench.reports.published import load_table
from emojibench.reports.structure import means_data, spec_data, write_page

_LEGEND = (
    "Mean [95 % interval] (bootstrap over portraits); (5.0 % lost): share of frames without a face, the mean is over "
    "the others. The second table holds the mean of row minus "
    "reference over the clips that both have, with the 95 % interval of that paired difference; **bold** where it "
    "excludes zero and no frame is lost. Rows that are trained differ in nothing but what their name says: same start, "
    "same data, same order of batches, same budget, one frozen encoder. A row's seed is one, so an interval tells what "
    "other portraits would change, not what another training would."
)


@dataclass(frozen=True)
class AblationRow:
    """One row of the page."""

    name: str
    title: str
    against: str
    """Name of the row it is compared with."""
    run: FinishedRun | None
    reason: str = ""
    """Why there is no run."""
    effort: Mapping[str, tuple[int, float]] | None = None
    """Phase to its steps and minutes; None for rows without a training of their own."""
    start: str | None = None
    """What that training started from, in words."""


def write_ablation(rows: Sequence[AblationRow], file: Path) -> str:
    """Write the page to `file` and all figures to the JSON beside it; returns the page."""
    return write_page(file, ablation_page(rows), ablation_data(rows))


def ablation_page(rows: Sequence[AblationRow]) -> list[Block]:
    """The page; the same rows give the same page. At least one row has a run."""
    titled = [(row.title, row.run) for row in rows if row.run is not None]
    runs = [run for _, run in titled]
    columns = shared_columns(runs, "jitter")
    return [
        Heading("Ablation", 1),
        f"Method `{runs[0].spec.method}`, {runs[0].spec.split} reenactment on {setting(runs[0].spec)}.",
        Heading("Measured"),
        _measured_table(rows, columns),
        Heading("Paired differences"),
        _difference_table(rows, [c for c in columns if any(c.name in run.values for run in runs)]),
        _LEGEND,
        *(f"Trained rows start from {start}." for start in sorted({row.start for row in rows if row.start})),
        Footnotes("Why cells are empty"),
        *origin(titled),
        Heading("Published: Table 4 of the paper"),
        "**Not comparable with the rows above**: other data, another model, another protocol. Rows of the same name "
        "ask the same question.",
        *published(load_table(4)),
    ]


def ablation_data(rows: Sequence[AblationRow]) -> dict[str, Any]:
    """Every measured column of every row and its paired differences, for JSON."""
    runs = {row.name: row.run for row in rows if row.run is not None}
    spec = next(iter(runs.values())).spec
    return {
        "split": spec.split,
        **spec_data(spec),
        "rows": [_row_data(row, runs) for row in rows],
    }


def _row_data(row: AblationRow, runs: Mapping[str, FinishedRun]) -> dict[str, Any]:
    data: dict[str, Any] = {"name": row.name, "title": row.title, "against": row.against}
    if row.effort is not None:
        data["training"] = {
            phase: {"steps": steps, "minutes": minutes} for phase, (steps, minutes) in row.effort.items()
        }
        data["start"] = row.start
    if row.run is None:
        return data | {"missing": row.reason}
    differences = {name: _difference(row, runs, name) for name in row.run.values}
    return data | {
        "revision": row.run.spec.revision,
        "clips": len(row.run.spec.clips),
        "means": means_data(row.run),
        "differences": {
            name: {key: value if math.isfinite(value) else None for key, value in vars(d).items()}
            for name, d in differences.items()
            if d is not None
        },
    }


def _measured_table(rows: Sequence[AblationRow], columns: Sequence[Column]) -> Table:
    header = (Column("Row"), Column("Trained: frames + clips + rollouts"), Column("n"), *columns)
    lines = (
        (
            Cell(row.title),
            Cell(_trained(row)),
            Cell(DASH if row.run is None else str(len(row.run.spec.clips))),
            *cells(row.run, columns, row.reason),
        )
        for row in rows
    )
    return Table(header, tuple(lines))


def _trained(row: AblationRow) -> str:
    """`1200 + 400 + 300 steps, 20.0 + 6.0 + 4.0 min`; a dash for rows that take others' weights."""
    if not row.effort:
        return DASH
    steps, minutes = zip(*row.effort.values(), strict=True)
    return f"{' + '.join(map(str, steps))} steps, {' + '.join(f'{m:.1f}' for m in minutes)} min"


def _difference_table(rows: Sequence[AblationRow], columns: Sequence[Column]) -> Table:
    runs = {row.name: row.run for row in rows if row.run is not None}
    titles = {row.name: row.title for row in rows}
    lines = [
        (
            Cell(row.title),
            Cell(titles[row.against]),
            *(_difference_cell(row, runs, column.name) for column in columns),
        )
        for row in rows
        if row.run is not None and row.against != row.name
    ]
    return Table((Column("Row"), Column("minus"), *columns), tuple(lines))


def _difference(row: AblationRow, runs: Mapping[str, FinishedRun], name: str) -> Difference | None:
    """Row minus reference over the clips that have a value in both; None without any, and for costs."""
    reference = runs.get(row.against)
    if row.run is None or reference is None or row.against == row.name or is_cost(name):
        return None
    ours, theirs = row.run.values.get(name, {}), reference.values.get(name, {})
    common = sorted(set(ours) & set(theirs))
    if not common:
        return None
    return paired_difference(
        [ours[clip].value for clip in common],
        [theirs[clip].value for clip in common],
        [ours[clip].subject for clip in common],
    )


def _difference_cell(row: AblationRow, runs: Mapping[str, FinishedRun], name: str) -> Cell:
    """The difference, strong where it is real and of all frames, and what it lacks otherwise."""
    difference = _difference(row, runs, name)
    if difference is None:
        return missing("no clip has a value in both rows")
    ours, theirs = (runs[key].summaries[name] for key in (row.name, row.against))
    lost = max(ours.lost or 0.0, theirs.lost or 0.0)
    lacks = [share_lost(lost)] if lost else []
    if difference.clips != ours.expected:
        lacks.append(f"n = {difference.clips}")
    return number(
        difference.mean,
        difference.low,
        difference.high,
        form=f"+.{ours.decimals}f",
        strong=difference.excludes_zero and not lost,
        lacks=", ".join(lacks),
    )
