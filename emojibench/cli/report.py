"""`emojibench report`: finished runs as leaderboard pages."""

import json
from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[Path, typer.Option(help="Folder that holds run folders, at any depth.")] = Path("runs"),
    out: Annotated[
        Path, typer.Option(help="Root of the leaderboards; pages of your own runs go to OUT/local.")
    ] = Path("leaderboards"),
    accepted: Annotated[
        bool, typer.Option("--accepted", help="Render the accepted runs in OUT/accepted to OUT instead.")
    ] = False,
    accept: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Copy a finished run to OUT/accepted, then render as --accepted."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
) -> None:
    """Print the leaderboard of every track (runs that can be compared) and write it as a Markdown page."""
    from emojibench.reports import accept as copy_accepted
    from emojibench.reports import write_pages

    if accept is not None:
        typer.echo(f"accepted {copy_accepted(accept, out)}", err=True)
        accepted = True
    pages, unfinished = write_pages(runs, out, accepted=accepted)
    if as_json:
        typer.echo(json.dumps([page.data for page in pages if page.data], indent=2))
    else:
        typer.echo("\n".join(page.text for page in pages), nl=False)
    for folder in unfinished:
        typer.echo(f"left out {folder}: not finished; start its command again", err=True)
    for page in pages:
        typer.echo(f"wrote {page.path}", err=True)
