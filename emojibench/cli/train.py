"""`emojibench train`: render training data and train a preset of the reference model on it."""

import json
import multiprocessing
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emojibench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from emojibench.faces.detector import Detector
    from emojibench.synth.sequences import Sequence

WINDOWS = (range(6, 22), range(40, 56))
"""Frames of each 64-frame sequence that training sees, besides the first."""
FRAMES = (0, *WINDOWS[0], *WINDOWS[1])
MISSES = 2
"""Frames without a detected face that a sequence may have; they repeat their neighbours."""


def train(
    preset: Annotated[str, typer.Option(help="Which preset of the reference model.")] = "mini",
    minutes: Annotated[
        float, typer.Option(help="Wall-clock budget of the training itself.", min=0.01)
    ] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder for data, checkpoints, log and pictures.")] = Path(
        "training/mini"
    ),
    identities: Annotated[int, typer.Option(help="Procedural identities to train on.", min=2)] = 600,
    validation: Annotated[int, typer.Option(help="Further identities to look at while training.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and noise.")] = 0,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Mixed precision; faster on CPUs with AVX512-BF16.")
    ] = False,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves the choice to PyTorch.")] = 0,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Render the training data and stop.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of continuing.")] = False,
) -> None:
    """Train a preset on procedural identities and motions that no split contains.

    Continues from the last checkpoint in `--out` when there is one. The weights end up in
    OUT/PRESET.safetensors (fp16).
    """
    from reference_model import presets

    try:
        chosen = presets.get(preset)
    except ValueError as error:
        raise UserError(f"--preset: {error}") from error
    frames, landmarks = _training_arrays(out / "data", identities + validation, chosen.resolution)
    if len(frames) < validation + 2:
        raise UserError("--identities: too few sequences with a detectable face; ask for more")
    if data_only:
        return

    import torch

    from reference_model import checkpoint
    from reference_model.training import Recipe, Trainer, TrainingSet, jsonl
    from reference_model.validation import Validation

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    windows = tuple(range(FRAMES.index(w.start), FRAMES.index(w.start) + len(w)) for w in WINDOWS)
    seen = TrainingSet(frames[:-validation], landmarks[:-validation], windows)
    held_out = TrainingSet(frames[-validation:], landmarks[-validation:], windows)
    log = jsonl(out / "log.jsonl")
    trainer = Trainer(checkpoint.Model(chosen), seen, Recipe(minutes=minutes, seed=seed, bf16=bf16), out, log)
    if not fresh and trainer.resume():
        typer.echo(f"continuing phase {trainer.phase} at step {trainer.step}", err=True)
    look = Validation(chosen, held_out, out, log)
    weights = trainer.run(look)
    path = out / f"{chosen.name}.safetensors"
    checkpoint.save(path, weights, chosen)
    look(weights, "final")
    typer.echo(str(path))


def _training_arrays(folder: Path, count: int, size: int) -> "tuple[NDArray[np.uint8], NDArray[np.float32]]":
    """Frames (S, F, size, size, 3) as a memory map and landmarks (S, F, 478, 3) of the usable sequences.

    Rendered once and kept in `folder`; made again when the request changed.
    """
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from emojibench.faces.detector import detector_id
    from emojibench.synth.sequences import training_sequences

    wanted = {"count": count, "size": size, "frames": list(FRAMES), "detector": detector_id()}
    stamp, pixels = folder / "done.json", folder / "frames.npy"
    if not stamp.is_file() or json.loads(stamp.read_text())["wanted"] != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        shape = (count, len(FRAMES), size, size, 3)
        frames = np.lib.format.open_memmap(pixels, "w+", np.uint8, shape)  # type: ignore[no-untyped-call]
        landmarks: list[NDArray[np.float32]] = []
        with multiprocessing.get_context("spawn").Pool() as pool:
            jobs = pool.imap(
                partial(_render, pixels, size), enumerate(training_sequences(count)), chunksize=2
            )
            for i, found in enumerate(track(jobs, "rendering", count, console=Console(stderr=True))):
                if found is not None:  # close the gaps that unusable sequences leave
                    frames[len(landmarks)] = frames[i]
                    landmarks.append(found)
        frames.flush()
        np.save(folder / "landmarks.npy", np.stack(landmarks))
        stamp.write_text(json.dumps({"wanted": wanted, "usable": len(landmarks)}))
    usable = json.loads(stamp.read_text())["usable"]
    return np.load(pixels, mmap_mode="r")[:usable], np.load(folder / "landmarks.npy")


def _render(pixels: Path, size: int, job: "tuple[int, Sequence]") -> "NDArray[np.float32] | None":
    """Draw and read one sequence into its row of the file; None if too many frames show no face."""
    import cv2
    import numpy as np

    from emojibench.synth.render import render

    cv2.setNumThreads(1)
    index, sequence = job
    frames = np.stack([render(sequence.identity, sequence.motion.at(k), size) for k in FRAMES])
    found = [_detector().detect(frame) for frame in frames]
    seen = [k for k, points in enumerate(found) if points is not None]
    if len(seen) < len(found) - MISSES:
        return None
    nearest = [seen[int(np.abs(np.array(seen) - k).argmin())] for k in range(len(found))]
    np.load(pixels, mmap_mode="r+")[index] = frames[nearest]
    return np.stack([points for k in nearest if (points := found[k]) is not None])


@cache
def _detector() -> "Detector":
    """This worker's own detector."""
    from emojibench.faces.detector import open_detector

    return open_detector()
