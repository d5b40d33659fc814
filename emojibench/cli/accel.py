"""`emojibench accel`: the paper's Tables 3 and 5 and its Fig. 12, measured."""

from pathlib import Path
from typing import Annotated

import typer


def accel(
    rows: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows to run beside the first; repeat or separate by commas. The page shows those finished "
            "before as well.",
            show_default="all",
        ),
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of rows.",
            show_default="the paper's and ours, emojibench/fye/acceleration/matrix.yaml",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs and traces.")] = Path("acceleration"),
    table: Annotated[
        Path | None,
        typer.Option(help="The page; figures and data go beside it.", show_default="OUT/acceleration.md"),
    ] = None,
    split: Annotated[str, typer.Option(help="What to measure on: `self` or `cross`.")] = "self",
    dataset: Annotated[str, typer.Option(help="`mini`, `synth`, or a dataset folder.")] = "synth",
    clips: Annotated[
        str, typer.Option(help="Number of clips, counted from the first, or clip ids separated by commas.")
    ] = "12",
    traced: Annotated[
        int, typer.Option(help="Denoise this many of the clips once more and record every step.", min=0)
    ] = 4,
    floor_clips: Annotated[
        int | None,
        typer.Option(
            help="Run the noise floors, which are slow, on this many of the clips only.",
            show_default="all",
            min=1,
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(help="Use at most this many frames of each clip.", show_default="the dataset's"),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(help="Metrics or columns; repeat or separate by commas.", show_default="all"),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Option of all rows' methods; repeatable."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Worker processes. Seconds are only comparable with 1.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds that one clip may take; then it fails.")] = 1800,
    seed: Annotated[int, typer.Option(help="Seed of all animations.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Run the rows of --rows again, all by default.")
    ] = False,
) -> None:
    """Compare accelerators of the reference model with the uncached run: tables and figures.

    Started again, it continues what was interrupted. Exit code 3 if a clip failed.
    """
    from emojibench.dataset import locating

    locating.dataset(dataset)
    if matrix is not None:
        locating.existing(matrix, "--matrix")
    typer.echo("loading methods and metrics …", err=True)
    from emojibench.cli.results import chosen_clips, key_values, listed
    from emojibench.fye.acceleration import matrix as matrices
    from emojibench.fye.acceleration.comparing import AccelerationRow
    from emojibench.fye.acceleration.figures import write_figures
    from emojibench.fye.acceleration.page import write_acceleration
    from emojibench.fye.acceleration.running import Acceleration, Finished
    from emojibench.fye.matrix import Measuring

    known = matrices.read(matrix or matrices.PAPER)
    chosen = matrices.choose(known, listed(rows))
    how = Measuring(
        split, dataset, chosen_clips(clips), frames, listed(metrics), jobs, timeout, seed, key_values(options)
    )
    work = Acceleration(out, how, traced, floor_clips)
    work.check(chosen)

    page, finished = table or out / "acceleration.md", dict[str, Finished]()
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
