"""`emojibench ablate`: train and measure the rows of the paper's Table 4 at equal compute."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emojibench.errors import UserError

if TYPE_CHECKING:
    from emojibench.fye.ablation.matrix import Row
    from emojibench.fye.ablation.running import Training


def ablate(
    minutes: Annotated[float, typer.Option(help="Training budget of each row, wall clock.", min=0.01)] = 30.0,
    steps: Annotated[
        str,
        typer.Option(
            help="Train this many steps of single frames, clips and decoder instead of --minutes, e.g. 2000,800,400."
        ),
    ] = "",
    rows: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows to run, with those they refer to; repeat or separate by commas.", show_default="all"
        ),
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of rows.", show_default="the paper's, emojibench/fye/ablation/matrix.yaml"
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for training data, checkpoints, weights and runs.")
    ] = Path("ablation"),
    table: Annotated[
        Path | None,
        typer.Option(help="The page; a JSON of all figures goes beside it.", show_default="OUT/ablation.md"),
    ] = None,
    preset: Annotated[str, typer.Option(help="Which preset of the reference model.")] = "mini",
    main: Annotated[
        Path | None,
        typer.Option(
            help="Weights whose encoder all rows use; rows that are not trained use all of them.",
            show_default="the package's",
        ),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            help="What trained rows start from: `random` weights, or the `main` ones with a new landmark encoder."
        ),
    ] = "random",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of training data; it is made if it does not exist.", show_default="OUT/data"
        ),
    ] = None,
    identities: Annotated[int, typer.Option(help="Procedural identities to train on.", min=2)] = 900,
    bf16: Annotated[bool, typer.Option("--bf16", help="Train in mixed precision.")] = False,
    device: Annotated[str, typer.Option(help="Where to train: cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves the choice to PyTorch.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of all trainings and animations.")] = 0,
    split: Annotated[str, typer.Option(help="What to measure on: `self` or `cross`.")] = "cross",
    dataset: Annotated[str, typer.Option(help="`mini`, `synth`, or a dataset folder.")] = "synth",
    clips: Annotated[
        str, typer.Option(help="Number of clips, counted from the first, or clip ids separated by commas.")
    ] = "20",
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
        typer.Option("--set", metavar="KEY=VALUE", help="Option of fye-faster for all rows; repeatable."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Worker processes of the measuring.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds that one clip may take; then it fails.")] = 1800,
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
    last checkpoint. Exit code 3 if a clip failed.
    """
    from emojibench.dataset import locating

    locating.dataset(dataset)
    if matrix is not None:
        locating.existing(matrix, "--matrix")
    typer.echo("loading the training code …", err=True)
    import shutil

    import torch
    from fye_faster import presets
    from fye_faster.train.recipe import Recipe

    from emojibench.cli.results import chosen_clips, key_values, listed
    from emojibench.fye.ablation import matrix as matrices
    from emojibench.fye.ablation import running
    from emojibench.fye.matrix import Measuring
    from emojibench.fye.training_data import synthetic

    known = matrices.read(matrix or matrices.PAPER)
    chosen = [row for row in matrices.choose(known, listed(rows)) if not row.missing]
    if device not in ("cpu", "cuda"):
        raise UserError(f"--device: expected cpu or cuda, got {device!r}")
    if start not in running.STARTS:
        raise UserError(f"--start: expected {' or '.join(running.STARTS)}, got {start!r}")
    # The usual warm-up would be most of a small budget.
    recipe = Recipe(minutes=minutes, steps=_steps(steps), seed=seed, warm_up=20, bf16=bf16, device=device)
    encoder, phase1, phase2, decoder = recipe.shares
    rest = 1 - encoder
    recipe = replace(recipe, shares=(0, phase1 / rest, phase2 / rest, decoder / rest))
    try:
        size = presets.get(preset)
    except ValueError as error:
        raise UserError(f"--preset: {error}") from error
    if threads:
        torch.set_num_threads(threads)
    training = running.Training(
        out,
        size,
        recipe,
        main,
        start,
        identities,
        lambda: synthetic(data or out / "data", identities, size.resolution, fresh=fresh),
    )
    how = Measuring(
        split, dataset, chosen_clips(clips), frames, listed(metrics), jobs, timeout, seed, key_values(options)
    )
    running.check(chosen, training, how)
    named = set(listed(rows) or (row.name for row in chosen))
    if fresh:
        for row in known:
            if row.name in named:
                shutil.rmtree(training.folder(row.name), ignore_errors=True)
            if row.name in named or row.weights in named:
                shutil.rmtree(training.out / "runs" / row.name, ignore_errors=True)

    page, failed = "", False
    for row in chosen:
        if row.trained:
            typer.echo(f"training {row.name}", err=True)
            training.train(row)
        typer.echo(f"measuring {row.name}", err=True)
        result = running.measure(row, training, how, overwrite=overwrite and row.name in named)
        failed |= result.exit_code != 0
        page = _write(known, training, result.folder, table or out / "ablation.md")
    typer.echo(page, nl=False)
    if failed:
        raise typer.Exit(3)


def _write(known: "tuple[Row, ...]", training: "Training", latest: Path, file: Path) -> str:
    """Write the page: all rows, and the runs of those that were trained and measured as the latest run was."""
    from emojibench.fye.ablation.page import AblationRow, write_ablation
    from emojibench.fye.ablation.running import effort, start
    from emojibench.reports.load import load_run

    like = load_run(latest)
    lines = []
    for row in known:
        run, reason = None, row.missing or "not run yet"
        if (folder := training.out / "runs" / row.name).joinpath("summary.json").is_file():
            run = load_run(folder)
            if (run.track, run.spec.split, run.spec.clips) != (like.track, like.spec.split, like.spec.clips):
                run, reason = None, "measured on other clips or under another protocol; run it again"
            elif differing := training.otherwise(row.weights or row.name):
                run, reason = None, f"trained otherwise ({differing}); run it again with --fresh"
        folder = training.folder(row.name)
        trained, began = (effort(folder), start(folder)) if row.trained else (None, None)
        lines.append(AblationRow(row.name, row.title, row.against, run, reason, trained, began))
    return write_ablation(lines, file)


def _steps(text: str) -> tuple[int, int, int, int] | None:
    """Numbers of steps from `2000,800,400`, none for the autoencoder; None for an empty text."""
    if not text:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"--steps: expected three positive numbers as in 2000,800,400, got {text!r}")
    frames, clips, decoder = map(int, parts)
    return 0, frames, clips, decoder
