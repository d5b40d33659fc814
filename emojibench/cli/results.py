"""How `run` and `score` print their results."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import typer

from emojibench.cli import tables

if TYPE_CHECKING:
    from emojibench.runs.result import RunResult
    from emojibench.runs.summary import ColumnSummary, Summary


def show(
    result: "RunResult", *, as_json: bool, every: bool = False, asked: Iterable[str] | None = None
) -> None:
    """Results to stdout; what went wrong, and where everything is, to stderr.

    Args:
        result: of the run.
        as_json: the whole summary instead of a table.
        every: all columns instead of the paper's and those asked for.
        asked: names of metrics or columns, as a user gave them.
    """
    if as_json:
        typer.echo(json.dumps(result.summary.model_dump(mode="json"), indent=2))
    else:
        left_out = _table(result.summary, every, asked or ())
        if left_out:
            typer.echo(f"{left_out} more columns: --all shows them", err=True)
    for clip_id, reason in result.failed.items():
        typer.echo(f"failed: {clip_id or 'whole set'}: {reason}", err=True)
    typer.echo(f"run folder: {result.folder}", err=True)


def _table(summary: "Summary", every: bool, asked: Iterable[str]) -> int:
    """Print the table; returns how many columns it leaves out."""
    from rich.table import Table
    from rich.text import Text

    from emojibench.notebooks import DASH
    from emojibench.reports.blocks import ARROWS

    clips = f"up to {summary.frames} frames at {summary.size}x{summary.size}"
    title = f"{summary.title} · {summary.split} · {summary.dataset.name} · {clips} · {summary.protocol}"
    table = Table(
        "metric", "mean", "95 % interval", "clips", "unit", box=None, header_style="bold", title=Text(title)
    )
    entries = summary.metrics
    shown = entries if every else _chosen(summary.split, entries, asked)
    notes: dict[str, int] = {}
    weights = _weights_note(name for name in shown if _lacks_weights(entries[name]))
    for name in shown:
        entry = entries[name]
        cell = entry.shown
        for reason in (weights if _lacks_weights(entry) else entry.reason, entry.note):
            cell += f" [{notes.setdefault(reason, len(notes) + 1)}]" if reason else ""
        clips = f"{entry.n_clips}/{entry.expected}"
        bounds = "" if entry.interval == DASH else entry.interval
        table.add_row(*map(Text, (name + ARROWS[entry.better], cell, bounds, clips, entry.unit)))
    console = tables.console(soft_wrap=True)
    console.print(table)
    for reason, number in notes.items():
        console.print(f"[{number}] {reason}", markup=False, highlight=False)
    return len(entries) - len(shown)


def _chosen(split: str, entries: "Mapping[str, ColumnSummary]", asked: Iterable[str]) -> list[str]:
    """The paper's columns and those asked for, in the order of the summary; all where that is none."""
    from emojibench import registry
    from emojibench.reports.columns import paper_names

    kept = {name for name, entry in entries.items() if entry.note}
    wanted = kept | set(
        paper_names(split, {name for name, entry in entries.items() if entry.mean is not None})
    )
    metrics = registry.names(registry.METRICS)
    for name in asked:
        columns = (
            [t.name for t in registry.load(registry.METRICS, name).traits] if name in metrics else [name]
        )
        wanted.update(columns)
    return [name for name in entries if name in wanted] or list(entries)


def _lacks_weights(entry: "ColumnSummary") -> bool:
    return entry.status == "unavailable" and "emojibench weights list" in entry.reason


def _weights_note(columns: Iterable[str]) -> str:
    """One line for all columns that wait for weights."""
    from emojibench.weights import TABLE

    users = {user for entry in TABLE.values() for user in entry.used_by}
    waiting = set()
    for column in columns:  # `id_sim_zero` waits for what `id_sim` does, `id_sim_mobilefacenet_zero` does not
        waiting.add(max((u for u in users if f"{column}_".startswith(f"{u}_")), key=len, default=""))
    names = [name for name, entry in TABLE.items() if waiting & set(entry.used_by)]
    return f"weights are missing: emojibench weights fetch {' '.join(names)}"
