"""What an accelerator really does, step by step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from emojibench_metrics.flops import count_flops
from fye_faster.accel.accelerator import Accelerator
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One step of one window."""

    latents: Tensor
    """(1, C, L, h, w) that the step began with."""
    flops: int
    """Counted; the solver's own arithmetic is element-wise and counts nothing."""
    cached_bytes: int | None
    """What was kept for later steps when this one had ended; None where the accelerator does not say."""


@dataclass(frozen=True)
class Trace:
    """The denoising of one clip."""

    latents: Tensor
    """(T, C, h, w) in the end."""
    windows: dict[tuple[int, ...], list[Step]]
    """Frames of a window to its steps."""

    @property
    def flops(self) -> int:
        """Of denoising the clip."""
        return sum(step.flops for steps in self.windows.values() for step in steps)

    @property
    def peak_bytes(self) -> int | None:
        """The most that was kept between two steps; None where the accelerator does not say."""
        sizes = [step.cached_bytes for steps in self.windows.values() for step in steps]
        known = [size for size in sizes if size is not None]
        return max(known) if known and len(known) == len(sizes) else None


class Traced(Accelerator):
    """Another accelerator, watched: same latents, same label."""

    def __init__(self, inner: Accelerator) -> None:
        self.inner, self.label = inner, inner.label
        self.windows: dict[tuple[int, ...], list[Step]] = {}
        """Frames of a window to its steps, of the clip that was made last."""

    def scheduler(self, steps: int) -> Any:
        """See `Accelerator`."""
        return self.inner.scheduler(steps)

    @contextmanager
    def attached(self, denoiser: Any, clip: Any) -> Iterator[None]:
        """See `Accelerator`."""
        self.windows = {}
        with self.inner.attached(denoiser, clip):
            yield

    def around(self, guided: Any, frames: list[int]) -> Any:
        """See `Accelerator`."""
        predict = self.inner.around(guided, frames)
        steps = self.windows[tuple(frames)] = []

        def watched(noisy: Tensor, step: int) -> Tensor:
            with count_flops() as counter:
                v: Tensor = predict(noisy, step)
            steps.append(Step(noisy.detach().clone(), counter.total, self.inner.cached_bytes()))
            return v

        return watched
