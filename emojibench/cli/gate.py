"""`emojibench gate`: is this run worse than an accepted baseline?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from emojibench.errors import UserError


def gate(
    baseline: Annotated[Path, typer.Option(metavar="DIR", help="Accepted run, or any run folder.")],
    run: Annotated[Path, typer.Option(metavar="DIR", help="Run folder to judge.")],
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE", help="Allowed change: `l1=0.002` in its unit or `fvd=5%`. Repeatable."
        ),
    ] = None,
    gate_costs: Annotated[
        bool, typer.Option("--gate-costs", help="Judge latency, FLOPs and memory too.")
    ] = False,
    clips: Annotated[
        str | None,
        typer.Option(
            help="Compare only this number of the baseline's clips, counted from the first, or these clip ids, "
            "separated by commas. Without it, the verdict on a run that lacks clips is `could not measure`."
        ),
    ] = None,
    allow_undecided: Annotated[
        bool,
        typer.Option(
            "--allow-undecided",
            help="Pass if there are too few clips to tell a tolerable change from an intolerable one.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
) -> None:
    """Compare a run with a baseline on the same clips.

    Exit code: 0 same, 1 regressed, 4 improved beyond tolerance, 3 could not measure or undecided, 2 usage or
    runs that cannot be compared.
    """
    from emojibench.cli.flags import chosen_clips
    from emojibench.reports.gating import gate as compare

    result = compare(
        baseline,
        run,
        tolerances=dict(map(_pair, tolerance or [])),
        gate_costs=gate_costs,
        clips=chosen_clips(clips),
        allow_undecided=allow_undecided,
    )
    typer.echo(json.dumps(result.data(), indent=2) if as_json else result.markdown(), nl=as_json)
    typer.echo(f"gate: {result.verdict}", err=True)
    raise typer.Exit(result.exit_code)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UserError(f"--tolerance: expected COLUMN=VALUE such as l1=0.002 or fvd=5%, got {text!r}")
    return name, value
