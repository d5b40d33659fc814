"""`emojibench train`: train a preset of the reference model, on procedural identities or on a dataset."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from emojibench.errors import UserError

if TYPE_CHECKING:
    from fye_faster.train.data import TrainingSet
    from fye_faster.train.recipe import Recipe

    from emojibench.fye.trainable import TrainablePreset

Number = TypeVar("Number", int, float)


def train(
    preset: Annotated[
        str, typer.Option(help="mini, or paper: the full-size model, which starts from --from.")
    ] = "mini",
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="NAME=PATH",
            help="Checkpoints that paper starts from: sd15-unet, sd15-vae, clip, motion; repeat for each.",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="Wall-clock budget of the training itself.", min=0.01)
    ] = 60.0,
    shares: Annotated[
        str,
        typer.Option(
            help="Share of --minutes for each phase: autoencoder,frames,clips,decoder; paper: frames,clips.",
            show_default="0.12,0.55,0.2,0.13; paper: 0.75,0.25",
        ),
    ] = "",
    steps: Annotated[
        str,
        typer.Option(
            help="Steps of each phase instead of --minutes, e.g. 2000,2000,800,1000; paper: 30000,10000."
        ),
    ] = "",
    start: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from; what a phase with share 0 would train stays as it is in them.",
            exists=True,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Peak of the learning rate.", show_default="0.0006; paper: 0.00001", min=1e-7, max=0.1
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for data, checkpoints, log and pictures.", show_default="training/PRESET"),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="Folder made by `emojibench data build`; procedural identities by default.")
    ] = "",
    identities: Annotated[int, typer.Option(help="Procedural identities to train on.", min=2)] = 900,
    validation: Annotated[
        int, typer.Option(help="Identities held out for validation while training.", min=1)
    ] = 6,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and noise.")] = 0,
    perceptual: Annotated[
        float,
        typer.Option(
            help="Weight of LPIPS (SqueezeNet, from the weights registry) in the decoder's phase.",
            min=0,
            max=100,
        ),
    ] = 0.0,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Mixed precision; faster on GPUs and on CPUs with AVX512-BF16.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves the choice to PyTorch.")] = 0,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Prepare the training data and stop.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="A few steps of each phase on a few sequences: checks data, shapes, memory."
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
    OUT/PRESET.safetensors (fp16), progress in OUT/log.jsonl and OUT/tensorboard.
    """
    from emojibench.dataset import locating
    from emojibench.fye import trainable

    if device not in ("cpu", "cuda"):
        raise UserError(f"--device: expected cpu or cuda, got {device!r}")
    trainable.check(preset, files or [])
    if dataset:
        locating.dataset(dataset)
    typer.echo("loading the training code …", err=True)
    import torch
    from fye_faster.train import training_state

    chosen = trainable.choose(preset, start, files or [])
    recipe = chosen.recipe()
    if perceptual and "decoder" not in chosen.phases:
        raise UserError(f"--perceptual: preset {preset} has no decoder to train; leave it out")
    recipe = replace(
        recipe,
        minutes=minutes,
        shares=_numbers("--shares", shares, float, chosen) if shares else recipe.shares,
        steps=_numbers("--steps", steps, int, chosen) if steps else None,
        seed=seed,
        learning_rate=learning_rate or recipe.learning_rate,
        perceptual=perceptual,
        bf16=bf16,
        device=device,
    )
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    if dry_run:
        with tempfile.TemporaryDirectory() as folder:
            _dry_run(chosen, recipe, _data(Path(folder), dataset, 4, chosen, count=4))
        return
    out = out or Path("training") / preset
    if fresh:  # before anything new is made, so that no later call goes on from the old
        training_state.discard(out)
    data = _data(out / "data", dataset, identities + validation, chosen, fresh=fresh)
    if len(data.frames) < validation + 2:
        raise UserError(
            f"{out / 'data'}: {len(data.frames)} usable sequences, {validation} of them for validation; "
            "ask for more --identities or less --validation"
        )
    if not data_only:
        _train(chosen, recipe, data, validation, out)


def _train(
    chosen: "TrainablePreset", recipe: "Recipe", data: "TrainingSet", validation: int, out: Path
) -> None:
    from fye_faster.models import checkpoint
    from fye_faster.train.training_log import jsonl, tensorboard
    from fye_faster.train.validation import Validation

    from emojibench.fye import trainable
    from emojibench.fye.stages import Stages, stage

    logs = [jsonl(out / "log.jsonl")]
    try:
        logs.append(tensorboard(out / "tensorboard"))
    except ImportError:
        typer.echo("no TensorBoard here (pip install 'emojibench[train]'); log.jsonl has it all", err=True)

    def log(record: dict[str, float | int | str]) -> None:
        for write in logs:
            write(record)

    try:
        trainer = chosen.trainer(data[:-validation], recipe, out, log)
        going_on = trainer.resume()
    except ValueError as error:
        raise UserError(f"{out}: {error}") from error
    if not trainer.accelerator.is_main_process:
        trainer.run()
        return
    if going_on:
        typer.echo(f"continuing phase {trainer.phase} at step {trainer.step}", err=True)
    look = Validation(
        *chosen.validation_pipeline(trainer),
        data[-validation:],
        out,
        log,
        perceptual=trainable.distance(recipe),
        share=recipe.perceptual,
    )
    with Stages() as stages:
        weights = trainer.run(look, stages)
    path = out / f"{chosen.name}.safetensors"
    checkpoint.save(path, weights, trainer.preset)
    with stage("last look"):
        look(weights, "final")
    typer.echo(str(path))


def _dry_run(chosen: "TrainablePreset", recipe: "Recipe", data: "TrainingSet") -> None:
    """Print one JSON line of what a step takes."""
    try:
        found = chosen.dry_run(data, recipe, lambda text: typer.echo(text, err=True))
    except ValueError as error:
        raise UserError(str(error)) from error
    typer.echo(json.dumps({"sequences": len(data.frames), "frames": data.frames.shape[1], **found}))


def _data(
    folder: Path,
    dataset: str,
    identities: int,
    chosen: "TrainablePreset",
    *,
    count: int | None = None,
    fresh: bool = False,
) -> "TrainingSet":
    """Procedural identities, or `count` clips (all by default) of a dataset."""
    from emojibench.fye import training_data as training

    side, warp = chosen.resolution, chosen.warp
    if not dataset:
        return training.synthetic(folder, identities, side, warp=warp, fresh=fresh)
    from emojibench.dataset import load_dataset

    return training.from_dataset(
        folder, load_dataset(dataset, size=side), count=count, warp=warp, fresh=fresh
    )


def _numbers(
    flag: str, text: str, kind: "type[Number]", chosen: "TrainablePreset"
) -> "tuple[Number, Number, Number, Number]":
    """Numbers for the preset's phases, none negative and not all 0; 0 for those of `recipe.PHASES` that it lacks."""
    from fye_faster.train.recipe import PHASES

    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    phases = chosen.phases
    if len(numbers) != len(phases) or min(numbers) < 0 or not 0 < sum(numbers) < float("inf"):
        example = ",".join("2000" if kind is int else "0.5" for _ in phases)
        raise UserError(
            f"{flag}: expected {len(phases)} numbers ({', '.join(phases)}), none negative, as in {example}; "
            f"got {text!r}"
        )
    given = dict(zip(phases, numbers, strict=True))
    first, second, third, fourth = (given.get(phase, kind(0)) for phase in PHASES)
    return first, second, third, fourth
