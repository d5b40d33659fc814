"""Predictions of whole steps, made outside the network: of its rows, and of what guidance adds to them.

The Taylor cache predicts features inside a UNet, whatever they mean. Here the quantity has a meaning, and a skipped
step runs nothing of the network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fye_faster.accel.tic.cache import MAX_ORDER
from fye_faster.accel.tic.predictors import PREDICTORS, History, Predictor
from fye_faster.accel.tic.schedule import Fixed
from fye_faster.diffusion.sampler import Guided
from fye_faster.diffusion.schedule import ddim, preconditioning

ROWS = ("unconditional", "conditional")

Rows = Callable[[Tensor, int, int], tuple[Tensor, ...]]
"""`Guided.rows`, or what stands in for it: (noisy, step, count) to v of each row."""


@dataclass(frozen=True)
class Forecast:
    """Skipped steps get the extrapolated output of the full ones."""

    schedule: Fixed
    order: int = 2
    predictor: Predictor = "newton"
    residual: float | None = 0.0
    """What is extrapolated, see `Quantity`: v for None, the clean latents for 0, at the model's own `Preset.residual`
    what its network guesses."""

    def __post_init__(self) -> None:
        _check(self.order, self.residual)
        if self.predictor not in PREDICTORS:
            raise ValueError(f"predictor: expected one of {', '.join(PREDICTORS)}, got {self.predictor!r}")


@dataclass(frozen=True)
class GuidanceShare:
    """The unconditional row runs at some steps only; between them, its distance to the other is extrapolated."""

    steps: tuple[int, ...]
    """Steps that run it, ascending from 0 on. Those that are not guided do not run it in any case."""
    order: int = 1
    """Of the extrapolation, by `eq4`."""
    residual: float | None = 0.0
    """As in `Forecast`."""

    def __post_init__(self) -> None:
        _check(self.order, self.residual)
        if not self.steps or self.steps[0] != 0 or list(self.steps) != sorted(set(self.steps)):
            raise ValueError(
                f"guidance: expected ascending steps without repeats from 0 on, got {self.steps}"
            )


class Quantity:
    """The q in v = a z - b q, at the steps of a solver; z are the noisy latents.

    a and b are those of `schedule.preconditioning`. Residual 0 makes q the clean latents that v and z imply. None
    stands for a = 0 and b = -1: q is v.
    """

    def __init__(self, residual: float | None, timesteps: Tensor) -> None:
        """Take 0 to 1 or None, and the solver's timesteps (T,)."""
        alphas = ddim().alphas_cumprod.to(timesteps.device)[timesteps]
        if residual is None:
            self.a, self.b = torch.zeros_like(alphas), -torch.ones_like(alphas)
        else:
            self.a, self.b = preconditioning(alphas, residual)

    def of(self, v: Tensor, noisy: Tensor, step: int) -> Tensor:
        """All of one shape."""
        return (self.a[step] * noisy - v) / self.b[step]

    def to_v(self, q: Tensor, noisy: Tensor, step: int) -> Tensor:
        """The reverse of `of`; all of one shape."""
        return self.a[step] * noisy - self.b[step] * q


class Forecaster:
    """Predicts the rows of one window at skipped steps."""

    def __init__(self, config: Forecast, rows: Rows, timesteps: Tensor) -> None:
        """Take what computes the rows, and the solver's timesteps (T,)."""
        self._config, self._rows = config, rows
        self._quantity = Quantity(config.residual, timesteps)
        self._histories: dict[str, History] = {}

    @property
    def bytes(self) -> int:
        """Of all that is kept for the steps to come."""
        return sum(history.bytes for history in self._histories.values())

    def __call__(self, noisy: Tensor, step: int, count: int) -> tuple[Tensor, ...]:
        """See `Rows`; steps ascend from 0."""
        names = ROWS[-count:]
        if step in self._config.schedule.full:
            rows = self._rows(noisy, step, count)
            for name, v in zip(names, rows, strict=True):
                history = self._histories.setdefault(name, History(self._config.order))
                history.record(step, self._quantity.of(v, noisy, step))
        else:
            rows = tuple(self._predicted(name, noisy, step) for name in names)
        if step == self._config.schedule.steps - 1:
            self._histories.clear()
        return rows

    def _predicted(self, name: str, noisy: Tensor, step: int) -> Tensor:
        """V of the latents' shape (1, C, L, h, w)."""
        q = self._histories[name].predict(step, self._config.predictor, 0)
        return self._quantity.to_v(q, noisy, step)


class SharedGuidance:
    """Guides one window at every step, although few of them run the unconditional row."""

    def __init__(self, config: GuidanceShare, guided: Guided, rows: Rows) -> None:
        self._config, self._guided, self._rows = config, guided, rows
        self._scale = Quantity(config.residual, guided.timesteps).b
        self._history: History | None = None

    @property
    def bytes(self) -> int:
        """Of all that is kept for the steps to come."""
        return 0 if self._history is None else self._history.bytes

    def __call__(self, noisy: Tensor, step: int) -> Tensor:
        """See `Predict`; steps ascend from 0."""
        if step >= self._guided.guided:
            self._history = None
            return self._rows(noisy, step, 1)[0]
        if step in self._config.steps:
            unconditional, conditional = self._rows(noisy, step, 2)
            self._history = self._history or History(self._config.order)
            # Both rows share the noisy latents, so that only b remains between the differences of v and of q.
            self._history.record(step, (unconditional - conditional) / self._scale[step])
        else:
            assert self._history is not None  # step 0 is one of the steps
            (conditional,) = self._rows(noisy, step, 1)
            unconditional = conditional + self._scale[step] * self._history.predict(step, "eq4", 0)
        return self._guided.mix(unconditional, conditional)


def _check(order: int, residual: float | None) -> None:
    if not 0 <= order <= MAX_ORDER:
        raise ValueError(f"order: expected O from 0 to {MAX_ORDER}, got {order}")
    if residual is not None and not 0 <= residual <= 1:
        raise ValueError(f"residual: expected 0 to 1, or None for v, got {residual}")
