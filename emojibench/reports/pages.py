"""The pages of `emojibench report`, as blocks. The same runs give the same page: no dates, no machine paths."""

from collections.abc import Iterable
from dataclasses import replace

from emojibench.reports.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Footnotes,
    Heading,
    Table,
    measured,
    missing,
)
from emojibench.reports.load import FinishedRun
from emojibench.reports.parts import origin, published
from emojibench.reports.published import PublishedTable
from emojibench.reports.tables import SPLITS, Entry, Track

GROUPS = {"self": "Self", "cross": "Cross"}
_LEGEND = (
    "Mean [95 % interval] (bootstrap over portraits; a single portrait gives none). **Bold**: "
    "better than every other row on the same clips, and the interval of the paired difference excludes a tie; costs "
    "and what is not complete never are. (3 of 4): clips that have a value; the mean is over those only. (5.0 % lost): "
    "share of frames without a face; the mean is over the others. N: clips behind a value of the whole set; it has no "
    "interval and is never bold, and values of different N must not be compared. "
    "–: no value, for the reason in brackets."
)


def track_page(track: Track, table1: PublishedTable) -> list[Block]:
    """The leaderboard page of one track."""
    spec = track.runs[0].spec
    further: list[Block] = []
    for split, columns in track.others.items():
        further += [
            Heading(f"Measured: further columns, {split} reenactment"),
            further_table(track, split, columns),
        ]
    runs = sorted(track.runs, key=lambda run: (run.spec.method, run.spec.split, run.spec.name))
    return [
        Heading(f"Leaderboard: {spec.dataset}, protocol {spec.protocol.id}", 1),
        f"Dataset `{spec.dataset}` version {spec.dataset_version}, {spec.protocol.shape}. {_counts(track)}",
        Heading("Measured: the paper's Table 1"),
        measured_table(track),
        _LEGEND,
        *further,
        Footnotes("Notes"),
        *origin((run.spec.name, run) for run in runs),
        *_receipts(runs),
        Heading("Published: Table 1 of the paper"),
        "**Not comparable with the rows above**: other data, other protocol. Printed values, never ranked "
        "together with measured ones.",
        *published(table1),
    ]


def _receipts(runs: Iterable[FinishedRun]) -> list[Block]:
    """Which rows of a leaderboard can be checked digest by digest; nothing for runs that are none."""
    lines = tuple(f"`{run.path.name}`: {run.receipt_said}" for run in runs if run.receipt_said)
    checked = "`emojibench verify leaderboards/accepted` checks them."
    return [Heading("Receipts"), Bullets(lines), checked] if lines else []


def published_page(tables: Iterable[PublishedTable]) -> list[Block]:
    """All tables of the paper on one page."""
    blocks: list[Block] = [
        Heading("Published figures", 1),
        "Cells as printed in the paper, digit by digit. Nothing here was measured by EmojiBench++; data and "
        "protocol differ from ours, so none of these numbers belongs in one ranking with a measured one. Below each "
        "table stands what does not add up in it.",
    ]
    for printed in tables:
        blocks += [Heading(f"Table {printed.number}"), *published(printed)]
    return blocks


def measured_table(track: Track) -> Table:
    """The paper's Table 1 as measured: a row for each method, a column for each of the paper's."""
    columns = (Column("Method"), *(replace(c, group=GROUPS[c.split]) for c in track.table1))
    rows = (
        (Cell(label_of(entry)), *(_cell(track, entry, column) for column in track.table1))
        for entry in track.entries
    )
    return Table(columns, tuple(rows))


def further_table(track: Track, split: str, columns: Iterable[Column]) -> Table:
    """All further columns of a split: a row for each column, a column for each method."""
    entries = [entry for entry in track.entries if split in entry.runs]
    header = (Column("Column"), Column("Unit"), *(Column(label_of(entry, split)) for entry in entries))
    rows = (
        (Cell(c.name, "code", c.better), Cell(c.unit), *(_cell(track, entry, c) for entry in entries))
        for c in columns
    )
    return Table(header, tuple(rows))


def label_of(entry: Entry, split: str | None = None) -> str:
    """Label of a row. A partial run says why it covers less than the others."""
    reasons = {s: why for s, why in entry.partial.items() if split in (None, s)}
    if not reasons:
        return entry.label
    text = "; ".join(f"{s}: {why}" if split is None else why for s, why in reasons.items())
    return f"{entry.label} (partial, {text})"


def _cell(track: Track, entry: Entry, column: Column) -> Cell:
    summary = entry.summary(column)
    if summary is None:
        return missing(f"no {column.split} run of this method")
    return measured(summary, best=track.best.get((column.split, column.name)) == entry.label)


def _counts(track: Track) -> str:
    sentences = []
    for split in SPLITS:
        runs = [run for run in track.runs if run.spec.split == split]
        if runs:
            clips = max(len(run.spec.clips) for run in runs)
            sentences.append(f"{GROUPS[split]} reenactment: {clips} clips.")
    return " ".join(sentences)
