"""`emojibench train`: train a preset of the reference model, on procedural identities or on a dataset."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from emojibench.errors import UserError
from emojibench.extras import require_model

if TYPE_CHECKING:
    from fye_faster.train.data import TrainingSet
    from fye_faster.train.recipe import Recipe

    from emojibench.fye.trainable import TrainablePreset

Number = TypeVar("Number", int, float)


def train(
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file of settings, as --dry-run prints it; flags come on top of it."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="mini, or paper: the full-size model, which starts from --from.", show_default="mini"
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
    start: Annotated[Path | None, typer.Option(hidden=True)] = None,
    learning_rate: Annotated[float | None, typer.Option(hidden=True)] = None,
    identities: Annotated[int | None, typer.Option(hidden=True)] = None,
    validation: Annotated[int | None, typer.Option(hidden=True)] = None,
    seed: Annotated[int | None, typer.Option(hidden=True)] = None,
    perceptual: Annotated[float | None, typer.Option(hidden=True)] = None,
    bf16: Annotated[bool, typer.Option("--bf16", hidden=True)] = False,
    threads: Annotated[int | None, typer.Option(hidden=True)] = None,
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
    from emojibench.fye.settings import TrainSettings, numbers, settle

    flags = {
        "preset": preset, "from": trainable.paths(files) if files else None, "minutes": minutes,
        "steps": numbers(steps), "dataset": dataset, "out": out, "device": device, "shares": numbers(shares),
        "start": start, "learning_rate": learning_rate, "identities": identities, "validation": validation,
        "seed": seed, "perceptual": perceptual, "bf16": bf16 or None, "threads": threads,
    }  # fmt: skip
    settings = settle(TrainSettings, config, flags)
    trainable.check(settings.preset, settings.files)
    if settings.dataset:
        locating.dataset(settings.dataset)
    typer.echo("loading the training code …", err=True)
    import torch
    from fye_faster.train import training_state
    from fye_faster.train.recipe import PHASES

    chosen = trainable.choose(settings.preset, settings.start, settings.files)
    recipe = chosen.recipe()
    if settings.perceptual and "decoder" not in chosen.phases:
        raise UserError(f"--perceptual: preset {settings.preset} has no decoder to train; leave it out")
    recipe = replace(
        recipe,
        minutes=settings.minutes,
        shares=_phases("--shares", settings.shares, chosen) or recipe.shares,
        steps=_phases("--steps", settings.steps, chosen),
        seed=settings.seed,
        learning_rate=settings.learning_rate or recipe.learning_rate,
        perceptual=settings.perceptual,
        bf16=settings.bf16,
        device=settings.device,
    )
    out = settings.out or Path("training") / settings.preset
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    if dry_run:
        own = {
            phase: share for phase, share in zip(PHASES, recipe.shares, strict=True) if phase in chosen.phases
        }
        told = {"out": out, "shares": tuple(own.values()), "learning_rate": recipe.learning_rate}
        with tempfile.TemporaryDirectory() as folder:
            found = _dry_run(chosen, recipe, _data(Path(folder), settings.dataset, 4, chosen, count=4))
        typer.echo(f"# found by --dry-run: {found}\n{settings.model_copy(update=told).yaml()}", nl=False)
        return
    if fresh:  # before anything new is made, so that no later call goes on from the old
        training_state.discard(out)
    count, validation = settings.identities + settings.validation, settings.validation
    data = _data(out / "data", settings.dataset, count, chosen, fresh=fresh)
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
    from emojibench.progress import Stages, stage

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


def _dry_run(chosen: "TrainablePreset", recipe: "Recipe", data: "TrainingSet") -> str:
    """JSON of what a step takes, on one line."""
    try:
        found = chosen.dry_run(data, recipe, lambda text: typer.echo(text, err=True))
    except ValueError as error:
        raise UserError(str(error)) from error
    return json.dumps({"sequences": len(data.frames), "frames": data.frames.shape[1], **found})


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


def _phases(
    flag: str, numbers: "tuple[Number, ...] | None", chosen: "TrainablePreset"
) -> "tuple[Number, Number, Number, Number] | None":
    """Numbers for the preset's phases, not all 0; 0 for those of `recipe.PHASES` that it lacks. None stays None."""
    from fye_faster.train.recipe import PHASES

    if numbers is None:
        return None
    phases = chosen.phases
    if len(numbers) != len(phases) or not any(numbers):
        raise UserError(
            f"{flag}: expected {len(phases)} numbers ({', '.join(phases)}), not all of them 0, got "
            f"{','.join(map(str, numbers))}"
        )
    given = dict(zip(phases, numbers, strict=True))
    zero = type(numbers[0])(0)
    first, second, third, fourth = (given.get(phase, zero) for phase in PHASES)
    return first, second, third, fourth
