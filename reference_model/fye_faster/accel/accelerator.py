"""What may change how a clip is denoised: another solver, or a network that does not run in full at every step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from weakref import WeakSet

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import SchedulerMixin
from torch import Tensor, nn

from fye_faster.accel.forecast import ROWS, Forecast, Forecaster, GuidanceShare, Rows, SharedGuidance
from fye_faster.accel.tic import Adaptive, LandmarkMasks, TaylorCache, TaylorCacheConfig, regions
from fye_faster.diffusion.sampler import Guided, Predict
from fye_faster.diffusion.solvers import SOLVERS, Solver, solver


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

    adaptive: bool = False
    """Whether the work depends on what a clip shows, not on its shape alone."""

    def scheduler(self, steps: int) -> SchedulerMixin:
        """A solver, ready to sample `steps` steps from v-predictions on the released noise schedule."""
        return solver("ddim", steps)

    @contextmanager
    def attached(self, denoiser: nn.Module, clip: ClipInfo) -> Iterator[None]:
        """Around the denoising of one clip: whatever is done to the UNet is undone in the end."""
        yield

    def around(self, guided: Guided, frames: list[int]) -> Predict:
        """Around the guided prediction of one window of the clip, which consists of these frames."""
        return guided

    def cached_bytes(self) -> int | None:
        """What is kept from step to step at this moment, on whatever device; None where that is not known."""
        return 0


def over(rows: Rows, guided: Guided) -> Predict:
    """`Guided.__call__` over rows that are made by other means than `Guided.rows`."""

    def predict(noisy: Tensor, step: int) -> Tensor:
        if step >= guided.guided:
            return rows(noisy, step, 1)[0]
        return guided.mix(*rows(noisy, step, 2))

    return predict


class TaylorCached(Accelerator):
    """The Taylor-Interpolated Cache (paper section 4.4) in the sampling loop."""

    def __init__(self, config: TaylorCacheConfig) -> None:
        """Take the configuration; its schedule holds the number of steps that the sampler must use."""
        self.config = config
        self.cache = TaylorCache(config)
        self.label = _label(config)
        self.adaptive = isinstance(config.schedule, Adaptive)

    def scheduler(self, steps: int) -> SchedulerMixin:
        """See `Accelerator`.

        Raises:
            ValueError: another number of steps than the cache's schedule has.
        """
        _check_steps(self.config.schedule.steps, steps)
        return super().scheduler(steps)

    @contextmanager
    def attached(self, denoiser: nn.Module, clip: ClipInfo) -> Iterator[None]:
        """See `Accelerator`."""
        with self.cache.attached(denoiser):
            self.cache.start(clip.frames, self._masks(clip))
            yield

    def around(self, guided: Guided, frames: list[int]) -> Predict:
        """See `Accelerator`."""
        return over(self.rows(guided, frames), guided)

    def rows(self, guided: Guided, frames: list[int]) -> Rows:
        """The rows of one window before guidance, through the cache."""

        def rows(noisy: Tensor, step: int, count: int) -> tuple[Tensor, ...]:
            with self.cache.step(step, window=frames, rows=ROWS[-count:], signal=noisy):
                return guided.rows(noisy, step, count)

        return rows

    def cached_bytes(self) -> int:
        """See `Accelerator`."""
        return self.cache.bytes

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


@dataclass(frozen=True)
class AcceleratorConfig:
    """A solver, and what is predicted instead of computed."""

    steps: int
    """T, of the solver."""
    solver: Solver = "ddim"
    cache: TaylorCacheConfig | Forecast | None = None
    """Features inside the UNet, or its output, at the steps that the schedule skips; None: nothing is skipped."""
    guidance: GuidanceShare | None = None
    """None: all guided steps run or predict both rows."""

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise ValueError(f"solver: expected one of {', '.join(SOLVERS)}, got {self.solver!r}")
        if self.cache is not None:
            _check_steps(self.cache.schedule.steps, self.steps)
        if self.guidance is None or self.cache is None:
            return
        schedule = self.cache.schedule
        if isinstance(schedule, Adaptive) or not set(self.guidance.steps) <= set(schedule.full):
            raise ValueError(
                "guidance: the unconditional row can only run at full steps of a fixed schedule, got "
                f"{self.guidance.steps}"
            )

    @property
    def label(self) -> str:
        """Names all settings."""
        parts = [f"{self.solver}{self.steps}"]
        if isinstance(self.cache, TaylorCacheConfig):
            parts.append(_label(self.cache))
        elif self.cache is not None:
            full = ".".join(map(str, self.cache.schedule.full))
            what = "v" if self.cache.residual is None else f"q{self.cache.residual:g}"
            parts.append(f"{what}-{self.cache.predictor}-o{self.cache.order}-full{full}")
        if self.guidance is not None:
            share = self.guidance
            what = "v" if share.residual is None else f"q{share.residual:g}"
            parts.append(f"share{'.'.join(map(str, share.steps))}-{what}-o{share.order}")
        return "-".join(parts)


class Composed(Accelerator):
    """Solver, cache and shared guidance of a config together."""

    def __init__(self, config: AcceleratorConfig, steps: int | None = None) -> None:
        """Take a config, and the number of steps that it stands for; None: its own."""
        self.config = config
        self.label = config.label
        self._stands_for = config.steps if steps is None else steps
        inner = config.cache
        self._features = TaylorCached(inner) if isinstance(inner, TaylorCacheConfig) else None
        self.adaptive = inner is not None and isinstance(inner.schedule, Adaptive)
        # Weakly: a window that is done must not keep its condition, or a long clip would fill the memory.
        self._windows: WeakSet[Forecaster | SharedGuidance] = WeakSet()

    def scheduler(self, steps: int) -> SchedulerMixin:
        """See `Accelerator`.

        Raises:
            ValueError: another number of steps than the config stands for.
        """
        _check_steps(self._stands_for, steps)
        return solver(self.config.solver, self.config.steps)

    @contextmanager
    def attached(self, denoiser: nn.Module, clip: ClipInfo) -> Iterator[None]:
        """See `Accelerator`."""
        with self._features.attached(denoiser, clip) if self._features else nullcontext():
            yield

    def around(self, guided: Guided, frames: list[int]) -> Predict:
        """See `Accelerator`."""
        rows: Rows = self._features.rows(guided, frames) if self._features else guided.rows
        if isinstance(self.config.cache, Forecast):
            rows = forecaster = Forecaster(self.config.cache, rows, guided.timesteps)
            self._windows.add(forecaster)
        if self.config.guidance is None:
            return over(rows, guided)
        shared = SharedGuidance(self.config.guidance, guided, rows)
        self._windows.add(shared)
        return shared

    def cached_bytes(self) -> int:
        """See `Accelerator`."""
        features = self._features.cached_bytes() if self._features else 0
        return features + sum(window.bytes for window in self._windows)


def _check_steps(wanted: int, given: int) -> None:
    if wanted != given:
        raise ValueError(f"steps: this accelerator is made for {wanted}, got {given}")


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
