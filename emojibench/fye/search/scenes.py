"""Training clips as the denoiser sees them, and its uncached way through each: what the search measures on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from emojibench_metrics.flops import count_flops
from fye_faster.accel.accelerator import Accelerator, ClipInfo, over
from fye_faster.accel.forecast import Quantity
from fye_faster.diffusion.sampler import Guided, Predict, progressive
from fye_faster.diffusion.schedule import clip_noise
from fye_faster.nets.animator import Portrait
from fye_faster.pipelines.mini import Pipeline, Subject, condition_maps
from numpy.typing import NDArray
from torch import Tensor

from emojibench.face.detect import open_detector
from emojibench.files.writing import atomic
from emojibench.fye.acceleration.trace import Trace, Traced
from emojibench.synth.render import render
from emojibench.synth.sequences import portrait_state, training_sequences
from emojibench.types import Image

Steps = list[tuple[Tensor, ...]]
"""Of each step, what the network guessed of the clean latents, row by row (1, C, L, h, w): q of `Quantity` at the
preset's residual. Guided steps have [unconditional, conditional], the others the latter alone."""


@dataclass(frozen=True)
class Scene:
    """One window of a training clip."""

    name: str
    portrait: Portrait
    condition: Tensor
    """(1, D, L, h, w)."""
    maps: Tensor
    """(L, 3, H, W) in [0, 1]."""
    noise: Tensor
    """(1, C, L, h, w)."""
    warped: Tensor
    """(L, 3, H, W) in [-1, 1]: the portrait warped to each frame, for the decoder."""
    still: Tensor
    """(1, 3, H, W) in [-1, 1]: the portrait."""
    outside: int
    """FLOPs of everything but denoising: condition and decoding of the window."""


@dataclass(frozen=True)
class Result:
    """One sampled window."""

    latents: Tensor
    """(1, C, L, h, w)."""
    flops: int
    """Counted while denoising."""
    cached_bytes: int
    """The most that was kept from step to step."""


class Recorder(Accelerator):
    """Changes nothing and keeps the guesses."""

    def __init__(self, residual: float) -> None:
        self.residual = residual
        self.steps: Steps = []

    def around(self, guided: Guided, frames: list[int]) -> Predict:
        """See `Accelerator`."""
        quantity = Quantity(self.residual, guided.timesteps)

        def rows(noisy: Tensor, step: int, count: int) -> tuple[Tensor, ...]:
            made = guided.rows(noisy, step, count)
            self.steps.append(tuple(quantity.of(v, noisy, step) for v in made))
            return made

        return over(rows, guided)


def scenes(
    pipeline: Pipeline,
    count: int,
    frames: int,
    folder: Path,
    say: Callable[[str], None],
    *,
    first: int = 0,
    after: int = 0,
) -> Iterator[Scene]:
    """Frames `first`, ... of `count` training sequences `after` others; kept in `folder` once made.

    Sequences without a face in each frame are left out, which `say` is told.
    """
    for sequence in islice(training_sequences(after + count), after, None):
        name = f"{sequence.sequence_id}-{first}" if first else sequence.sequence_id
        file = folder / f"{pipeline.digest}-{name}-{frames}.pt"
        if not file.exists():
            states = [portrait_state(sequence), *(sequence.motion.at(first + k) for k in range(frames))]
            pictures = [render(sequence.identity, state, pipeline.preset.resolution) for state in states]
            with open_detector() as detector:
                found = [detector.detect(picture) for picture in pictures]
            seen = [points for points in found if points is not None]
            if len(seen) < len(pictures):
                say(f"{sequence.sequence_id}: left out, {len(pictures) - len(seen)} frames without a face")
                continue
            made = _scene(pipeline, name, pictures[0], np.stack(seen).astype(np.float32))
            _keep(file, {**vars(made), "portrait": (made.portrait.features, made.portrait.tokens)})
        kept = torch.load(file, weights_only=True)
        yield Scene(**{**kept, "portrait": Portrait(*kept["portrait"])})


def _scene(pipeline: Pipeline, name: str, portrait: Image, points: NDArray[np.float32]) -> Scene:
    """Condition as `Pipeline.animate` does; points (1 + L, 478, 3), the portrait's first. Decodes to be counted."""
    model, preset = pipeline.model, pipeline.preset
    with torch.inference_mode(), count_flops() as counter:
        subject = Subject(portrait, points[0], points[1:], preset, torch.device("cpu"))
        still = model.autoencoder.encode(subject.still)
        known = model.animator.encode_reference(still, condition_maps(subject.own, preset))
        model.animator.set_reference(known)
        maps = condition_maps(points[1:], preset)
        warped = subject.warped(list(range(len(maps))))
        latents = model.autoencoder.encode(warped)
        condition = model.animator.encode_condition(maps[None], still, latents.transpose(0, 1)[None])
        model.autoencoder.decode(latents, warped, subject.still.expand_as(warped), maps)
    shape = (1, *latents.transpose(0, 1).shape)
    noise = preset.temperature * clip_noise(shape, preset.shared_noise, torch.Generator().manual_seed(0))
    return Scene(name, known, condition, maps, noise, warped, subject.still, counter.total)


def decoded(pipeline: Pipeline, scene: Scene, latents: Tensor) -> Tensor:
    """(1, C, L, h, w) latents of a scene to its frames (L, 3, H, W) in [0, 1]."""
    with torch.inference_mode():
        still = scene.still.expand_as(scene.warped)
        frames: Tensor = pipeline.model.autoencoder.decode(
            latents[0].transpose(0, 1), scene.warped, still, scene.maps
        )
    return (frames.clamp(-1, 1) + 1) / 2


def sample(pipeline: Pipeline, scene: Scene, accelerator: Accelerator, steps: int) -> Result:
    """Denoise a scene."""
    preset, animator = pipeline.preset, pipeline.model.animator
    scheduler: Any = accelerator.scheduler(steps)
    traced, length = Traced(accelerator), scene.noise.shape[2]

    def condition(frames: list[int], anchors: Tensor) -> Predict:
        timesteps = scheduler.timesteps
        guided = Guided(
            animator, scene.condition, timesteps, preset.guidance, preset.guided, preset.guidance_rescale
        )
        predict: Predict = traced.around(guided, frames)
        return predict

    clip = ClipInfo(length, (scene.noise.shape[-2], scene.noise.shape[-1]), lambda chosen: scene.maps[chosen])
    with torch.inference_mode():
        animator.set_reference(scene.portrait)
        with traced.attached(animator.denoiser, clip):
            latents = progressive(
                condition, scene.noise, scheduler, length=length, progress=lambda _done, _total: None
            )
    trace = Trace(latents[0].transpose(0, 1), traced.windows)
    return Result(latents, trace.flops, trace.peak_bytes or 0)


def uncached(pipeline: Pipeline, scene: Scene, steps: int, folder: Path) -> tuple[Result, Steps]:
    """The plain DDIM way of a scene; kept in `folder` once made."""
    file = folder / f"{pipeline.digest}-{scene.name}-{scene.noise.shape[2]}-ddim{steps}.pt"
    if not file.exists():
        recorder = Recorder(pipeline.preset.residual)
        _keep(file, {"result": vars(sample(pipeline, scene, recorder, steps)), "steps": recorder.steps})
    kept = torch.load(file, weights_only=True)
    return Result(**kept["result"]), kept["steps"]


def _keep(file: Path, content: dict[str, Any]) -> None:
    with atomic(file) as temporary:
        torch.save(content, temporary)
