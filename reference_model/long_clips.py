"""The ways to make a clip longer than a window, by name: the paper's, and the two that Fig. 11 compares it with."""

from collections.abc import Callable

from diffusers import SchedulerMixin
from torch import Tensor

from reference_model.sampler import Condition, Progress, overlapping_windows, progressive


def overlap(
    condition: Condition, noise: Tensor, scheduler: SchedulerMixin, *, length: int, progress: Progress
) -> Tensor:
    """Windows that share a quarter of their frames, blended smoothly; see `sampler.overlapping_windows`."""
    return overlapping_windows(
        condition, noise, scheduler, length=length, overlap=length // 4, progress=progress
    )


def concatenate(
    condition: Condition, noise: Tensor, scheduler: SchedulerMixin, *, length: int, progress: Progress
) -> Tensor:
    """Windows side by side that know nothing of each other; see `sampler.overlapping_windows`."""
    return overlapping_windows(condition, noise, scheduler, length=length, overlap=0, progress=progress)


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
