"""How `run` and `score` read their flags and print their results."""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from emojibench.cli import tables
from emojibench.errors import UserError

if TYPE_CHECKING:
    from emojibench.runs.api import RunResult


def listed(values: Iterable[str] | None) -> list[str] | None:
    """`["a,b", "c"]` as `["a", "b", "c"]`; None and nothing as None."""
    names = [name.strip() for value in values or () for name in value.split(",") if name.strip()]
    return names or None


def chosen_clips(value: str | None) -> int | list[str] | None:
    """A number of clips, or clip ids separated by commas."""
    if value is None:
        return None
    return int(value) if re.fullmatch(r"\s*-?\d+\s*", value) else listed([value]) or []


def key_values(pairs: Iterable[str] | None) -> dict[str, str]:
    """`["a=1"]` as `{"a": "1"}`.

    Raises:
        UserError: a pair without `=`, or a key given twice.
    """
    options: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set: expected KEY=VALUE, got {pair!r}")
        if key.strip() in options:
            raise UserError(f"--set: {key.strip()} is given twice")
        options[key.strip()] = value
    return options


def show(result: "RunResult", *, as_json: bool) -> None:
    """Results to stdout; what went wrong, and where everything is, to stderr."""
    if as_json:
        typer.echo(json.dumps(result.summary, indent=2, ensure_ascii=False))
    else:
        _table(result.summary)
    for clip_id, reason in result.failed.items():
        typer.echo(f"failed: {clip_id or 'whole set'}: {reason}", err=True)
    typer.echo(f"run folder: {result.folder}", err=True)


def _table(summary: dict[str, Any]) -> None:
    from rich.table import Table

    title = f"{summary['method']} · {summary['split']} · {summary['dataset']['name']} · {summary['protocol']}"
    table = Table(
        "metric", "mean", "95 % interval", "clips", "unit", box=None, header_style="bold", title=title
    )
    notes: dict[str, int] = {}
    for name, entry in summary["metrics"].items():
        mark = ""
        if entry["reason"]:
            mark = f" [{notes.setdefault(entry['reason'], len(notes) + 1)}]"
        digits = entry["decimals"]
        mean = f"{entry['mean']:.{digits}f}" if entry["mean"] is not None else "–"
        interval = (
            f"{entry['low']:.{digits}f} to {entry['high']:.{digits}f}" if entry["low"] is not None else ""
        )
        arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[entry["better"]]
        clips = f"{entry['n_clips']}/{entry['expected']}"
        table.add_row(name + arrow, mean + mark.replace("[", r"\["), interval, clips, entry["unit"])
    console = tables.console(soft_wrap=True)
    console.print(table)
    for reason, number in notes.items():
        console.print(f"[{number}] {reason}", markup=False, highlight=False)
