"""`emojibench weights`: the files that metrics and detectors need, where they are, and how to fetch them."""

import json
from typing import Annotated

import typer

from emojibench.cli import tables
from emojibench.errors import UnavailableError, UserError

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_files(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List all known files: size, licence, what uses them, and where they are (on this machine, or their address)."""
    from emojibench import weights

    where = {name: _where(name) for name in weights.TABLE}
    if as_json:
        rows = [
            {
                "name": name,
                "file": entry.file,
                "bytes": entry.bytes,
                "bytes_exact": entry.bytes_exact,
                "digest": entry.digest,
                "licence": entry.licence,
                "non_commercial": entry.non_commercial,
                "used_by": list(entry.used_by),
                "url": entry.url,
                "path": where[name][0],
                "problem": where[name][1],
            }
            for name, entry in weights.TABLE.items()
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    lines = []
    for name, entry in weights.TABLE.items():
        licence = f"NON-COMMERCIAL: {entry.licence}" if entry.non_commercial else entry.licence
        size = f"{'' if entry.bytes_exact else '~'}{entry.bytes / 1e6:.2f} MB"
        path, problem = where[name]
        lines.append((name, entry.file, size, licence, path or problem or f"missing: {entry.url}"))
    tables.show(("name", "file", "size", "licence", "where"), lines, names=2)


@app.command("fetch")
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Names as `weights list` shows them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Fetch every file of the registry.")] = False,
) -> None:
    """Find or download files and print `name<TAB>path` for each; exit code 3 if some cannot be had."""
    from emojibench import weights
    from emojibench.registry import unknown

    if everything == bool(names):
        raise UserError("weights fetch: expected names or --all; `emojibench weights list` shows the names")
    wanted = list(weights.TABLE) if names is None else names
    for name in wanted:  # before the first of perhaps many downloads
        if name not in weights.TABLE:
            raise UserError(unknown("weight file", name, weights.TABLE))
    missing = False
    for name in wanted:
        if weights.TABLE[name].non_commercial:
            typer.echo(f"{name}: NON-COMMERCIAL: {weights.TABLE[name].licence}", err=True)
        try:
            typer.echo(f"{name}\t{weights.find(name, asked=True)}")
        except UnavailableError as error:
            missing = True
            typer.echo(f"unavailable: {error} ({weights.TABLE[name].url})", err=True)
    if missing:
        raise typer.Exit(3)


def _where(name: str) -> tuple[str | None, str | None]:
    """Path on this machine, and what is wrong where a file only pretends to be the one."""
    from emojibench import weights

    entry = weights.TABLE[name]
    weights.store.folders()  # a wrong EMOJIBENCH_WEIGHTS ends the command; a wrong file is one row
    try:
        path = weights.locate(name)
        if path is None and entry.slice_of is not None:
            path = weights.locate(entry.slice_of.source)
    except UserError as error:
        return None, str(error)
    return (None if path is None else str(path)), None
