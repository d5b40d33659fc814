"""`emojibench diff`: what differs between two runs."""

import json
from pathlib import Path
from typing import Annotated

import typer


def diff(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or row of a leaderboard.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another, of the same track or not.")],
    form: Annotated[str, typer.Option("--format", help="markdown, html, latex or csv.")] = "markdown",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Print what differs between two runs: where they come from, what they are, frames and numbers.

    Exit code: 0 nothing differs but costs, 1 something does, 2 usage.
    """
    from emojibench.reports import rendered
    from emojibench.reports.diffing import diff as compare

    found = compare(first, second)
    text = json.dumps(found.data(), indent=2) + "\n" if as_json else rendered(found.blocks(), form)
    typer.echo(text, nl=False)
    raise typer.Exit(found.exit_code)
