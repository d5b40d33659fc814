"""Table 2 of the paper: datasets compared, those of finished runs above the published ones."""

from collections.abc import Sequence

from emojibench.dataset import load_dataset
from emojibench.dataset.stats import lacking, stats
from emojibench.errors import UnavailableError, UserError
from emojibench.reports.accepting import without_folders
from emojibench.reports.blocks import Block, Cell, Column, Footnotes, Heading, Table, missing
from emojibench.reports.dataset_stats import fact_cell
from emojibench.reports.load import FinishedRun
from emojibench.reports.published import PublishedTable
from emojibench.reports.rows import domains
from emojibench.runs.spec import RunSpec

_DRAWN = {"anime", "cartoon"}
_UNKNOWN = {
    "talking_head": "a dataset does not say whether its faces talk",
    "year": "a dataset does not say when it was published",
    "nationality": "a dataset does not say where its people come from",
}


def dataset_table(runs: Sequence[FinishedRun], printed: PublishedTable) -> list[Block]:
    """What runs tell of their datasets, in the paper's columns. It compares no scores, so tracks may meet in it."""
    datasets: dict[tuple[str, int], list[FinishedRun]] = {}
    for run in runs:
        datasets.setdefault((run.spec.dataset_digest, run.spec.protocol.size), []).append(run)
    ours = [_row(of_dataset, printed) for of_dataset in datasets.values()]
    theirs = [
        (Cell(row.printed), missing("the paper does not say"), *map(Cell, row.cells.values()))
        for row in printed.rows
    ]
    groups = ["Measured"] * len(ours) + ["Published"] * len(theirs)
    return [
        Heading(f"Table 2: {printed.title}", 1),
        Table(
            (Column("Dataset"), Column("Clips", "clips"), *printed.columns), (*ours, *theirs), tuple(groups)
        ),
        "Landmarks: clips come with driving landmarks. Resolution of measured rows: as methods receive frames. "
        "Expression of measured rows: entropy of the driving's expressions, 0 to 1, of `emojibench data stats`, which "
        "has more figures. Stars are the paper's; their scale is not stated, so nothing measured is turned into stars.",
        Footnotes("Notes"),
        f"Published: {printed.citation}, Table 2; {printed.setting}.",
    ]


def _row(runs: Sequence[FinishedRun], printed: PublishedTable) -> tuple[Cell, ...]:
    spec = runs[0].spec
    clips = {(run.spec.split, clip) for run in runs for clip in run.spec.clips}
    found = frozenset().union(*(domains(run.path / "rows.parquet") for run in runs))
    side = spec.protocol.size
    known = {
        "landmark": Cell("✓"),
        "resolution": Cell(f"{side}x{side}", value=side),
        "anime_style": Cell("✓" if found & _DRAWN else "✗")
        if found
        else missing("the rows of these runs do not say of which domain clips are"),
        "expression": _expression(spec),
    }
    cells = (known.get(c.name) or missing(_UNKNOWN[c.name]) for c in printed.columns)
    title = f"{spec.dataset} {spec.dataset_version} ({spec.dataset_digest[:6]})"
    return (Cell(title), Cell(str(len(clips)), value=len(clips)), *cells)


def _expression(spec: RunSpec) -> Cell:
    """How varied the dataset's expressions are, where it is here and its driving files are made."""
    try:
        dataset = load_dataset(spec.dataset_ref, size=spec.protocol.size, detector=spec.protocol.detector)
        if dataset.digest != spec.dataset_digest:
            return missing(
                f"the dataset {spec.dataset!r} that is here has other contents than the one of the runs"
            )
        if lacks := lacking(dataset):
            return missing(f"{lacks}; `emojibench data stats {spec.dataset}` makes them")
        return fact_cell("expression_entropy", stats(dataset, quiet=True).facts["expression_entropy"])
    except (UserError, UnavailableError) as error:
        return missing(f"the dataset cannot be read: {without_folders(' '.join(str(error).split()))}")
