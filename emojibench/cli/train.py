"""`emojibench train`: train a preset of the reference model, on procedural identities or on a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from emojibench.cli.flags import Config, HiddenFloat, HiddenInt, HiddenPath, settled
from emojibench.extras import require_model


def train(
    context: typer.Context,
    config: Config = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A preset of fye_faster.presets, or paper: the full-size model, which starts from --from.",
            show_default="mini",
        ),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="NAME=PATH",
            help="Checkpoints that paper starts from: sd15-unet, sd15-vae, clip, motion; repeat for each.",
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Wall-clock budget of the training itself.", show_default="60")
    ] = None,
    steps: Annotated[
        str,
        typer.Option(
            help="Steps of each phase instead of --minutes, e.g. 2000,2000,800,1000; paper: 30000,10000."
        ),
    ] = "",
    dataset: Annotated[
        str | None,
        typer.Option(help="Folder made by `emojibench data build`; procedural identities by default."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for data, checkpoints, log and pictures.", show_default="training/PRESET"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.", show_default="cpu")] = None,
    shares: Annotated[str, typer.Option(hidden=True)] = "",
    start: HiddenPath = None,
    learning_rate: HiddenFloat = None,
    identities: HiddenInt = None,
    validation: HiddenInt = None,
    seed: HiddenInt = None,
    perceptual: HiddenFloat = None,
    bf16: Annotated[bool, typer.Option("--bf16", hidden=True)] = False,
    threads: HiddenInt = None,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Prepare the training data and stop.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print all settings as a file for --config, after a few steps of each phase on a few sequences, "
            "which check data, shapes and memory.",
        ),
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Start over instead of continuing; data in OUT that was made otherwise is replaced.",
        ),
    ] = False,
) -> None:
    """Train the reference model, on drawn faces that no split contains or on your own dataset.

    Continues from the last checkpoint in `--out` when there is one. The weights end up in
    OUT/PRESET.safetensors (fp16), progress in OUT/log.jsonl and OUT/tensorboard. Each key of the file that --dry-run
    prints is a flag as well, such as --seed.
    """
    require_model("emojibench train", "train")
    from emojibench.dataset import locating
    from emojibench.fye import trainable
    from emojibench.fye.settings import TrainSettings

    settings = settled(TrainSettings, context, {"from": trainable.paths})
    trainable.check(settings.preset, settings.files)
    if settings.dataset:
        locating.dataset(settings.dataset)
    typer.echo("loading the training code …", err=True)
    from emojibench.fye import training

    def tell(text: str) -> None:
        typer.echo(text, err=True)

    planned = training.Planned(settings)
    if dry_run:
        typer.echo(planned.dry_run(tell), nl=False)
        return
    with planned.alone():
        sequences = planned.prepare(fresh=fresh)
        if not data_only and (weights := planned.train(sequences, tell)) is not None:
            typer.echo(str(weights))
