"""Pages as Markdown. The same runs give the same bytes: no dates, no machine paths, everything sorted."""

import math
from collections.abc import Iterable, Sequence

from emojibench.notebooks import share_lost
from emojibench.protocol import AGGREGATION
from emojibench.reports.columns import ARROWS, Column
from emojibench.reports.load import FinishedRun
from emojibench.reports.published import PublishedTable
from emojibench.reports.tables import SPLITS, Entry, Track
from emojibench.runs.summary import ColumnSummary

DASH = "–"
GROUPS = {"self": "Self", "cross": "Cross"}
_LEGEND = (
    "Mean [95 % interval] (bootstrap over portraits; a single portrait gives none). **Bold**: "
    "better than every other row on the same clips, and the interval of the paired difference excludes a tie; costs "
    "and what is not complete never are. (3 of 4): clips that have a value; the mean is over those only. (5.0 % lost): "
    "share of frames without a face; the mean is over the others. N: clips behind a value of the whole set; it has no "
    "interval and is never bold, and values of different N must not be compared. "
    "–: no value, for the reason in brackets."
)


class Footnotes:
    """Numbered reasons, each listed once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """`[n]` for a reason."""
        return f"[{self._numbers.setdefault(' '.join(reason.split()), len(self._numbers) + 1)}]"

    def lines(self) -> list[str]:
        """The list that goes below the tables."""
        return [f"- [{number}] {reason}" for reason, number in self._numbers.items()]


def track_page(track: Track, published: PublishedTable) -> str:
    """The leaderboard page of one track."""
    notes = Footnotes()
    spec = track.runs[0].spec
    parts = [
        f"# Leaderboard: {spec.dataset}, protocol {spec.protocol.id}",
        f"Dataset `{spec.dataset}` version {spec.dataset_version}, "
        f"up to {spec.protocol.frames} frames at {spec.protocol.size}x{spec.protocol.size}. {_counts(track)}",
        "## Measured: the paper's Table 1",
        measured_table(track, notes),
        _LEGEND,
    ]
    for split, columns in track.others.items():
        parts += [
            f"## Measured: further columns, {split} reenactment",
            further_table(track, split, columns, notes),
        ]
    if lines := notes.lines():
        parts += ["## Why cells are empty", "\n".join(lines)]
    parts += [
        "## Where the measured numbers come from",
        _identity(track),
        _provenance(track.runs),
        "## Published: Table 1 of the paper",
        "**Not comparable with the rows above**: other data, other protocol. Printed values, never ranked "
        "together with measured ones.",
        published_table(published),
    ]
    return "\n\n".join(parts) + "\n"


def measured_table(track: Track, notes: Footnotes) -> str:
    """Methods down, the paper's columns across."""
    header = ["Method", *(f"{GROUPS[c.split]}: {c.heading}" for c in track.table1)]
    rows = [
        [_label(entry), *(_cell(track, entry, c, notes) for c in track.table1)] for entry in track.entries
    ]
    return table(header, rows)


def further_table(track: Track, split: str, columns: Iterable[Column], notes: Footnotes) -> str:
    """Columns down, methods across: there are many more of these than methods."""
    entries = [entry for entry in track.entries if split in entry.runs]
    header = ["Column", "Unit", *(_label(entry, split) for entry in entries)]
    rows = [
        [f"`{c.name}`{ARROWS[c.better]}", c.unit, *(_cell(track, entry, c, notes) for entry in entries)]
        for c in columns
    ]
    return table(header, rows)


def _label(entry: Entry, split: str | None = None) -> str:
    reasons = {s: why for s, why in entry.partial.items() if split in (None, s)}
    if not reasons:
        return entry.label
    text = "; ".join(f"{s}: {why}" if split is None else why for s, why in reasons.items())
    return f"{entry.label} (partial, {text})"


def _cell(track: Track, entry: Entry, column: Column, notes: Footnotes) -> str:
    summary = entry.summary(column)
    if summary is None:
        return DASH + notes.mark(f"no {column.split} run of this method")
    return measured(summary, notes, best=track.best.get((column.split, column.name)) == entry.label)


