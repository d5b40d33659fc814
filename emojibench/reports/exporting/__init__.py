"""One run for other people's tools: tables, Every Eval Ever, Hugging Face's community evals."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from emojibench.errors import UserError
from emojibench.reports import rendered
from emojibench.reports.blocks import Block, Cell, Column, Footnotes, Heading, Table, measured
from emojibench.reports.exporting import every_eval_ever, hub
from emojibench.reports.exporting.about import About
from emojibench.reports.load import FinishedRun
from emojibench.reports.parts import setting
from emojibench.runs.summary import ColumnSummary

FORMATS = ("csv", "latex", "eee", "hf")


@dataclass(frozen=True)
class Exported:
    """A file and where the repository that it is for wants it."""

    text: str
    path: PurePosixPath
    left_out: Mapping[str, str]
    """Column to why it is not in the file."""


def export(run: FinishedRun, form: str, about: About | None = None) -> Exported:
    """A run in another format.

    Args:
        run: finished.
        form: one of `FORMATS`.
        about: what the run does not say.

    Raises:
        UserError: another format, or a run that has no value for it.
    """
    if form in ("csv", "latex"):
        suffix = "tex" if form == "latex" else form
        return Exported(rendered(_blocks(run), form), PurePosixPath(f"{run.spec.name}.{suffix}"), {})
    if form not in FORMATS:
        raise UserError(f"--format: expected {', '.join(FORMATS)}, got {form!r}")
    columns, left_out = _ranked(run)
    if not columns:
        raise UserError(
            f"{run.path}: expected a column with a mean and a better direction, found none; score it"
        )
    written = every_eval_ever.written if form == "eee" else hub.written
    text, path = written(run, columns, (about or About()).of(run))
    return Exported(text, path, left_out)


def _ranked(run: FinishedRun) -> tuple[dict[str, ColumnSummary], dict[str, str]]:
    """Columns that have a mean and a better direction, and why others are left out."""
    left_out = {}
    for name, column in run.summaries.items():
        if column.mean is None:
            left_out[name] = column.reason or column.status
        elif column.better == "none":
            left_out[name] = "neither lower nor higher is better"
    return {name: c for name, c in run.summaries.items() if name not in left_out}, left_out


def _blocks(run: FinishedRun) -> list[Block]:
    """All columns of a run, one a row."""
    rows = []
    for name, column in run.summaries.items():
        of = Column(name, name, run.spec.split, column.unit, column.better)
        clips = Cell(f"{column.n_clips} of {column.expected}")
        mean = replace(measured(column), of=of)
        rows.append((Cell(name, "code", column.better), Cell(column.unit), mean, clips))
    return [
        Heading(f"{run.summary.title}, {run.spec.split} reenactment on {setting(run.spec)}", 1),
        Table((Column("Column"), Column("Unit"), Column("Mean", "mean"), Column("Clips")), tuple(rows)),
        Footnotes("Why cells are empty"),
    ]
