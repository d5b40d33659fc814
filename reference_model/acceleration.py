"""What may change how a clip is denoised: another solver, or a network that does not run in full at every step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import SchedulerMixin
from torch import Tensor, nn

from reference_model.sampler import Guided, Predict
from reference_model.schedule import ddim
from reference_model.taylor_cache import Adaptive, LandmarkMasks, TaylorCache, TaylorCacheConfig, regions

BOTH_ROWS = ("unconditional", "conditional")


@dataclass(frozen=True)
class ClipInfo:
    """What an accelerator may know of the clip that is to be made."""

    frames: int
    """T_f."""
    latent_size: tuple[int, int]
    maps: Callable[[list[int]], Tensor]
    """Condition maps (F, 3, H, W) in [0, 1] of some frames, drawn when called."""


class Accelerator:
    """Base class, which changes nothing: subclasses replace what they need.

    One instance serves one pipeline, for any number of clips one after the other.
    """

    label = "none"
    """Names it and all its settings: part of what tells one run from another."""

    def scheduler(self, steps: int) -> SchedulerMixin:
        """A solver, ready to sample `steps` steps from v-predictions on the released noise schedule."""
        return ddim(steps)

    @contextmanager
    def attached(self, denoiser: nn.Module, clip: ClipInfo) -> Iterator[None]:
        """Around the denoising of one clip: whatever is done to the UNet is undone in the end."""
        yield

    def around(self, guided: Guided, frames: list[int]) -> Predict:
        """Around the guided prediction of one window of the clip, which consists of these frames."""
        return guided


class TaylorCached(Accelerator):
    """The Taylor-Interpolated Cache (paper section 4.4) in the sampling loop."""

    def __init__(self, config: TaylorCacheConfig) -> None:
        """Take the configuration; its schedule holds the number of steps that the sampler must use."""
        self.config = config
        self.cache = TaylorCache(config)
        self.label = _label(config)

    def scheduler(self, steps: int) -> SchedulerMixin:
        """See `Accelerator`.

        Raises:
            ValueError: another number of steps than the cache's schedule has.
        """
        if steps != self.config.schedule.steps:
            raise ValueError(
                f"steps: the cache's schedule is made for {self.config.schedule.steps}, got {steps}"
            )
        return super().scheduler(steps)

    @contextmanager
    def attached(self, denoiser: nn.Module, clip: ClipInfo) -> Iterator[None]:
        """See `Accelerator`."""
        with self.cache.attached(denoiser):
            self.cache.start(clip.frames, self._masks(clip))
            yield

    def around(self, guided: Guided, frames: list[int]) -> Predict:
        """See `Accelerator`."""

        def predict(noisy: Tensor, step: int) -> Tensor:
            rows = BOTH_ROWS if step < guided.guided else BOTH_ROWS[1:]
            with self.cache.step(step, window=frames, rows=rows, signal=noisy):
                return guided(noisy, step)

        return predict

    def _masks(self, clip: ClipInfo) -> LandmarkMasks | None:
        region = self.config.mask
        if region == "none":
            return None
        fine = tuple(4 * side for side in clip.latent_size)  # whole maps of a long clip would fill the memory
        masks = [
            F.adaptive_max_pool2d(regions(clip.maps([frame]), region).float(), fine)
            for frame in range(clip.frames)
        ]
        return LandmarkMasks(torch.cat(masks), clip.latent_size)


def _label(config: TaylorCacheConfig) -> str:
    schedule = config.schedule
    if isinstance(schedule, Adaptive):
        when = f"adaptive{schedule.threshold:g}cap{schedule.cap}"
    else:
        when = "full" + ".".join(map(str, schedule.full))
    where = f"{config.scope}{config.cut if config.scope == 'deep' else ''}"
    boundary = "" if config.boundary is None else f"-g{config.boundary}"
    what = f"-{config.quantity}" if config.quantity else ""
    return f"tic-{where}{what}-{config.predictor}-o{config.order}-{config.mask}{boundary}-{when}"
