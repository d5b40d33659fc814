"""`emojibench check-method`: does a method keep the contract?"""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from emojibench.cli.flags import Data, Split


def check_method(
    method: Annotated[str, typer.Argument(help="Registered name, or the YAML file of a command.")],
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Option of the method; repeatable.")
    ] = None,
    split: Split = "cross",
    dataset: Data = "mini",
    frames: Annotated[int, typer.Option(help="Cut clips to so many frames.")] = 8,
    timeout: Annotated[float, typer.Option(help="Seconds that one clip may take.")] = 600,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Try a method on two short clips: does it keep the contract that runs rely on?

    Exit code 0: it does; 1: a check failed; 2: something else has to be mended first.
    """
    from emojibench.cli import tables
    from emojibench.cli.flags import key_values
    from emojibench.dataset import locating
    from emojibench.methods import finding

    finding.checked(method)
    locating.dataset(dataset)
    typer.echo("loading ...", err=True)
    from emojibench.runs import contract

    checks = contract.check_method(
        method, options=key_values(options), dataset=dataset, split=split,
        frames=frames, timeout=timeout,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        tables.show(
            ["check", "verdict", "detail"], [list(asdict(check).values()) for check in checks], names=2
        )
    raise typer.Exit(1 if any(check.verdict == "fail" for check in checks) else 0)
