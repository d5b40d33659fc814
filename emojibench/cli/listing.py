"""`emojibench methods` and `emojibench metrics`: what is registered."""

import json
from typing import Annotated, Any

import typer

from emojibench.cli import tables

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def methods(as_json: AsJson = False) -> None:
    """List the registered methods."""
    from emojibench import registry
    from emojibench.methods import finding

    rows = [
        {"method": name, "what": finding.summary(loaded), "from": finding.origin(loaded)}
        for name, loaded in registry.usable(registry.METHODS).items()
    ]
    _show(rows, as_json, names=1)


def metrics(as_json: AsJson = False) -> None:
    """List the registered metrics: column, direction, unit, source."""
    from emojibench import registry

    rows = []
    for name, factory in registry.usable(registry.METRICS).items():
        for traits in factory.traits:
            rows.append(
                {
                    "metric": name,
                    "column": traits.name,
                    "better": traits.better,
                    "unit": traits.unit,
                    "version": traits.version,
                    "source": traits.source,
                }
            )
    _show(rows, as_json, names=2)


def _show(rows: list[dict[str, Any]], as_json: bool, *, names: int) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        tables.show(list(rows[0]), [list(map(str, row.values())) for row in rows], names=names)
