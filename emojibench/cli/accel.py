"""`emojibench accel`: the paper's Tables 3 and 5 and its Fig. 12, measured."""

from pathlib import Path
from typing import Annotated

import typer

from emojibench.extras import require_model


def accel(
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file of settings, as --dry-run prints it; flags come on top of it."),
    ] = None,
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
    split: Annotated[
        str | None, typer.Option(help="What to measure on: `self` or `cross`.", show_default="self")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="`mini`, `synth`, or a dataset folder.", show_default="synth")
    ] = None,
    clips: Annotated[
        str | None,
        typer.Option(
            help="Number of clips, counted from the first, or clip ids separated by commas.",
            show_default="12",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Option of all rows' methods; repeatable."),
    ] = None,
    matrix: Annotated[Path | None, typer.Option(hidden=True)] = None,
    table: Annotated[Path | None, typer.Option(hidden=True)] = None,
    frames: Annotated[int | None, typer.Option(hidden=True)] = None,
    metrics: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    jobs: Annotated[int | None, typer.Option(hidden=True)] = None,
    timeout: Annotated[float | None, typer.Option(hidden=True)] = None,
    seed: Annotated[int | None, typer.Option(hidden=True)] = None,
    traced: Annotated[int | None, typer.Option(hidden=True)] = None,
    floor_clips: Annotated[int | None, typer.Option(hidden=True)] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check all settings, print them as a file for --config, and stop."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Run the rows of --rows again, all by default.")
    ] = False,
) -> None:
    """Compare accelerators of the reference model with the uncached run: tables and figures.

    Started again, it continues what was interrupted. Exit code 3 if a clip failed. Each key of the file that
    --dry-run prints is a flag as well, such as --traced.
    """
    require_model("emojibench accel")
    from emojibench.cli.results import chosen_clips, key_values, listed
    from emojibench.dataset import locating
    from emojibench.fye.settings import AccelSettings, settle

    flags = {
        "rows": listed(rows), "out": out, "split": split, "dataset": dataset, "clips": chosen_clips(clips),
        "set": key_values(options) or None, "matrix": matrix, "table": table, "frames": frames,
        "metrics": listed(metrics), "jobs": jobs, "timeout": timeout, "seed": seed,
        "traced": traced, "floor_clips": floor_clips,
    }  # fmt: skip
    settings = settle(AccelSettings, config, flags)
    locating.dataset(settings.dataset)
    if settings.matrix is not None:
        locating.existing(settings.matrix, "--matrix")
    typer.echo("loading methods and metrics …", err=True)
    from emojibench.fye.acceleration import matrix as matrices
    from emojibench.fye.acceleration.comparing import AccelerationRow
    from emojibench.fye.acceleration.figures import write_figures
    from emojibench.fye.acceleration.page import write_acceleration
    from emojibench.fye.acceleration.running import Acceleration, Finished

    known = matrices.read(settings.matrix or matrices.PAPER)
    chosen = matrices.choose(known, settings.rows)
    work = Acceleration(settings.out, settings.measuring, settings.traced, settings.floor_clips)
    work.check(chosen)
    if dry_run:
        typer.echo(settings.yaml(), nl=False)
        return

    page, finished = settings.table or settings.out / "acceleration.md", dict[str, Finished]()
    text, failed = "", False
    for row in chosen:
        typer.echo(f"running {row.name}", err=True)
        finished[row.name] = work.run(row, overwrite=overwrite)
        failed |= finished[row.name].exit_code != 0
        if row is chosen[0]:
            others = {other.name: work.kept(other) for other in known if other is not row}
            finished |= {name: done for name, done in others.items() if done is not None}
        lines = []
        for other in known:
            done = finished.get(other.name)
            found = (done.run, "", done.distances, done.traces) if done else (None, "not run yet", None, None)
            lines.append(AccelerationRow(other.name, other.title, other.groups, *found))
        text = write_acceleration(lines, page, work.missing)
    typer.echo("drawing figures …", err=True)
    for file in write_figures(lines, page.parent):
        typer.echo(f"wrote {file}", err=True)
    typer.echo(text, nl=False)
    if failed:
        raise typer.Exit(3)
