"""`emojibench export`: a run for other people's tools."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from emojibench.errors import UserError


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or row of a leaderboard.")],
    form: Annotated[
        str,
        typer.Option(
            "--format", help="csv, latex, eee (Every Eval Ever) or hf (Hugging Face community evals)."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write below this folder, where the format's repository wants it, and print the path.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="OWNER/NAME", help="eee: the model. Default: emojibench/METHOD.", show_default=False
        ),
    ] = "",
    organization: Annotated[str, typer.Option(help="eee: who ran it.")] = "unknown",
    relationship: Annotated[
        Literal["first_party", "third_party", "collaborative", "other"],
        typer.Option(help="eee: of those who ran it to the model's makers."),
    ] = "other",
    hub_dataset: Annotated[
        str,
        typer.Option(
            metavar="OWNER/NAME",
            help="hf: the dataset on the Hub. Default: emojibench/DATASET, which may not be there.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Print a finished run as a table, or as a record of other people's leaderboards."""
    from emojibench.files.writing import write_text
    from emojibench.reports.exporting import export as exported
    from emojibench.reports.exporting.about import About
    from emojibench.reports.load import load_run

    for flag, name in (("--model", model), ("--hub-dataset", hub_dataset)):
        if name and not re.fullmatch(
            r"[A-Za-z0-9]([\w.+-]*[\w+-])?/[A-Za-z0-9]([\w.+-]*[\w+-])?", name, re.ASCII
        ):
            raise UserError(f"{flag}: expected OWNER/NAME of letters, digits and . _ + -, got {name!r}")
    found = exported(load_run(run), form, About(model, organization, relationship, hub_dataset))
    if out is None:
        typer.echo(found.text, nl=False)
    else:
        write_text(out / found.path, found.text)
        typer.echo(out / found.path)
    for column, why in found.left_out.items():
        typer.echo(f"left out {column}: {why}", err=True)
    if form == "hf" and not hub_dataset:
        typer.echo(
            "the dataset's id is a guess: say with --hub-dataset OWNER/NAME what the Hub calls it", err=True
        )
