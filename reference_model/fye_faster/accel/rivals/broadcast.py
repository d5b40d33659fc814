"""Attention broadcast: Zhao et al., "Real-time video generation with pyramid attention broadcast" (PAB), 2024."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from diffusers import SchedulerMixin
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from fye_faster.accel.accelerator import Accelerator, ClipInfo
from fye_faster.accel.forecast import ROWS
from fye_faster.accel.tic import Fixed
from fye_faster.accel.tic.layers import Predicted
from fye_faster.accel.tic.masks import Layout
from fye_faster.accel.tic.store import Store
from fye_faster.diffusion.sampler import Guided, Predict

KINDS = ("spatial", "cross", "temporal")


class Broadcast(Accelerator):
    """Attention outputs are reused, each kind of attention for its own number of steps.

    Attention of range N runs at every N-th step and wherever the timestep is not strictly inside the given limits;
    elsewhere its latest output is repeated. Kept apart by window and guidance row, as by `TaylorCache`.
    """

    def __init__(self, ranges: dict[str, int], low: int, high: int) -> None:
        """Take a range for each of `KINDS` (1: always computed) and the limits in training timesteps.

        Raises:
            ValueError: a range outside 1 to 1000, limits outside 0 to 1000 or not in order.
        """
        for kind in KINDS:
            if not 1 <= ranges[kind] <= 1000:
                raise ValueError(f"{kind}: expected a range of 1 (off) to 1000 steps, got {ranges[kind]}")
        if not 0 <= low < high <= 1000:
            raise ValueError(f"low, high: expected 0 <= low < high <= 1000, got {low} and {high}")
        self.ranges, self.low, self.high = ranges, low, high
        self.label = f"pab-{'-'.join(f'{kind}{ranges[kind]}' for kind in KINDS)}-t{low}to{high}"
        self._schedules: dict[str, Fixed] = {}
        self._stores: dict[str, Store] = {}

    def scheduler(self, steps: int) -> SchedulerMixin:
        """See `Accelerator`; also finds out which steps compute which attention."""
        scheduler = super().scheduler(steps)
        timesteps = scheduler.timesteps.tolist()
        self._schedules = {
            kind: Fixed(
                steps,
                tuple(n for n, t in enumerate(timesteps) if n % every == 0 or not self.low < t < self.high),
            )
            for kind, every in self.ranges.items()
        }
        return scheduler

    @contextmanager
    def attached(self, denoiser: nn.Module, clip: ClipInfo) -> Iterator[None]:
        """See `Accelerator`.

        Raises:
            ValueError: the UNet lacks a kind of attention that is to be reused.
        """
        found = list(_attention(denoiser))
        stores, patches = {}, []
        for kind, schedule in self._schedules.items():
            if self.ranges[kind] == 1:
                continue
            stores[kind] = store = Store(schedule, order=0, boundary=schedule.steps, predictor="eq4")
            store.start(clip.frames, None)
            layout: Layout = "motion" if kind == "temporal" else "tokens"
            mine = [Predicted(name, module, store, layout) for of, name, module in found if of == kind]
            if not mine:
                raise ValueError(
                    f"{kind}: looked for Attention in Transformer2DModel (spatial: attn1, cross: attn2) and "
                    f"AnimateDiffTransformer3D (temporal), but this {type(denoiser).__name__} has none"
                )
            store.modules = {patch.name for patch in mine}
            patches += mine
        self._stores = stores
        for patch in patches:
            patch.apply()
        try:
            yield
        finally:
            self._stores = {}
            for patch in patches:
                patch.remove()

    def cached_bytes(self) -> int:
        """See `Accelerator`."""
        return sum(store.bytes for store in self._stores.values())

    def around(self, guided: Guided, frames: list[int]) -> Predict:
        """See `Accelerator`."""

        def predict(noisy: Tensor, step: int) -> Tensor:
            rows = ROWS if step < guided.guided else ROWS[1:]
            with ExitStack() as stack:
                for store in self._stores.values():
                    stack.enter_context(store.step(step, frames, rows, None))
                return guided(noisy, step)

        return predict


def _attention(unet: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Kind, name and module of every attention in a transformer, the middle block's included."""
    for outer, transformer in unet.named_modules():
        if isinstance(transformer, (Transformer2DModel, AnimateDiffTransformer3D)):
            for name, module in transformer.named_modules(prefix=outer):
                if isinstance(module, Attention):
                    if isinstance(transformer, AnimateDiffTransformer3D):
                        kind = "temporal"
                    else:
                        kind = "spatial" if name.endswith("attn1") else "cross"
                    yield kind, name, module
