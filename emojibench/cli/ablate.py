"""`emojibench ablate`: train and measure the rows of the paper's Table 4 at equal compute."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    measured_clips,
    measured_split,
    settled,
)
from emojibench.extras import require_model

if TYPE_CHECKING:
    from emojibench.fye.ablation.matrix import AblationVariant
    from emojibench.fye.ablation.page import AblationRow
    from emojibench.fye.ablation.running import Training
    from emojibench.fye.matrix import Measuring
    from emojibench.reports.load import FinishedRun


def ablate(
    context: typer.Context,
    config: Config = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows to run, with those they refer to; repeat or separate by commas.", show_default="all"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for training data, checkpoints, weights and runs.", show_default="ablation"
        ),
    ] = None,
    split: Annotated[str | None, measured_split("cross")] = None,
    dataset: MeasuredData = None,
    clips: Annotated[str | None, measured_clips(20)] = None,
    options: RowOptions = None,
    minutes: Annotated[
        float | None, typer.Option(help="Training budget of each row, wall clock.", show_default="30")
    ] = None,
    steps: Annotated[
        str,
        typer.Option(
            help="Train this many steps of single frames, clips and rollouts instead of --minutes, e.g. 2000,800,400."
        ),
    ] = "",
    device: Annotated[
        str | None, typer.Option(help="Where to train: cpu or cuda.", show_default="cpu")
    ] = None,
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
    preset: HiddenText = None,
    main: HiddenPath = None,
    start: HiddenText = None,
    data: HiddenPath = None,
    identities: HiddenInt = None,
    bf16: Annotated[bool, typer.Option("--bf16", hidden=True)] = False,
    threads: HiddenInt = None,
    dry_run: DryRun = False,
    redraw: Annotated[
        bool,
        typer.Option(
            "--redraw",
            help="Write the page again from the rows that are finished in --out, and train and measure nothing. "
            "Their weights and videos are not needed.",
        ),
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Train and measure the rows of --rows again, all by default; training data that was made otherwise "
            "is replaced.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Measure the rows of --rows again, all by default; trained weights are kept."
        ),
    ] = False,
) -> None:
    """Train variants of the reference model with equal budgets and compare them on the same clips.

    Started again, it continues what was interrupted: finished rows are kept, a row in the middle goes on from its
    last checkpoint. Exit code 3 if a clip failed. Each key of the file that --dry-run prints is a flag as well, such
    as --matrix.
    """
    require_model("emojibench ablate", "train")
    from emojibench.dataset import locating
    from emojibench.fye.settings import AblateSettings

    settings = settled(AblateSettings, context)
    locating.dataset(settings.dataset)
    if settings.matrix is not None:
        locating.existing(settings.matrix, "--matrix")
    typer.echo("loading the training code …", err=True)
    import shutil

    from emojibench.files.locking import alone
    from emojibench.fye.ablation import matrix as matrices
    from emojibench.fye.ablation import running
    from emojibench.fye.ablation.page import write_ablation
    from emojibench.fye.training_data import synthetic
    from emojibench.reports.load import load_run

    known = matrices.read(settings.matrix or matrices.PAPER)
    chosen = [row for row in matrices.choose(known, settings.rows) if not row.missing]
    size, recipe = running.plan(settings)
    out, count = settings.out, settings.identities
    training = running.Training(
        out,
        size,
        recipe,
        settings.main,
        settings.start,
        count,
        lambda: synthetic(settings.data or out / "data", count, size.resolution, fresh=fresh),
    )
    how = settings.measuring
    running.check(chosen, training, how)
    if dry_run:
        typer.echo(settings.yaml(), nl=False)
        return
    file = settings.table or out / "ablation.md"
    if redraw:
        typer.echo(_redraw(known, training, how, file), nl=False)
        return
    named = set(settings.rows or (row.name for row in chosen))
    page, failed = "", False
    with alone(out, "another process trains rows here; wait for it or choose another --out"), how.executor:
        if fresh:
            for row in known:
                if row.name in named:
                    shutil.rmtree(training.folder(row.name), ignore_errors=True)
                if row.name in named or row.weights in named:
                    shutil.rmtree(training.run(row.name), ignore_errors=True)
        for row in chosen:
            if row.trained:
                typer.echo(f"training {row.name}", err=True)
                training.train(row)
            typer.echo(f"measuring {row.name}", err=True)
            result = running.measure(row, training, how, overwrite=overwrite and row.name in named)
            failed |= result.exit_code != 0
            page = write_ablation(_lines(known, training, how, load_run(result.folder)), file)
    typer.echo(page, nl=False)
    if failed:
        raise typer.Exit(3)


def _redraw(known: "tuple[AblationVariant, ...]", training: "Training", how: "Measuring", file: Path) -> str:
    """Write the page of what is finished; the first row that is says what the others must be like."""
    from emojibench.errors import UserError
    from emojibench.fye.ablation.page import write_ablation
    from emojibench.reports.load import load_run

    reason = "no row is finished"
    for row in known:
        if training.run(row.name).joinpath("summary.json").is_file():
            lines = _lines(known, training, how, load_run(training.run(row.name)))
            if any(line.run for line in lines):
                return write_ablation(lines, file)
            reason = next(f"row {line.name}: {line.reason}" for line in lines if line.name == row.name)
            break
    raise UserError(
        f"--redraw: {training.out} holds no row that fits the settings ({reason}); name the folder of an ablation "
        "with --out and its settings with --config"
    )


def _lines(
    known: "tuple[AblationVariant, ...]", training: "Training", how: "Measuring", like: "FinishedRun"
) -> "list[AblationRow]":
    """All rows of the page, with the runs of those that were trained and measured as `like` was."""
    from emojibench.fye.ablation.page import AblationRow
    from emojibench.fye.ablation.running import effort, is_todays, start
    from emojibench.reports.load import load_run

    lines = []
    for row in known:
        run, reason = None, row.missing or "not run yet"
        if training.run(row.name).joinpath("summary.json").is_file():
            run = load_run(training.run(row.name))
            if (run.track, run.spec.split, run.spec.clips) != (like.track, like.spec.split, like.spec.clips):
                run, reason = None, "measured on other clips or under another protocol; run it again"
            elif differing := training.otherwise(row.weights or row.name):
                run, reason = None, f"trained otherwise ({differing}); run it again with --fresh"
            elif not is_todays(run.spec, row, training, how):
                run, reason = None, "measured with other options or weights; run it again with --overwrite"
        folder = training.folder(row.name)
        trained, began = (effort(folder), start(folder)) if row.trained else (None, None)
        lines.append(AblationRow(row.name, row.title, row.against, run, reason, trained, began))
    return lines
