"""`emojibench run`: animate a split with a method and score it."""

from pathlib import Path
from typing import Annotated

import typer

from emojibench.cli.flags import (
    Address,
    AsJson,
    Clips,
    Data,
    Every,
    Executor,
    Frames,
    GpusPerWorker,
    MethodOptions,
    Metrics,
    Name,
    Out,
    Overwrite,
    Size,
    Split,
    Strict,
    Timeout,
    Workers,
    chosen_clips,
    key_values,
    listed,
)


def run(
    method: Annotated[
        str,
        typer.Option(
            help="Registered name (`emojibench methods` lists them), or the YAML file of a command."
        ),
    ],
    split: Split = "self",
    dataset: Data = "mini",
    clips: Clips = None,
    size: Size = None,
    frames: Frames = None,
    metrics: Metrics = None,
    options: MethodOptions = None,
    jobs: Workers = None,
    executor: Executor = "local",
    address: Address = None,
    gpus_per_worker: GpusPerWorker = None,
    seed: Annotated[
        int, typer.Option(help="Random seed. Each clip's own seed is derived from it and the clip id.")
    ] = 0,
    name: Name = None,
    out: Out = Path("runs"),
    strict: Strict = False,
    timeout: Timeout = 1800,
    overwrite: Overwrite = False,
    every: Every = False,
    as_json: AsJson = False,
) -> None:
    """Animate a split with a method and score it. Started again, it continues an interrupted run.

    Exit code 0: all went well; 2: something has to be corrected first; 3: some clip failed (or, with --strict,
    some metric was unavailable).
    """
    from emojibench.cli.results import show
    from emojibench.dataset import locating
    from emojibench.methods import finding

    finding.checked(method)
    locating.dataset(dataset)
    from emojibench.parallel.choosing import named

    workers = named(executor, jobs, address, gpus_per_worker)
    typer.echo("loading ...", err=True)
    from emojibench.runs.api import run as run_method

    result = run_method(
        method,
        split=split,
        dataset=dataset,
        clips=chosen_clips(clips),
        metrics=listed(metrics),
        options=key_values(options),
        executor=workers,
        seed=seed,
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
