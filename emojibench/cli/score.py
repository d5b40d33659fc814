"""`emojibench score`: score finished videos, or the animations of a run once more."""

from pathlib import Path
from typing import Annotated

import typer

from emojibench.cli.flags import (
    Address,
    AsJson,
    Clips,
    Every,
    Executor,
    Frames,
    GpusPerWorker,
    Metrics,
    Out,
    Overwrite,
    Size,
    Split,
    Strict,
    Timeout,
    Workers,
    chosen_clips,
    listed,
)
from emojibench.errors import UserError


def score(
    context: typer.Context,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Folder with <clip_id>.mkv, .mp4, ... or <clip_id>/*.png for each clip of the split."
        ),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder whose animations are scored again.")] = None,
    split: Split = "self",
    dataset: Annotated[
        str | None,
        typer.Option(help="`mini` (the default), `synth`, or a dataset folder; with --run, the run's own."),
    ] = None,
    clips: Clips = None,
    size: Size = None,
    frames: Frames = None,
    metrics: Metrics = None,
    jobs: Workers = None,
    executor: Executor = "local",
    address: Address = None,
    gpus_per_worker: GpusPerWorker = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the method, by default the folder's; the run folder is <name>-<split>-<dataset>."
        ),
    ] = None,
    out: Out = Path("runs"),
    strict: Strict = False,
    timeout: Timeout = 1800,
    overwrite: Overwrite = False,
    every: Every = False,
    as_json: AsJson = False,
) -> None:
    """Score finished videos (--predictions DIR), or the animations of a run again (--run DIR).

    With --run, split, clips, size, frames and, unless given, dataset are the run's own. --metrics adds columns to
    those that a run has, or brings them up to date; without it all metrics are scored.
    """
    from emojibench.cli.results import show
    from emojibench.dataset import locating

    if (predictions is None) == (run is None):
        raise UserError(
            "score: expected either --predictions DIR (finished videos) or --run DIR (a run folder)"
        )
    if predictions is not None:
        locating.predictions(predictions)
    if dataset is not None:
        locating.dataset(dataset)
    if run is not None:
        for flag in ("split", "clips", "size", "frames", "name", "out", "overwrite"):
            if (source := context.get_parameter_source(flag)) and source.name != "DEFAULT":
                raise UserError(
                    f"--{flag}: expected with --predictions only, got it with --run, which scores a run as it is; "
                    "leave it out"
                )
        locating.run(run)
    from emojibench.parallel.choosing import named

    workers = named(executor, jobs, address, gpus_per_worker)
    typer.echo("loading ...", err=True)
    from emojibench.runs import api

    if run is not None:
        result = api.rescore(
            run, metrics=listed(metrics), dataset=dataset, executor=workers, strict=strict, timeout=timeout
        )
    else:
        assert predictions is not None
        result = api.score(
            predictions,
            split=split,
            dataset=dataset or "mini",
            clips=chosen_clips(clips),
            metrics=listed(metrics),
            executor=workers,
            name=name,
            out=out,
            strict=strict,
            timeout=timeout,
            overwrite=overwrite,
            size=size,
            frames=frames,
        )
    show(result, as_json=as_json, every=every, asked=listed(metrics))
    raise typer.Exit(result.exit_code)
