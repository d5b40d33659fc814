"""From noise to latents for a whole clip.

A sampler is a function of a guided prediction and knows nothing of networks; it decides which frames are
denoised together. Here: overlapping windows whose predictions are averaged with a smooth weight.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from reference_model.networks import Animator

Progress = Callable[[int, int], None]


class Predict(Protocol):
    """A guided prediction of v."""

    def __call__(self, noisy: Tensor, t: Tensor, frames: range) -> Tensor:
        """(1, C, L, h, w) latents of the clip's `frames` at timestep t () to v of the same shape."""
        ...


class Guided:
    """Classifier-free guidance over an animator that remembers a portrait (`Animator.remember(..., 1)`).

    Rows are [unconditional, conditional]: the first pays the portrait no attention, both know the places.
    """

    def __init__(self, animator: Animator, places: Tensor, scale: float, rescale: float = 0.0) -> None:
        """Take the clip's (1, widths[0], F, h, w) places; scale 1 needs no unconditional row."""
        self.animator, self.places, self.scale, self.rescale = animator, places, scale, rescale

    def __call__(self, noisy: Tensor, t: Tensor, frames: range) -> Tensor:
        """See `Predict`."""
        places = self.places[:, :, frames.start : frames.stop]
        if self.scale == 1:
            return self.animator.denoise(noisy, t, places)
        rows = self.animator.denoise(noisy.expand(2, -1, -1, -1, -1), t, places.expand(2, -1, -1, -1, -1))
        unconditional, conditional = rows.chunk(2)
        guided = unconditional + self.scale * (conditional - unconditional)
        if self.rescale == 0:
            return guided
        ratio = conditional.std(dim=(1, 3, 4), keepdim=True) / guided.std(dim=(1, 3, 4), keepdim=True)
        return guided * (self.rescale * ratio + 1 - self.rescale)


def windows(frames: int, length: int, overlap: int) -> list[range]:
    """Windows of `length` frames that share `overlap`; the last one is moved back to end with the clip.

    Raises:
        ValueError: no frames, or an overlap that leaves no step.
    """
    if frames < 1 or not 0 <= overlap < length:
        raise ValueError(f"expected frames >= 1 and 0 <= overlap < length, got {frames}, {overlap}, {length}")
    if frames <= length:
        return [range(frames)]
    starts = [*range(0, frames - length, length - overlap), frames - length]
    return [range(start, start + length) for start in starts]


def blend_weights(length: int) -> Tensor:
    """(length,) positive weights, a raised cosine that is largest in the middle of a window."""
    phase = (torch.arange(length) + 0.5) / length
    return 0.02 + torch.sin(torch.pi * phase).square()


def overlapping_windows(
    predict: Predict,
    noise: Tensor,
    scheduler: DDIMScheduler,
    *,
    length: int,
    overlap: int,
    progress: Progress,
) -> Tensor:
    """Denoise all windows at each step and average their predictions of v where they overlap.

    Args:
        predict: guided prediction.
        noise: (1, C, F, h, w).
        scheduler: ready to sample (`schedule.ddim(steps)`).
        length: L, frames in a window.
        overlap: frames that neighbours share.
        progress: called as progress(done, total) after each window of each step.

    Returns:
        (1, C, F, h, w) clean latents.
    """
    latents = noise
    spans = windows(noise.shape[2], length, overlap)
    total = len(scheduler.timesteps) * len(spans)
    weights = [blend_weights(len(span)).view(1, 1, -1, 1, 1) for span in spans]
    mass = torch.zeros(1, 1, noise.shape[2], 1, 1)
    for span, weight in zip(spans, weights, strict=True):
        mass[:, :, span.start : span.stop] += weight
    for i, t in enumerate(scheduler.timesteps):
        v = torch.zeros_like(latents)
        for j, (span, weight) in enumerate(zip(spans, weights, strict=True)):
            inside = slice(span.start, span.stop)
            v[:, :, inside] += weight * predict(latents[:, :, inside], t, span)
            progress(i * len(spans) + j + 1, total)
        latents = scheduler.step(v / mass, t, latents, eta=0.0).prev_sample
    return latents
