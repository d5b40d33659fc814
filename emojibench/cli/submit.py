"""`emojibench submit`: pack a row for a pull request."""

from pathlib import Path
from typing import Annotated

import typer


def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, with its animations.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Folder to make, or an archive: PATH.zip, PATH.tar.gz. By default RUN-row.zip here.",
        ),
    ] = None,
) -> None:
    """Pack a finished run as a row of the leaderboard: values, receipt and a page for reviewers; no videos.

    Prints the path.
    """
    from emojibench.reports.receipts.submitting import submit as pack

    typer.echo(pack(run, out or Path(f"{run.resolve().name}-row.zip")))
