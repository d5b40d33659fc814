"""Which sampling steps run the network in full. Steps count up from 0, the noisiest."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Fixed:
    """Full steps that are known beforehand."""

    steps: int
    """T, of the sampler."""
    full: tuple[int, ...]
    """Full steps, ascending. The first is 0: before it there is nothing to predict from."""
    needs_signal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if not self.full or self.full[0] != 0:
            raise ValueError(f"schedule: step 0 must be a full step, got {self.full}")
        whole = all(isinstance(step, int) for step in self.full)
        if not whole or list(self.full) != sorted(set(self.full)) or self.full[-1] >= self.steps:
            raise ValueError(
                f"schedule: expected ascending whole numbers without repeats below {self.steps}, got {self.full}"
            )

    def is_full(self, step: int, skipped: int, drift: float) -> bool:
        """Whether `step` runs in full; the other arguments are what an adaptive schedule looks at."""
        return step in self.full


@dataclass(frozen=True)
class Adaptive:
    """Refresh when a cheap signal has moved far enough since the last full step.

    After Liu et al., "Timestep embedding tells: it's time to cache for video diffusion model" (TeaCache), 2024:
    the relative L1 change of the signal from step to step is summed up. Reading the sum waits for the device
    once a step.
    """

    steps: int
    """T, of the sampler."""
    threshold: float
    """Accumulated relative L1 change that calls for a full step; more than 0."""
    cap: int
    """Most steps in a row that may be skipped, 1 to T - 1."""
    needs_signal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if not 0 < self.threshold < math.inf:
            raise ValueError(f"threshold: expected a positive number, got {self.threshold}")
        if not 1 <= self.cap < self.steps:
            raise ValueError(f"cap: expected 1 to {self.steps - 1} steps skipped in a row, got {self.cap}")

    def is_full(self, step: int, skipped: int, drift: float) -> bool:
        """Whether `step` runs in full, after `skipped` predicted steps and this much accumulated change."""
        return step == 0 or skipped >= self.cap or drift > self.threshold


Schedule = Fixed | Adaptive


def uniform(steps: int, interval: int) -> Fixed:
    """Every N-th step from the first on (Algorithm 1): ceil(T / N) full steps.

    Args:
        steps: T.
        interval: N, 1 (no caching) to T.
    """
    return warm_up(steps, interval, 1)


def warm_up(steps: int, interval: int, first: int) -> Fixed:
    """The `first` steps, then every N-th after the last of them.

    Args:
        steps: T.
        interval: N, 1 to T.
        first: full steps at the start, 1 to T.
    """
    _check_steps(steps)
    if not 1 <= interval <= steps:
        raise ValueError(f"interval: expected N from 1 to {steps} (the number of steps), got {interval}")
    if not 1 <= first <= steps:
        raise ValueError(f"first: expected 1 to {steps} full steps at the start, got {first}")
    return Fixed(steps, (*range(first - 1), *range(first - 1, steps, interval)))


def explicit(steps: int, full: Iterable[int]) -> Fixed:
    """The steps of a list, which has to begin with 0."""
    return Fixed(steps, tuple(full))


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
