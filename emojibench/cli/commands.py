"""All commands of `emojibench`, put together."""

import typer

from emojibench.cli import (
    ablate,
    accel,
    animate,
    baselines,
    check_method,
    compare,
    data,
    diff,
    export,
    gate,
    listing,
    report,
    run,
    score,
    submit,
    train,
    verify,
    weights,
)
from emojibench.cli.ending import Commands

app = typer.Typer(
    name="emojibench",
    help="EmojiBench++: measure portrait-animation methods. Start with `emojibench run --method fye-faster`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("score")(score.score)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("diff")(diff.diff)
app.command("verify")(verify.verify)
app.command("submit")(submit.submit)
app.command("export")(export.export)
app.command("animate")(animate.animate)
app.command("train")(train.train)
app.command("ablate")(ablate.ablate)
app.command("accel")(accel.accel)
app.command("check-method")(check_method.check_method)
app.command("methods")(listing.methods)
app.command("metrics")(listing.metrics)
app.add_typer(gate.app, name="gate")
app.add_typer(data.app, name="data", help="Look at, build, verify and export datasets.")
app.add_typer(baselines.app, name="baselines", help="List, set up and check other people's methods.")
app.add_typer(weights.app, name="weights", help="List and fetch the weights that metrics and methods need.")


@app.callback(cls=Commands, invoke_without_command=True)
def version(
    context: typer.Context,
    show: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """EmojiBench++: measure portrait-animation methods."""
    if show:
        from importlib.metadata import version as installed

        typer.echo(f"emojibench {installed('emojibench')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
