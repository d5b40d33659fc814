"""Plans for the search: the best full steps, taking the network's guesses on the uncached way as given."""

import math
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import torch
from fye_faster.accel.accelerator import AcceleratorConfig, Composed
from fye_faster.accel.forecast import Forecast, GuidanceShare, Quantity
from fye_faster.accel.tic import explicit
from fye_faster.accel.tic.predictors import History, Predictor
from fye_faster.diffusion.sampler import Guided
from fye_faster.diffusion.schedule import ddim
from fye_faster.presets import Preset
from torch import Tensor

from emojibench.fye.search.scenes import Steps

ELEMENTS = 1024
"""Of each window, drawn at random, that a plan looks at."""
MOST = 20
"""Rows that plans may compute."""
SHORTEST, LONGEST = 4, 12
"""Full steps of plans that extrapolate guidance."""
WAYS: tuple[tuple[int, Predictor], ...] = ((0, "eq4"), (1, "eq4"), (2, "eq4"), (2, "newton"))
"""Orders and predictors that are tried; below order 2 the predictors agree."""


class Frozen(Guided):
    """A network whose guess depends on the step alone."""

    def __init__(self, steps: Steps, preset: Preset, timesteps: Tensor) -> None:
        """Take its guesses."""
        # Neither network nor condition: `rows`, which needs them, is replaced.
        super().__init__(None, None, timesteps, preset.guidance, preset.guided, preset.guidance_rescale)  # type: ignore[arg-type]
        self._steps, self._quantity = steps, Quantity(preset.residual, timesteps)

    def rows(self, noisy: Tensor, step: int, count: int) -> tuple[Tensor, ...]:
        """See `Guided`."""
        return tuple(self._quantity.to_v(q, noisy, step) for q in self._steps[step][-count:])


