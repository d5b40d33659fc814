"""States that the sampler itself reaches, to train on.

Phases 1 and 2 show the denoiser true latents under noise. A sampler shows it what it made itself some steps before, so
that errors add up (exposure bias; Ning et al., "Elucidating the exposure bias in diffusion models", 2024). Here the
model takes a few long steps of its own first, with the preset's temperature, shared noise and guidance. Compare Huang
et al., "Self forcing: bridging the train-test gap in autoregressive video diffusion", 2025.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from fye_faster.diffusion import schedule
from fye_faster.diffusion.sampler import Guided
from fye_faster.presets import Preset
from fye_faster.train.recipe import Recipe

_LAST = 999
"""The noisiest timestep, at which sampling begins."""
_RANGE = (20, 967)
"""Timesteps that a jump may lead to; those of 30 steps are 32 to 966."""


@dataclass(frozen=True)
class Trajectory:
    """The sampler's way to a state, and what is looked at there."""

    times: Tensor
    """(J + 1,) falling timesteps, from the noisiest one on; the model is trained at the last one."""
    guided: int
    """How many of the J steps before it are guided."""
    shown: Tensor
    """(K,) positions of the window's frames that are decoded; rising, none of them known."""


def draw(known: Tensor, preset: Preset, recipe: Recipe, rng: np.random.Generator) -> Trajectory:
    """Draw a trajectory for a window of which the frames `known` (F,) are known, not 0; one frame at least is not."""
    jumps = int(rng.choice(len(recipe.jumps), p=recipe.jumps))
    times = [_LAST, *sorted(rng.integers(*_RANGE, jumps).tolist(), reverse=True)]
    guides = rng.random() < recipe.guided
    free = np.flatnonzero(known.numpy() == 0)
    shown = np.sort(rng.choice(free, min(recipe.decoded, len(free)), replace=False))
    return Trajectory(
        times=torch.tensor(times),
        guided=sum(guides and t >= 1000 * (1 - preset.guided) for t in times[:-1]),
        shown=torch.from_numpy(shown),
    )


@torch.no_grad()
def follow(way: Trajectory, predict: Guided, noise: Tensor, alphas: Tensor) -> Tensor:
    """Take the steps of a trajectory.

    Args:
        way: the trajectory.
        predict: over the timesteps of the trajectory; remembers the portrait.
        noise: (1, C, F, h, w), scaled as the sampler's.
        alphas: alpha-bar of all timesteps, (1000,).

    Returns:
        Latents at the last timestep of the trajectory, of the noise's shape.
    """
    levels = [schedule.signal_and_noise(alphas, t[None], 5) for t in way.times]
    latents = noise
    for step, (here, there) in enumerate(pairwise(levels)):
        rows = predict.rows(latents, step, 2 if step < way.guided else 1)
        v = predict.mix(*rows) if step < way.guided else rows[0]
        latents = schedule.jump(latents, v, here, there)
    # Autocast of older PyTorch (its issue 112583) remembers weights that it cast without gradients, and the step that
    # is trained would use them.
    torch.clear_autocast_cache()
    return latents
