"""Parts that several pages have: cells of runs, where numbers come from, published tables."""

from collections.abc import Iterable, Sequence

from emojibench.protocol import AGGREGATION
from emojibench.reports.accepting import without_folders
from emojibench.reports.blocks import Block, Bullets, Cell, Column, Heading, Table, measured, missing
from emojibench.reports.columns import other_columns, paper_columns
from emojibench.reports.load import FinishedRun
from emojibench.reports.published import PublishedTable
from emojibench.reports.tables import NOT_RUN
from emojibench.runs.spec import RunSpec


def cells(run: FinishedRun | None, columns: Iterable[Column], reason: str = "") -> tuple[Cell, ...]:
    """A run's cell of each column; `reason` says why there is no run."""
    if run is None:
        return tuple(missing(reason) for _ in columns)
    return tuple(measured(run.summaries.get(column.name, NOT_RUN)) for column in columns)


def shared_columns(runs: Sequence[FinishedRun], *others: str) -> list[Column]:
    """Columns of pages that compare runs of one split: Table 1's, those of the split first, then the `others`.

    Only those that some run has a value for.
    """
    split = runs[0].spec.split
    splits = (split, *({"self", "cross"} - {split}))
    chosen = [column for half in splits for column in paper_columns(half, runs)]
    chosen += [column for column in other_columns(split, runs) if column.name in others]
    values = {name for run in runs for name, summary in run.summaries.items() if summary.mean is not None}
    return [column for column in dict.fromkeys(chosen) if column.name in values]


def origin(runs: Iterable[tuple[str, FinishedRun]]) -> list[Block]:
    """Where the measured numbers come from: of titled runs of one track, at least one."""
    runs = list(runs)
    spec = runs[0][1].spec
    return [
        Heading("Where the measured numbers come from"),
        Bullets(
            (
                f"dataset digest: `{spec.dataset_digest}`",
                f"protocol: `{spec.protocol.id}`",
                f"landmark detector: `{spec.protocol.detector}`",
                f"aggregation: {AGGREGATION}",
            )
        ),
        _provenance(runs),
    ]


def setting(spec: RunSpec) -> str:
    """Dataset and presentation of a run, in words."""
    return f"`{spec.dataset}` version {spec.dataset_version}, {spec.protocol.shape}, protocol `{spec.protocol.id}`"


def _provenance(runs: Iterable[tuple[str, FinishedRun]]) -> Table:
    titles = ("Row", "Method", "Split", "Revision", "Options", "Seed", "Commit", "Device")
    rows = []
    for title, run in runs:
        spec, start = run.spec, run.animated
        options = ", ".join(f"{key}={without_folders(value)}" for key, value in sorted(spec.options.items()))
        commit = f"{start.code.commit[:10]}" if start.code.commit else "no git"
        rows.append(
            (
                Cell(title),
                Cell(spec.method, "code"),
                Cell(spec.split),
                Cell(spec.revision, "code"),
                Cell(options or "none"),
                Cell(str(spec.seed)),
                Cell(commit + (" with changes" if start.code.dirty else "")),
                Cell(start.device),
            )
        )
    return Table(tuple(map(Column, titles)), tuple(rows))


def published(printed: PublishedTable) -> list[Block]:
    """One table of the paper with its citation and oddities."""
    columns = (Column("Row"), Column("Printed as"), *printed.columns)
    rows = ((Cell(row.method), Cell(row.printed), *map(Cell, row.cells.values())) for row in printed.rows)
    units = "; ".join(f"{column.title}: {column.unit}" for column in printed.columns)
    return [
        Table(columns, tuple(rows)),
        Bullets(printed.notes),
        f"{printed.title}; {printed.setting}. Units: {units}.",
        f"Source: {printed.citation}, Table {printed.number}, section {printed.section}.",
    ]
