"""`emojibench baselines`: other people's methods, what they need on this machine, and whether they work."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from emojibench.cli import tables

app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name that `baselines list` shows.")]


@app.command("list")
def list_rows(as_json: AsJson = False) -> None:
    """List the rows of the paper's tables 1, 7 and 8, and what each lacks on this machine."""
    rows = _external().rows()
    if as_json:
        typer.echo(json.dumps([row.model_dump() for row in rows], indent=2))
        return
    shown = []
    for row in rows:
        given = ", given sound (a dataset with sound, or --set sound=)" if row.sound else ""
        state = "\n".join(row.lacking) or f"ready{given}"
        shown.append(
            (
                row.name,
                row.title,
                ", ".join(map(str, row.tables)),
                f"{state}, random weights" if row.ready and row.random_weights else state,
            )
        )
    tables.show(("name", "method", "tables", "state"), shown, names=1)


@app.command()
def setup(
    name: Name,
    repo: Annotated[
        Path | None,
        typer.Option(help="A checkout that is there already; without it the pinned commit is fetched."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints; those that it lacks are fetched into it.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read the licence that is shown, and accept it.")
    ] = False,
    extra: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="REQUIREMENT", help="Install this over the pins, e.g. a torch for a newer GPU."
        ),
    ] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="The checkpoints are untrained, for tests; rows say so.")
    ] = False,
) -> None:
    """Fetch a baseline's repository and checkpoints and make its environment; exit code 3 if something is missing.

    What is there already is kept: the same command continues a set-up that broke off.
    """
    parts = _external().setup(
        name, repo=repo, weights=weights, accept_licence=accept_licence, random_weights=random_weights,
        extra=extra or [], tell=_tell,
    )  # fmt: skip
    for part in parts:
        typer.echo(f"{part.part}\t{part.state}\t{part.what}")
    if any(part.state == "missing" for part in parts):
        raise typer.Exit(3)


@app.command()
def doctor(name: Name, as_json: AsJson = False) -> None:
    """Check a baseline's parts and let it animate four frames; exit code 3 if something is wrong."""
    checks = _external().doctor(name, _tell)
    if as_json:
        typer.echo(json.dumps([check.model_dump() for check in checks], indent=2))
    else:
        tables.show(("what", "state", "found"), [(c.what, c.state, c.found) for c in checks], names=2)
    if any(check.state in ("wrong", "not tried") for check in checks):
        raise typer.Exit(3)


def _external() -> Any:
    from emojibench import registry

    return registry.load("emojibench.baselines", "external")()


def _tell(line: str) -> None:
    typer.echo(line, err=True)
