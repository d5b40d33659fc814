"""`emojibench gate`: is this run worse than an accepted baseline?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from emojibench.errors import UserError

app = typer.Typer(invoke_without_command=True)


@app.callback()
def gate(
    context: typer.Context,
    baseline: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Accepted run, or any run folder.")
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder to judge.")] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE", help="Allowed change: `l1=0.002` in its unit or `fvd=5%`. Repeatable."
        ),
    ] = None,
    tolerances: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Calibrated tolerances: what `emojibench gate calibrate` wrote."),
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
    if context.invoked_subcommand is not None:
        return
    for flag, given in (("--baseline", baseline), ("--run", run)):
        if given is None:
            raise UserError(f"{flag}: expected a run folder, got nothing; add `{flag} DIR`")
    assert baseline is not None
    assert run is not None
    from emojibench.cli.flags import chosen_clips
    from emojibench.reports.gating import gate as compare

    result = compare(
        baseline,
        run,
        tolerances=dict(map(_pair, tolerance or [])),
        gate_costs=gate_costs,
        clips=chosen_clips(clips),
        allow_undecided=allow_undecided,
        calibration=tolerances,
    )
    typer.echo(json.dumps(result.data(), indent=2) if as_json else result.markdown(), nl=as_json)
    typer.echo(f"gate: {result.verdict}", err=True)
    raise typer.Exit(result.exit_code)


@app.command("calibrate")
def calibrate(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Three run folders or more of one method; seeds may differ."),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Where the tolerances go; `gate --tolerances FILE` reads them."),
    ] = Path("tolerances.yaml"),
    false_alarms: Annotated[
        float, typer.Option(help="Chance that an unchanged run is beyond a tolerance in any column.")
    ] = 0.05,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="An earlier calibration: tells a spread that grew from a reference that moved.",
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="markdown, html, latex or csv.")] = "markdown",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Take tolerances from repeated unchanged runs (A/A), and write them to a file for the gate.

    Exit code: 0; with --against, 1 if a spread grew or the reference moved; 2 usage.
    """
    from emojibench.reports import rendered
    from emojibench.reports.calibrating import calibrate as calibrated
    from emojibench.reports.calibrating import write_file

    result = calibrated(runs, false_alarms=false_alarms, against=against)
    write_file(result.calibration, out)
    text = json.dumps(result.data(), indent=2) + "\n" if as_json else rendered(result.blocks(), form)
    typer.echo(text, nl=False)
    typer.echo(f"wrote {out}", err=True)
    raise typer.Exit(result.exit_code)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UserError(f"--tolerance: expected COLUMN=VALUE such as l1=0.002 or fvd=5%, got {text!r}")
    return name, value
