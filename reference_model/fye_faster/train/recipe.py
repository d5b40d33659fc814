"""What decides a training, as data."""

import math
from dataclasses import dataclass

PHASES = ("autoencoder", "frames", "clips", "rollouts")
"""In the order of training; `frames` and `clips` are phases 1 and 2 of the paper."""
MASKS = ("expression", "face")
"""Of the FFG loss: M_e and M_f."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the training computes, except the data."""

    minutes: float
    """Wall-clock budget."""
    shares: tuple[float, float, float, float] = (0.1, 0.5, 0.2, 0.2)
    """Of the budget: autoencoder, phase 1, phase 2, rollouts. A phase without a share is left out."""
    steps: tuple[int, int, int, int] | None = None
    """Steps of the phases instead of a budget: reproducible to the bit on one machine. 0 leaves a phase out."""
    seed: int = 0
    learning_rate: float = 6e-4
    warm_up: int = 100
    cooldown: float = 1.0
    """Last share of a phase, over which the learning rate falls to zero; it is constant before."""
    decay: float = 0.999
    """Of the exponential moving average of the weights."""
    crops: int = 16
    """Autoencoder: crops in a batch."""
    crop: int = 128
    """Autoencoder: side of a crop, pixels."""
    portraits: int = 8
    """Phase 1: portraits in a batch; one of them is hidden, which trains the unconditional rows."""
    targets: int = 4
    """Phase 1: frames to generate for each portrait."""
    noisiest: float = 0.0
    """Share of the timesteps that is drawn from the noisiest 30 %; the rest is uniform."""
    clips: int = 2
    """Phase 2: windows in a batch; every fifth batch hides the portraits."""
    decoded: int = 4
    """Rollouts: frames of a window that are decoded."""
    jumps: tuple[float, ...] = (0.3, 0.4, 0.3)
    """Rollouts: how likely it is that the sampler takes 0, 1, ... steps before the one that is trained."""
    guided: float = 0.65
    """Rollouts: how likely it is that these steps are guided where the preset guides."""
    turned: float = 0.7
    """Rollouts: how likely it is that of two windows the one is taken whose head turns further from the portrait."""
    ffg: float = 1.0
    """Weight of the FFG term."""
    ffg_masks: tuple[str, ...] = MASKS
    """Which of `MASKS` the FFG term has; without any, L_LDM is minimised alone."""
    perceptual: float = 0.0
    """Autoencoder and rollouts: weight of the perceptual distance that the trainer was given."""
    adversarial: float = 0.5
    """Rollouts with a perceptual distance: share of the critic's gradient, see `critic.Critic`; 0 leaves it out."""
    bf16: bool = False
    """Mixed precision."""
    device: str = "cpu"
    """Where to train: cpu, or cuda."""
    checkpoint_minutes: float = 10.0

    def rate(self, step: int, done: float) -> float:
        """Learning rate as a share of its peak: linear warm-up, constant, half a cosine over the cool-down.

        Args:
            step: of the phase, from 0 on.
            done: share of the phase that is done, 0 to 1.
        """
        cooled = max(0.0, 1 - (1 - done) / self.cooldown)
        return min((step + 1) / self.warm_up, 1.0) * (0.5 + 0.5 * math.cos(math.pi * cooled))
