"""The ways to make a clip longer than a window, by name: the paper's, and the two that Fig. 11 compares it with."""

from collections.abc import Callable

from diffusers import SchedulerMixin
from torch import Tensor

from fye_faster.diffusion.sampler import Condition, Progress, overlapping_windows, pieces, progressive, spans


def overlap(
    condition: Condition, noise: Tensor, scheduler: SchedulerMixin, *, length: int, progress: Progress
) -> Tensor:
    """Windows that share a quarter of their frames, blended smoothly; shapes as in `sampler.overlapping_windows`."""
    windows = spans(noise.shape[2], length, length // 4)
    return overlapping_windows(condition, noise, scheduler, windows=windows, progress=progress)


def concatenate(
    condition: Condition, noise: Tensor, scheduler: SchedulerMixin, *, length: int, progress: Progress
) -> Tensor:
    """Windows side by side that know nothing of each other; shapes as in `sampler.overlapping_windows`."""
    windows = pieces(noise.shape[2], length)
    return overlapping_windows(condition, noise, scheduler, windows=windows, progress=progress)


SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "progressive": progressive,
    "overlap": overlap,
    "concatenate": concatenate,
}
"""Name to a function (condition, noise, scheduler, *, length, progress) of the shapes of `sampler.progressive`."""


def check_sampler(name: str) -> None:
    """Raise ValueError unless there is such a sampler."""
    if name not in SAMPLERS:
        raise ValueError(f"sampler: expected one of {', '.join(SAMPLERS)}, got {name!r}")
