"""`emojibench accel`: the paper's Tables 3 and 5 and its Fig. 12, measured."""

from pathlib import Path
from typing import Annotated

import typer

from emojibench.cli.flags import (
    Config,
    DryRun,
    HiddenFloat,
    HiddenInt,
    HiddenPath,
    HiddenText,
    HiddenTexts,
    MeasuredData,
    RowOptions,
    given,
    measured_clips,
    measured_split,
    settled,
)
from emojibench.extras import require_model


def accel(
    context: typer.Context,
    config: Config = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows to run beside the first; repeat or separate by commas. The page shows those "
            "finished before as well.",
            show_default="all",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for runs and traces.", show_default="acceleration")
    ] = None,
    split: Annotated[str | None, measured_split("self")] = None,
    dataset: MeasuredData = None,
    clips: Annotated[str | None, measured_clips(12)] = None,
    options: RowOptions = None,
    matrix: HiddenPath = None,
    table: HiddenPath = None,
    frames: HiddenInt = None,
    metrics: HiddenTexts = None,
    jobs: HiddenInt = None,
    executor: HiddenText = None,
    address: HiddenText = None,
    gpus_per_worker: HiddenFloat = None,
    timeout: HiddenFloat = None,
    seed: HiddenInt = None,
    traced: HiddenInt = None,
    floor_clips: HiddenInt = None,
    dry_run: DryRun = False,
    redraw: Annotated[
        bool,
        typer.Option(
            "--redraw",
            help="Draw the figures again from the files beside the page (--table), and run nothing.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Run the rows of --rows again, all by default.")
    ] = False,
) -> None:
    """Compare accelerators of the reference model with the uncached run: tables and figures.

    Started again, it continues what was interrupted. Exit code 3 if a clip failed. Each key of the file that
    --dry-run prints is a flag as well, such as --traced.
    """
    from emojibench.fye.settings import AccelSettings

    settings = settled(AccelSettings, context)
    page = settings.table or settings.out / "acceleration.md"
    if redraw:
        _redraw(page, others=given(context) - {"redraw", "table", "out", "config"})
        return
    require_model("emojibench accel")
    from emojibench.dataset import locating

    locating.dataset(settings.dataset)
    if settings.matrix is not None:
        locating.existing(settings.matrix, "--matrix")
    typer.echo("loading methods and metrics …", err=True)
    from emojibench.fye.acceleration import matrix as matrices
    from emojibench.fye.acceleration.comparing import AccelerationRow
    from emojibench.fye.acceleration.figures import curves, write_figures
    from emojibench.fye.acceleration.page import write_acceleration
    from emojibench.fye.acceleration.running import Acceleration, Finished

    known = matrices.read(settings.matrix or matrices.PAPER)
    chosen = matrices.choose(known, settings.rows)
    how = settings.measuring
    work = Acceleration(settings.out, how, settings.traced, settings.floor_clips)
    work.check(chosen)
    if dry_run:
        typer.echo(settings.yaml(), nl=False)
        return

    named = set(settings.rows or (row.name for row in chosen))
    text, failed, finished = "", False, dict[str, Finished]()
    with how.executor:
        for row in chosen:
            typer.echo(f"running {row.name}", err=True)
            finished[row.name] = work.run(row, overwrite=overwrite and row.name in named)
            failed |= finished[row.name].exit_code != 0
            if row is chosen[0]:
                others = {other.name: work.kept(other) for other in known if other is not row}
                finished |= {name: done for name, done in others.items() if done is not None}
            lines = []
            for other in known:
                done = finished.get(other.name)
                found = (
                    (done.run, "", done.distances, done.traces) if done else (None, "not run yet", None, None)
                )
                lines.append(AccelerationRow(other.name, other.title, other.groups, *found))
            text = write_acceleration(lines, page, work.missing)
    typer.echo("drawing figures …", err=True)
    for file in write_figures(page, curves(lines)):
        typer.echo(f"wrote {file}", err=True)
    typer.echo(text, nl=False)
    if failed:
        raise typer.Exit(3)


def _redraw(page: Path, others: set[str]) -> None:
    from emojibench.errors import UserError

    if others:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(others))
        raise UserError(f"--redraw: runs nothing, so it goes with --table or --out alone; leave {flags} out")
    from emojibench.fye.acceleration.figures import kept_curves, write_figures

    for file in write_figures(page, kept_curves(page)):
        typer.echo(file)
