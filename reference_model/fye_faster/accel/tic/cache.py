"""The Taylor-Interpolated Cache: most steps of a diffusion UNet predicted instead of computed."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from fye_faster.accel.tic.layers import QUANTITIES, Patch, Quantity, Scope, patches
from fye_faster.accel.tic.masks import LandmarkMasks
from fye_faster.accel.tic.predictors import PREDICTORS, Predictor
from fye_faster.accel.tic.schedule import Schedule
from fye_faster.accel.tic.store import Store

MAX_ORDER = 4
"""Beyond, rounding errors outweigh anything a higher order could gain."""


@dataclass(frozen=True)
class TaylorCacheConfig:
    """How features are cached."""

    schedule: Schedule
    """Which steps run in full; holds T and the interval N. A longer interval is cheaper and less exact."""
    order: int = 1
    """O, of the prediction, from 0 (plain reuse) to `MAX_ORDER`. Cost hardly depends on it; O + 1 features are kept. On
    `mini` order 2 was nearer than 1, and 3 added nothing. The paper does not state the order of its final setting."""
    boundary: int | None = None
    """G, 0 to T: the step from which Taylor terms act outside the mask too; by default ceil(0.72 T), the paper's
    "slightly above 70%". Compared with the current step, as in Algorithm 1."""
    mask: Literal["expression", "face", "none"] = "expression"
    """Where Taylor terms act before G; `none`: nowhere, so that features are repeated until G."""
    scope: Scope = "deep"
    """What is cached: `attention` saves least, `head` most; see `layers.patches`."""
    cut: int = 0
    """For scope `deep`: the skip connection that still runs, counted from the first convolution's output."""
    predictor: Predictor = "eq4"
    quantity: Quantity | None = None
    """What is extrapolated: `residual`, what a module adds to its input; `features`, what the next layer reads;
    `output`, what the UNet returns. By default the first of `layers.QUANTITIES[scope]`."""

    def __post_init__(self) -> None:
        steps = self.schedule.steps
        if not isinstance(self.order, int) or not 0 <= self.order <= MAX_ORDER:
            raise ValueError(f"order: expected O from 0 to {MAX_ORDER}, got {self.order}")
        known_boundary = isinstance(self.boundary, int) and 0 <= self.boundary <= steps
        if self.boundary is not None and not known_boundary:
            raise ValueError(
                f"boundary: expected G from 0 to {steps} (the number of steps), got {self.boundary}"
            )
        for name, value, known in (
            ("mask", self.mask, ("expression", "face", "none")),
            ("scope", self.scope, tuple(QUANTITIES)),
            ("predictor", self.predictor, PREDICTORS),
        ):
            if value not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
        if self.quantity is not None and self.quantity not in QUANTITIES[self.scope]:
            raise ValueError(
                f"quantity: scope {self.scope!r} extrapolates {' or '.join(QUANTITIES[self.scope])}, "
                f"got {self.quantity!r}"
            )
        if self.cut != 0 and self.scope != "deep":
            raise ValueError(f"cut: only scope 'deep' has one, got {self.cut} with scope {self.scope!r}")