class Planner:
    """Finds schedules for the guesses of some windows."""

    def __init__(self, ways: list[Steps], preset: Preset, steps: int) -> None:
        """Take the guesses at each of T steps of the uncached ways.

        Raises:
            ValueError: a preset whose guidance is rescaled: it mixes elements, which are treated one by one here.
        """
        if preset.guidance_rescale:
            raise ValueError(f"guidance_rescale: expected 0, got {preset.guidance_rescale}")
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randint(ways[0][0][0].numel(), (ELEMENTS,), generator=generator)
        self._guesses: Steps = [
            tuple(torch.cat([q.flatten()[chosen] for q in row]) for row in zip(*together, strict=True))
            for together in zip(*ways, strict=True)
        ]
        self._preset, self._count = preset, steps
        self._scheduler: Any = ddim(steps)
        self._guided = sum(len(rows) == 2 for rows in self._guesses)
        self._noise = torch.zeros_like(self._guesses[0][0])
        self._target = self._final(AcceleratorConfig(steps))

    def best(
        self, budget: int, residuals: Iterable[float | None], *, share: bool = True
    ) -> AcceleratorConfig:
        """The recipe with the least error that computes at most `budget` rows.

        Args:
            budget: rows, of which a guided full step takes two unless its guidance is extrapolated.
            residuals: quantities to try, see `Quantity`.
            share: whether guidance may be extrapolated.
        """
        candidates = (
            recipe
            for residual in residuals
            for order, predictor in WAYS
            for recipe in self._candidates(budget, residual, order, predictor, share)
        )
        return min(candidates, key=self.error)

    def error(self, recipe: AcceleratorConfig) -> float:
        """Relative error of the final latents."""
        return float((self._final(recipe) - self._target).norm() / self._target.norm())

    def _candidates(
        self, budget: int, residual: float | None, order: int, predictor: Predictor, share: bool
    ) -> Iterator[AcceleratorConfig]:
        plan = self._plan(residual, order, predictor, price=2)
        if budget in plan:
            yield AcceleratorConfig(
                self._count, cache=Forecast(explicit(self._count, plan[budget]), order, predictor, residual)
            )
        if share and order:
            yield from self._shared(residual, order, predictor).get(budget, ())

    @cache  # noqa: B019 - one planner a process
    def _shared(
        self, residual: float | None, order: int, predictor: Predictor
    ) -> dict[int, list[AcceleratorConfig]]:
        """Recipes that extrapolate guidance, by the rows that they compute.

        From each plan's guided full steps, the one whose unconditional row is missed least is left out, over and over.
        """
        made: dict[int, list[AcceleratorConfig]] = {}
        for count, full in self._plan(residual, order, predictor, price=1).items():
            if not SHORTEST <= count <= LONGEST:
                continue
            forecast = Forecast(explicit(self._count, full), order, predictor, residual)
            steps = [step for step in full if step < self._guided]
            while len(steps) > 1:
                fewer = [
                    AcceleratorConfig(
                        self._count,
                        cache=forecast,
                        guidance=GuidanceShare(tuple(s for s in steps if s != left), 1, residual),
                    )
                    for left in steps[1:]
                ]
                best = min(fewer, key=self.error)
                assert best.guidance is not None
                steps = list(best.guidance.steps)
                made.setdefault(count + len(steps), []).append(best)
        return made

    def _final(self, recipe: AcceleratorConfig) -> Tensor:
        """What sampling would end with, (elements,)."""
        predict = Composed(recipe).around(Frozen(self._guesses, self._preset, self._scheduler.timesteps), [0])
        latents = self._noise
        for step, t in enumerate(self._scheduler.timesteps):
            latents = self._scheduler.step(predict(latents, step), t, latents).prev_sample
        return latents

    @cache  # noqa: B019 - one planner a process
    def _plan(
        self, residual: float | None, order: int, predictor: Predictor, price: int
    ) -> dict[int, tuple[int, ...]]:
        """Rows to the full steps that spend exactly so many; guided steps cost `price`.

        States are the latest order + 1 full steps, which decide the prediction until the next one.
        """
        end = self._count
        cost = [price if step < self._guided else 1 for step in range(end)]
        best: dict[tuple[int, ...], dict[int, tuple[float, tuple[int, ...]]]] = {(0,): {cost[0]: (0.0, (0,))}}
        plans: dict[int, tuple[float, tuple[int, ...]]] = {}
        for last in range(end):
            for state in [state for state in best if state[-1] == last]:
                gaps = self._gaps(residual, state, order, predictor)
                for spent, (error, path) in best.pop(state).items():
                    if (total := error + gaps[-1]) < plans.get(spent, (math.inf,))[0]:
                        plans[spent] = (total, path)
                    for step in range(last + 1, end):
                        rows = spent + cost[step]
                        if rows > MOST:
                            continue
                        following = best.setdefault((*state, step)[-order - 1 :], {})
                        total = error + gaps[step - last - 1]
                        if total < following.get(rows, (math.inf,))[0]:
                            following[rows] = (total, (*path, step))
        return {spent: path for spent, (_, path) in plans.items()}

    @cache  # noqa: B019 - one planner a process
    def _series(self, residual: float | None) -> tuple[Tensor, Tensor, Tensor]:
        """The quantity at each step, guided and conditional (T, elements), and its weight in the end (T,)."""
        own = Quantity(self._preset.residual, self._scheduler.timesteps)
        wanted = Quantity(residual, self._scheduler.timesteps)
        frozen = Frozen(self._guesses, self._preset, self._scheduler.timesteps)
        latents, guided, conditional = self._noise, [], []
        unit, reach = torch.eye(self._count), torch.zeros(self._count)
        for step, t in enumerate(self._scheduler.timesteps):
            v = frozen(latents, step)
            guided.append(wanted.of(v, latents, step))
            conditional.append(wanted.of(frozen.rows(latents, step, 1)[0], latents, step))
            # What an error of q at each step has become by now, if the network's guesses stay as they are.
            v_reach = own.a[step] * reach - wanted.b[step] * unit[step]
            latents = self._scheduler.step(v, t, latents).prev_sample
            reach = self._scheduler.step(v_reach, t, reach).prev_sample
        return torch.stack(guided), torch.stack(conditional), reach

    @cache  # noqa: B019 - one planner a process
    def _gaps(
        self, residual: float | None, full: tuple[int, ...], order: int, predictor: Predictor
    ) -> list[float]:
        """Squared error in the final latents of skipping until the next step, the second next, ..., the end."""
        guided, conditional, weights = self._series(residual)
        both = torch.stack([guided, conditional], 1)
        history = History(order)
        for step in full:
            history.record(step, both[step])
        error = torch.zeros_like(guided[0])
        gaps = [0.0]
        for step in range(full[-1] + 1, self._count):
            row = int(step >= self._guided)
            missed = history.predict(step, predictor, 0)[row] - both[step, row]
            error = error + weights[step] * missed
            gaps.append(error.square().sum().item())
        return gaps