def measured(summary: ColumnSummary, notes: Footnotes, *, best: bool = False) -> str:
    """One cell of any table: `mean [low, high]`, what the mean lacks, and why; a dash where there is none."""
    if summary.mean is None:
        return DASH + notes.mark(summary.reason or summary.status)
    text = interval(summary.mean, summary.low, summary.high, f".{summary.decimals}f")
    if best:
        text = f"**{text}**"
    if summary.kind == "set":
        text += f" (N = {summary.n_clips})"
    elif lacking := lacks(summary):
        text += f" ({lacking})"
    return text + "".join(notes.mark(why) for why in (summary.reason, summary.note) if why)


def lacks(summary: ColumnSummary) -> str:
    """Clips and frames that a mean is not of: `3 of 4, 5.0 % lost`; empty for a complete one."""
    parts = [f"{summary.n_clips} of {summary.expected}"] if summary.reason else []
    if summary.lost:
        parts.append(share_lost(summary.lost))
    return ", ".join(parts)


def interval(mean: float, low: float | None, high: float | None, form: str, scale: float = 1) -> str:
    """`mean [low, high]`, or the mean alone where the bounds are not known; `form` as in `format`."""
    if low is None or high is None or not math.isfinite(low + high):
        return format(mean * scale, form)
    return f"{mean * scale:{form}} [{low * scale:{form}}, {high * scale:{form}}]"


def _counts(track: Track) -> str:
    sentences = []
    for split in SPLITS:
        runs = [run for run in track.runs if run.spec.split == split]
        if runs:
            clips = max(len(run.spec.clips) for run in runs)
            sentences.append(f"{GROUPS[split]} reenactment: {clips} clips.")
    return " ".join(sentences)


def _identity(track: Track) -> str:
    spec = track.runs[0].spec
    lines = [
        f"- dataset digest: `{spec.dataset_digest}`",
        f"- protocol: `{spec.protocol.id}`",
        f"- landmark detector: `{spec.protocol.detector}`",
        f"- aggregation: {AGGREGATION}",
    ]
    return "\n".join(lines)


def _provenance(runs: Sequence[FinishedRun]) -> str:
    rows = []
    for run in sorted(runs, key=lambda run: (run.spec.method, run.spec.split, run.spec.name)):
        spec, origin = run.spec, run.animated
        options = ", ".join(f"{key}={value}" for key, value in sorted(spec.options.items()))
        code = origin["code"]
        commit = f"`{code['commit'][:10]}`" if code["commit"] else "no git"
        rows.append(
            [
                spec.method,
                spec.split,
                f"`{spec.revision}`",
                options or "none",
                str(spec.seed),
                commit + (" with changes" if code["dirty"] else ""),
                origin["device"],
            ]
        )
    return table(["Method", "Split", "Revision", "Options", "Seed", "Commit", "Device"], rows)


def published_table(published: PublishedTable) -> str:
    """One table of the paper with its citation and oddities."""
    titles = (f"{c.group}: {c.title}" if c.group else c.title for c in published.columns)
    headings = (title + ARROWS[c.better] for title, c in zip(titles, published.columns, strict=True))
    header = ["Row", "Printed as", *headings]
    rows = [[row.method, row.printed, *row.cells.values()] for row in published.rows]
    units = "; ".join(f"{c.title}: {c.unit}" for c in published.columns)
    return "\n\n".join(
        [
            table(header, rows),
            "\n".join(f"- {note}" for note in published.notes),
            f"{published.title}; {published.setting}. Units: {units}.",
            f"Source: {published.citation}, Table {published.number}, section {published.section}.",
        ]
    )


def published_page(tables: Iterable[PublishedTable]) -> str:
    """All tables of the paper on one page."""
    parts = [
        "# Published figures",
        "Cells as printed in the paper, digit by digit. Nothing here was measured by EmojiBench++; data and "
        "protocol differ from ours, so none of these numbers belongs in one ranking with a measured one. Below each "
        "table stands what does not add up in it.",
    ]
    for published in tables:
        parts += [f"## Table {published.number}", published_table(published)]
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, padded so that it also reads well as plain text."""
    lines = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    padded = (
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )
    return "\n".join(padded)