class TaylorCache:
    """A cache for one UNet at a time. Attach it, start a clip, and call the UNet inside `step`.

        cache = TaylorCache(TaylorCacheConfig(uniform(steps=30, interval=3), mask="none"))
        with cache.attached(animator.denoiser):
            cache.start(frames=64)
            ...
            with cache.step(step, window=frames, rows=("unconditional", "conditional")):
                animator.denoise(...)

    Steps of different windows may alternate. The caller says which step, window and rows a call is; nothing is
    guessed from tensors.
    """

    def __init__(self, config: TaylorCacheConfig) -> None:
        self.config = config
        steps = config.schedule.steps
        boundary = math.ceil(0.72 * steps) if config.boundary is None else config.boundary
        self._store = Store(config.schedule, config.order, boundary, config.predictor)
        self._patches: list[Patch] = []

    def attach(self, unet: nn.Module) -> None:
        """Put this cache into a UNet.

        Raises:
            RuntimeError: this cache is attached already, or another one to this UNet.
            ValueError: the UNet lacks the modules of the scope.
        """
        if self._patches:
            raise RuntimeError("this Taylor cache is attached already: detach it first")
        if any(isinstance(module.__dict__.get("forward"), Patch) for module in unet.modules()):
            raise RuntimeError("another Taylor cache is attached to this UNet: detach it first")
        config = self.config
        quantity = config.quantity or QUANTITIES[config.scope][0]
        self._patches = patches(unet, config.scope, quantity, config.cut, self._store)
        self._store.modules = {patch.name for patch in self._patches if patch.caches}
        for patch in self._patches:
            patch.apply()

    def detach(self) -> None:
        """Leave the UNet as it was; does nothing if not attached.

        Raises:
            RuntimeError: a window has steps to come (`reset` gives them up), or something else has replaced a
                cached module's forward meanwhile (what is still ours is put back first).
        """
        if self._store.running:
            raise RuntimeError("a run is in progress: finish all steps or call `reset` before `detach`")
        ours = [patch for patch in self._patches if patch.in_place]
        strange = [patch.name for patch in self._patches if not patch.in_place]
        self._patches = []
        for patch in ours:
            patch.remove()
        if strange:
            raise RuntimeError(
                f"forward of {', '.join(strange)} was replaced while the Taylor cache was attached: "
                "whatever is put into a UNet later has to be taken out before"
            )

    @contextmanager
    def attached(self, unet: nn.Module) -> Iterator[None]:
        """Attach, and in the end detach, giving up unfinished runs."""
        self.attach(unet)
        try:
            yield
        finally:
            self.reset()
            self.detach()

    def start(self, frames: int, masks: LandmarkMasks | None = None) -> None:
        """Begin a clip: forget everything of the one before.

        Args:
            frames: T_f, of the clip.
            masks: of all its frames, unless the configured mask is `none`.

        Raises:
            ValueError: no frames; masks missing, not wanted, or of another number of frames.
            RuntimeError: a step is in progress.
        """
        if frames < 1:
            raise ValueError(f"frames: expected at least 1, got {frames}")
        if (masks is None) != (self.config.mask == "none"):
            raise ValueError(
                f"masks: mask {self.config.mask!r} "
                + ("needs the clip's landmark masks, got None" if masks is None else "takes none, got some")
            )
        if masks is not None and masks.frames != frames:
            raise ValueError(f"masks: expected those of {frames} frames, got {masks.frames}")
        self._store.start(frames, masks)

    def reset(self) -> None:
        """Forget all features, for the next stage of progressive generation; frames and masks stay.

        Raises:
            RuntimeError: a step is in progress.
        """
        self._store.reset()

    def step(
        self, step: int, *, window: Sequence[int], rows: Sequence[str], signal: Tensor | None = None
    ) -> AbstractContextManager[bool]:
        """Around one call of the UNet; the value is whether it runs in full.

        Args:
            step: 0 to T - 1, for each window one after the other.
            window: frames of the clip that are denoised together; each set of frames has its own features.
            rows: names of the guidance rows that the batch consists of, in order. A row may stop before the
                last step; the others continue their own history.
            signal: what an adaptive schedule watches, such as the noisy latents; others ignore it.

        Raises:
            RuntimeError: no clip was started, steps are nested, or the UNet was not called exactly once.
            ValueError: a step out of order, a window outside the clip, rows that do not divide the batch or come
                back unknown, features that change shape.
        """
        return self._store.step(step, window, rows, signal)

    def full_steps(self, window: Sequence[int]) -> tuple[int, ...]:
        """Steps of a window that ran in full so far."""
        return self._store.full_steps(window)

    @property
    def bytes(self) -> int:
        """What the features in store take, on whatever device."""
        return self._store.bytes
