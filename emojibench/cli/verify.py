"""`emojibench verify`: does a row of a leaderboard agree with its receipt?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from emojibench.errors import UserError


def verify(
    row: Annotated[
        Path,
        typer.Argument(
            metavar="ROW",
            help="Folder of a row (leaderboards/accepted/TRACK/METHOD-SPLIT), or `leaderboards/accepted` for all rows "
            "and the ledger.",
        ),
    ],
    deep: Annotated[
        int | None,
        typer.Option(
            metavar="CLIPS",
            help="Score so many of its clips again, drawn at random: from the animations in --run, or made again.",
        ),
    ] = None,
    clips: Annotated[
        str | None,
        typer.Option(help="Score these clips again: ids, separated by commas.", show_default=False),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The row's run folder, with its animations.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="DIR", help="The row's dataset, if it is not built in.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
) -> None:
    """Check a row: digests, means computed again from its values, and whether its files tell of one run.

    Exit code: 0 agrees, 1 does not agree (file, expected and found are listed), 3 agrees as far as it could be checked,
    2 usage.
    """
    from emojibench.cli.flags import listed
    from emojibench.reports.markdown import render
    from emojibench.reports.receipts.verifying import verify as check
    from emojibench.reports.receipts.verifying import verify_all

    chosen = listed([clips] if clips else None) or deep
    if run is not None and chosen is None:
        raise UserError("--run: expected together with --deep or --clips; add `--deep 2`, or leave it out")
    if next(row.glob("*/*/spec.json"), None):
        if chosen is not None or dataset is not None:
            raise UserError(
                f"{row}: expected one row with --deep, --clips or --dataset, got a folder of rows"
            )
        results = verify_all(row)
    else:
        results = [check(row, dataset=dataset, deep=chosen, run=run)]
    if as_json:
        typer.echo(json.dumps([result.data() for result in results], indent=2))
    else:
        typer.echo("\n".join(render(result.blocks()) for result in results), nl=False)
    codes = {result.exit_code for result in results}
    for result in results:
        typer.echo(f"verify: {result.path}: {result.verdict}", err=True)
    raise typer.Exit(next(code for code in (1, 3, 0) if code in codes))
