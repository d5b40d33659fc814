"""`emojibench run`: animate a split with a method and score it."""

from pathlib import Path
from typing import Annotated

import typer

Split = Annotated[str, typer.Option(help="`self` (a subject drives itself) or `cross` (another one drives).")]
Data = Annotated[str, typer.Option("--dataset", help="`mini`, `synth`, or a dataset folder.")]
Clips = Annotated[
    str | None,
    typer.Option(
        help="Number of clips, counted from the first, or clip ids separated by commas; all by default."
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(help="Metrics or columns; repeat or separate by commas; all by default."),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Size of the square frames in pixels. Results of different sizes are never compared.",
        show_default="the dataset's",
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        help="Use at most this many frames of each clip. Results of different lengths are never compared.",
        show_default="the dataset's",
    ),
]
Jobs = Annotated[int, typer.Option(help="Worker processes.")]
Name = Annotated[
    str | None, typer.Option(help="Name of the run folder; <method>-<split>-<dataset> by default.")
]
Out = Annotated[Path, typer.Option(help="Folder that holds run folders.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with code 3 if a metric is unavailable.")]
Timeout = Annotated[float, typer.Option(help="Seconds that one clip may take; then it fails.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a run of this name instead of continuing it.")
]
Every = Annotated[
    bool, typer.Option("--all", help="Show every column, not only the paper's and those of --metrics.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print summary.json instead of a table.")]


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
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Option of the method; repeatable.")
    ] = None,
    jobs: Jobs = 1,
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
    from emojibench.cli.results import chosen_clips, key_values, listed, show
    from emojibench.dataset import locating
    from emojibench.methods import finding

    finding.checked(method)
    locating.dataset(dataset)
    typer.echo("loading ...", err=True)
    from emojibench.runs.api import run as run_method

    result = run_method(
        method,
        split=split,
        dataset=dataset,
        clips=chosen_clips(clips),
        metrics=listed(metrics),
        options=key_values(options),
        jobs=jobs,
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
