"""`emojibench compare`: two runs, clip by clip."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of the same track and split.")],
    worst: Annotated[int, typer.Option(min=0, help="Clips listed for each column, the worst first.")] = 3,
    form: Annotated[str, typer.Option("--format", help="markdown, html, latex or csv.")] = "markdown",
) -> None:
    """Print how two runs differ on the same clips: paired differences, wins and losses, worst clips, agreement."""
    from emojibench.reports import rendered
    from emojibench.reports.comparing import compare as page

    typer.echo(rendered(page(first, second, worst=worst), form), nl=False)
