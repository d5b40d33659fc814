"""`emojibench train`: train a preset of the reference model, on procedural identities or on a dataset."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from emojibench.errors import UserError

if TYPE_CHECKING:
    from reference_model.objectives import Perceptual
    from reference_model.presets import Preset
    from reference_model.recipe import Recipe
    from reference_model.training_data import TrainingSet

Number = TypeVar("Number", int, float)


def train(
    preset: Annotated[str, typer.Option(help="Which preset of the reference model.")] = "mini",
    minutes: Annotated[
        float, typer.Option(help="Wall-clock budget of the training itself.", min=0.01)
    ] = 60.0,
    shares: Annotated[
        str, typer.Option(help="Of the budget, what each phase gets: autoencoder,frames,clips,decoder.")
    ] = "0.12,0.55,0.2,0.13",
    steps: Annotated[
        str, typer.Option(help="Steps of the four phases instead of a budget, as 2000,2000,800,1000.")
    ] = "",
    start: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from; a phase whose share is 0 keeps what they say.", exists=True
        ),
    ] = None,
    learning_rate: Annotated[
        float, typer.Option(help="Peak of the learning rate.", min=1e-7, max=0.1)
    ] = 6e-4,
    out: Annotated[Path, typer.Option(help="Folder for data, checkpoints, log and pictures.")] = Path(
        "training/mini"
    ),
    dataset: Annotated[
        str, typer.Option(help="Folder made by `emojibench data build`; procedural identities by default.")
    ] = "",
    identities: Annotated[int, typer.Option(help="Procedural identities to train on.", min=2)] = 900,
    validation: Annotated[int, typer.Option(help="Further identities to look at while training.", min=1)] = 6,
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
    """Train a preset on identities and motions that no split contains, or on a dataset of your own.

    Continues from the last checkpoint in `--out` when there is one. The weights end up in
    OUT/PRESET.safetensors (fp16), progress in OUT/log.jsonl and OUT/tensorboard.
    """
    import torch

    from reference_model import presets
    from reference_model.recipe import Recipe

    if device not in ("cpu", "cuda"):
        raise UserError(f"--device: expected cpu or cuda, got {device!r}")
    try:
        chosen = presets.get(preset)
        recipe = Recipe(
            minutes=minutes,
            shares=_four("--shares", shares, float),
            steps=_four("--steps", steps, int) if steps else None,
            seed=seed,
            learning_rate=learning_rate,
            perceptual=perceptual,
            bf16=bf16,
            device=device,
        )
    except ValueError as error:
        raise UserError(f"--preset: {error}") from error
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    if dry_run:
        with tempfile.TemporaryDirectory() as folder:
            _rehearse(chosen, recipe, _data(Path(folder), dataset, 4, chosen), Path(folder))
        return
    data = _data(out / "data", dataset, identities + validation, chosen, fresh=fresh)
    if len(data.frames) < validation + 2:
        raise UserError(
            f"{out / 'data'}: {len(data.frames)} usable sequences, {validation} of them for validation; "
            "ask for more --identities or less --validation"
        )
    if not data_only:
        _train(chosen, recipe, data, validation, out, start, fresh=fresh)


def _train(
    preset: "Preset",
    recipe: "Recipe",
    data: "TrainingSet",
    validation: int,
    out: Path,
    start: Path | None,
    *,
    fresh: bool,
) -> None:
    from reference_model import checkpoint
    from reference_model.training import Trainer, jsonl, tensorboard
    from reference_model.validation import Validation

    logs = [jsonl(out / "log.jsonl")]
    try:
        logs.append(tensorboard(out / "tensorboard"))
    except ImportError:
        typer.echo("no TensorBoard here (pip install 'emojibench[train]'); log.jsonl has it all", err=True)

    def log(record: dict[str, float | int | str]) -> None:
        for write in logs:
            write(record)

    try:
        model = checkpoint.Model(preset)
        if start is not None:
            checkpoint.load(model, start)
        trainer = Trainer(model, data[:-validation], recipe, out, log, _distance(recipe))
        if not fresh and trainer.resume():
            typer.echo(f"continuing phase {trainer.phase} at step {trainer.step}", err=True)
    except ValueError as error:
        raise UserError(f"{out}: {error}") from error
    look = Validation(preset, data[-validation:], out, log)
    weights = trainer.run(look)
    path = out / f"{preset.name}.safetensors"
    checkpoint.save(path, weights, preset)
    look(weights, "final")
    typer.echo(str(path))


def _distance(recipe: "Recipe") -> "Perceptual | None":
    """The perceptual distance, on the device of the training; None where the recipe gives it no weight."""
    if recipe.perceptual == 0:
        return None
    from emojibench import weights
    from metrics.lpips import WEIGHTS, LpipsNetwork
    from metrics.networks import load_tensors

    backbone, heads = (load_tensors(weights.find(name)) for name in WEIGHTS["squeeze"])
    return LpipsNetwork("squeeze", backbone, heads).between


def _rehearse(preset: "Preset", recipe: "Recipe", data: "TrainingSet", out: Path) -> None:
    """Two steps of each phase; prints one JSON line with what a step takes."""
    import resource
    import time
    from dataclasses import replace

    import torch

    from reference_model.checkpoint import Model
    from reference_model.recipe import PHASES
    from reference_model.training import Trainer

    finished: dict[str, float] = {}
    start = time.monotonic()

    def log(record: dict[str, float | int | str]) -> None:
        if "finished" in record:
            finished[str(record["phase"])] = time.monotonic()
            typer.echo(f"{record['phase']}: two steps done", err=True)

    try:
        trainer = Trainer(Model(preset), data, replace(recipe, steps=(2, 2, 2, 2)), out, log)
        trainer.run()
    except ValueError as error:
        raise UserError(str(error)) from error
    ends = [start, *finished.values()]
    if recipe.device == "cuda":
        memory = torch.cuda.max_memory_allocated()
    else:
        memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = {phase: round((ends[i + 1] - ends[i]) / 2, 2) for i, phase in enumerate(PHASES)}
    parameters = sum(p.numel() for p in trainer.model.parameters())
    typer.echo(
        json.dumps(
            {
                "parameters": parameters,
                "sequences": len(data.frames),
                "frames": data.frames.shape[1],
                "seconds_a_step": seconds,
                "peak_memory_mib": memory >> 20,
            }
        )
    )


def _data(folder: Path, dataset: str, count: int, preset: "Preset", *, fresh: bool = False) -> "TrainingSet":
    from emojibench import training

    if not dataset:
        return training.synthetic(folder, count, preset.resolution, fresh=fresh)
    from emojibench.dataset import load_dataset

    return training.from_dataset(folder, load_dataset(dataset, size=preset.resolution), fresh=fresh)


def _four(flag: str, text: str, kind: "type[Number]") -> "tuple[Number, Number, Number, Number]":
    """Numbers for the four phases, none negative and not all 0."""
    try:
        first, second, third, fourth = (kind(part) for part in text.split(","))
    except ValueError:
        first = second = third = fourth = kind(-1)
    numbers = first, second, third, fourth
    if min(numbers) < 0 or not 0 < sum(numbers) < float("inf"):
        example = "2000,2000,800,1000" if kind is int else "0.12,0.55,0.2,0.13"
        raise UserError(f"{flag}: expected four numbers, none negative, as in {example}; got {text!r}")
    return numbers
