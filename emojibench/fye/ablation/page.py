"""The page of an ablation: measured rows, paired differences to their references, the paper's Table 4."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojibench.files.writing import write_text
from emojibench.notebooks import share_lost
from emojibench.protocol.statistics import Difference, paired_difference
from emojibench.reports.columns import ARROWS, Column, is_cost, other_columns, paper_columns
from emojibench.reports.load import FinishedRun
from emojibench.reports.markdown import (
    DASH,
    Footnotes,
    interval,
    measured,
    published_table,
    table,
)
from emojibench.reports.published import load_table
from emojibench.reports.tables import NOT_RUN
from emojibench.runs.summary import ColumnSummary

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
    text = ablation_page(rows)
    write_text(file, text)
    figures = json.dumps(ablation_data(rows), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(file.with_suffix(".json"), figures + "\n")
    return text


def ablation_page(rows: Sequence[AblationRow]) -> str:
    """The page; the same rows give the same bytes. At least one row has a run."""
    runs = [row.run for row in rows if row.run is not None]
    spec, notes = runs[0].spec, Footnotes()
    columns = [c for c in _columns(spec.split, runs) if _measured(c.name, runs)]
    pairs = [c for c in columns if any(c.name in run.values for run in runs)]
    parts = [
        "# Ablation",
        f"Method `{spec.method}`, {spec.split} reenactment on `{spec.dataset}` version {spec.dataset_version}, "
        f"{spec.protocol.frames} frames at {spec.protocol.size}x{spec.protocol.size}, protocol `{spec.protocol.id}`.",
        "## Measured",
        _measured_table(rows, columns, notes),
        "## Paired differences",
        _difference_table(rows, pairs, notes),
        _LEGEND,
        *(f"Trained rows start from {start}." for start in sorted({row.start for row in rows if row.start})),
    ]
    if lines := notes.lines():
        parts += ["## Why cells are empty", "\n".join(lines)]
    parts += [
        "## Where the measured numbers come from",
        f"- dataset digest: `{spec.dataset_digest}`\n- landmark detector: `{spec.protocol.detector}`",
        _provenance(rows),
        "## Published: Table 4 of the paper",
        "**Not comparable with the rows above**: other data, another model, another protocol. Rows of the same name "
        "ask the same question.",
        published_table(load_table(4)),
    ]
    return "\n\n".join(parts) + "\n"


def ablation_data(rows: Sequence[AblationRow]) -> dict[str, Any]:
    """Every measured column of every row and its paired differences, for JSON."""
    runs = {row.name: row.run for row in rows if row.run is not None}
    spec = next(iter(runs.values())).spec
    return {
        "split": spec.split,
        "dataset": {"name": spec.dataset, "digest": spec.dataset_digest},
        "protocol": spec.protocol.model_dump(mode="json") | {"id": spec.protocol.id},
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
    summaries = {name: s for name, s in row.run.summaries.items() if s.mean is not None}
    differences = {name: _difference(row, runs, name) for name in row.run.values}
    return data | {
        "revision": row.run.spec.revision,
        "clips": len(row.run.spec.clips),
        "means": {
            name: {
                "mean": s.mean,
                "low": s.low,
                "high": s.high,
                "clips": s.n_clips,
                "lost": s.lost,
                "unit": s.unit,
            }
            for name, s in summaries.items()
        },
        "differences": {
            name: {key: value if math.isfinite(value) else None for key, value in vars(d).items()}
            for name, d in differences.items()
            if d is not None
        },
    }


def _columns(split: str, runs: Sequence[FinishedRun]) -> list[Column]:
    """Table 1's columns, those of this split first, then jitter."""
    splits = (split, *({"self", "cross"} - {split}))
    table1 = [column for half in splits for column in paper_columns(half, runs)]
    return table1 + [column for column in other_columns(split, runs) if column.name == "jitter"]


def _measured(name: str, runs: Sequence[FinishedRun]) -> bool:
    return any(name in run.summaries and run.summaries[name].mean is not None for run in runs)


def _measured_table(rows: Sequence[AblationRow], columns: Sequence[Column], notes: Footnotes) -> str:
    header = ["Row", "Trained: frames + clips + decoder", "n", *(c.heading for c in columns)]
    lines = []
    for row in rows:
        if row.run is None:
            lines.append([row.title, _trained(row), DASH, *[DASH + notes.mark(row.reason)] * len(columns)])
            continue
        cells = [_cell(row.run, column, notes) for column in columns]
        lines.append([row.title, _trained(row), str(len(row.run.spec.clips)), *cells])
    return table(header, lines)


def _trained(row: AblationRow) -> str:
    """`1200 + 400 + 300 steps, 20.0 + 6.0 + 4.0 min`; a dash for rows that take others' weights."""
    if not row.effort:
        return DASH
    steps, minutes = zip(*row.effort.values(), strict=True)
    return f"{' + '.join(map(str, steps))} steps, {' + '.join(f'{m:.1f}' for m in minutes)} min"


def _cell(run: FinishedRun, column: Column, notes: Footnotes) -> str:
    return measured(run.summaries.get(column.name, NOT_RUN), notes)


def _difference_table(rows: Sequence[AblationRow], columns: Sequence[Column], notes: Footnotes) -> str:
    runs = {row.name: row.run for row in rows if row.run is not None}
    titles = {row.name: row.title for row in rows}
    header = ["Row", "minus", *(c.title + ARROWS[c.better] for c in columns)]
    lines = []
    for row in rows:
        if row.run is None or row.against == row.name:
            continue
        cells = []
        for column in columns:
            difference = _difference(row, runs, column.name)
            if difference is None:
                cells.append(DASH + notes.mark("no clip has a value in both rows"))
            else:
                cells.append(
                    _signed(difference, *(r.summaries[column.name] for r in (row.run, runs[row.against])))
                )
        lines.append([row.title, titles[row.against], *cells])
    return table(header, lines)


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


def _signed(difference: Difference, ours: ColumnSummary, theirs: ColumnSummary) -> str:
    """The difference, bold where it is real and of all frames of all clips, and what it lacks otherwise."""
    text = interval(difference.mean, difference.low, difference.high, f"+.{ours.decimals}f")
    lost = max(ours.lost or 0.0, theirs.lost or 0.0)
    if difference.excludes_zero and not lost:
        text = f"**{text}**"
    if lost:
        text += f" ({share_lost(lost)})"
    return text if difference.clips == ours.expected else f"{text} n = {difference.clips}"


def _provenance(rows: Sequence[AblationRow]) -> str:
    lines = []
    for row in rows:
        if row.run is None:
            continue
        spec, code = row.run.spec, row.run.animated["code"]
        given = {key: value for key, value in sorted(spec.options.items()) if key != "weights"}
        commit = f"`{code['commit'][:10]}`" if code["commit"] else "no git"
        lines.append(
            [
                row.title,
                f"`{spec.revision}`",
                ", ".join(f"{key}={value}" for key, value in given.items()) or "none",
                str(spec.seed),
                commit + (" with changes" if code["dirty"] else ""),
                row.run.animated["device"],
            ]
        )
    return table(["Row", "Revision", "Options", "Seed", "Commit", "Device"], lines)
