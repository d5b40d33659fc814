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

FRAMES = (0, 8, 16, *range(24, 41), 48, 56, 63)
"""Frames of each 64-frame sequence that training sees. They come after the portrait of the cross split, which together
with frame 0, the portrait of the self split, serves as portrait."""
WINDOWS = (range(24, 40), range(25, 41), range(26, 39))
KEYFRAMES = (range(0, 57, 8), (*range(0, 49, 16), 63), (0, 24, 40, 63))
PORTRAITS = 2
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
    identities: Annotated[int, typer.Option(help="Procedural identities to train on.", min=2)] = 800,
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
    frames, landmarks, moved = _training_arrays(out / "data", identities + validation, chosen.resolution)
    if len(frames) < validation + 2:
        raise UserError("--identities: too few sequences with a detectable face; ask for more")
    if data_only:
        return

    import torch

    from reference_model import checkpoint
    from reference_model.training import Recipe, Trainer, jsonl
    from reference_model.training_data import TrainingSet
    from reference_model.validation import Validation

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    windows, keyframes = (
        tuple(tuple(1 + FRAMES.index(k) for k in group) for group in groups)
        for groups in (WINDOWS, KEYFRAMES)
    )
    seen, held_out = (
        TrainingSet(frames[part], landmarks[part], moved[part], windows, keyframes)
        for part in (slice(-validation), slice(-validation, None))
    )
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


def _training_arrays(
    folder: Path, count: int, size: int
) -> "tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]":
    """`frames`, `landmarks` and `moved` of a `TrainingSet` of the usable sequences; pictures as memory maps.

    Rendered once and kept in `folder`; made again when the request changed.
    """
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from emojibench.faces.detector import detector_id
    from emojibench.synth.sequences import training_sequences

    wanted = {"count": count, "size": size, "frames": list(FRAMES), "detector": detector_id()}
    stamp = folder / "done.json"
    if not stamp.is_file() or json.loads(stamp.read_text())["wanted"] != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        shape = (1 + len(FRAMES), size, size, 3)
        frames, moved = (
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, (count, *before, *shape))  # type: ignore[no-untyped-call]
            for name, before in (("frames", ()), ("moved", (PORTRAITS,)))
        )
        landmarks: list[NDArray[np.float32]] = []
        with multiprocessing.get_context("spawn").Pool() as pool:
            jobs = pool.imap(
                partial(_render, folder, size), enumerate(training_sequences(count)), chunksize=2
            )
            for i, found in enumerate(track(jobs, "rendering", count, console=Console(stderr=True))):
                if found is not None:  # close the gaps that unusable sequences leave
                    frames[len(landmarks)], moved[len(landmarks)] = frames[i], moved[i]
                    landmarks.append(found)
        frames.flush()
        moved.flush()
        np.save(folder / "landmarks.npy", np.stack(landmarks))
        stamp.write_text(json.dumps({"wanted": wanted, "usable": len(landmarks)}))
    usable = json.loads(stamp.read_text())["usable"]
    frames, moved = (np.load(folder / f"{name}.npy", mmap_mode="r")[:usable] for name in ("frames", "moved"))
    return frames, np.load(folder / "landmarks.npy"), moved


def _render(folder: Path, size: int, job: "tuple[int, Sequence]") -> "NDArray[np.float32] | None":
    """Draw, read and warp one sequence into its row of the files; None if too many frames show no face."""
    import cv2
    import numpy as np

    from emojibench.synth.render import render
    from emojibench.synth.sequences import portrait_state
    from reference_model.warp import Warp

    cv2.setNumThreads(1)
    index, sequence = job
    states = [portrait_state(sequence), *(sequence.motion.at(k) for k in FRAMES)]
    frames = np.stack([render(sequence.identity, state, size) for state in states])
    found = [_detector().detect(frame) for frame in frames]
    seen = [k for k, points in enumerate(found) if points is not None]
    if len(seen) < len(found) - MISSES:
        return None
    nearest = [seen[int(np.abs(np.array(seen) - k).argmin())] for k in range(len(found))]
    frames = frames[nearest]
    landmarks = np.stack([points for k in nearest if (points := found[k]) is not None])
    np.load(folder / "frames.npy", mmap_mode="r+")[index] = frames
    moved = np.load(folder / "moved.npy", mmap_mode="r+")
    for portrait in range(PORTRAITS):
        warp = Warp(frames[portrait], landmarks[portrait])
        for k, target in enumerate(landmarks):
            moved[index, portrait, k] = warp(target)
    return landmarks


@cache
def _detector() -> "Detector":
    """This worker's own detector."""
    from emojibench.faces.detector import open_detector

    return open_detector()
