"""Closed-loop refinement for the search: small changes of a recipe that are kept where they measure better."""

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from fye_faster.accel.accelerator import AcceleratorConfig
from fye_faster.accel.forecast import Forecast, GuidanceShare
from fye_faster.accel.tic import explicit
from fye_faster.accel.tic.predictors import Predictor

WAYS: tuple[tuple[int, Predictor], ...] = (
    (0, "eq4"), (1, "eq4"), (2, "eq4"), (2, "newton"), (3, "eq4"), (3, "newton"),
)  # fmt: skip
"""Orders and predictors that are tried; below order 2 the predictors agree."""
Measure = Callable[[AcceleratorConfig, float], float]
"""Error of a recipe on some clips, or infinity as soon as it is clearly beyond the least error so far."""


def refine(
    start: AcceleratorConfig, guided: float, residuals: list[float | None], measure: Measure, minutes: float
) -> AcceleratorConfig:
    """Climb from a recipe that forecasts to one with less error that computes as many rows.

    Neighbours are tried in random order and the first better one is taken, until none is left or time is up.

    Args:
        start: with a `Forecast`.
        guided: share of the steps, the first ones, that are guided.
        residuals: quantities to try, see `Quantity`.
        measure: what to make less.
        minutes: wall-clock budget.
    """
    best, least, end = start, measure(start, math.inf), time.monotonic() + 60 * minutes
    shuffle, tried = random.Random(0), {start.label}
    while True:
        fresh = [recipe for recipe in neighbours(best, guided, residuals) if recipe.label not in tried]
        shuffle.shuffle(fresh)
        for recipe in fresh:
            if time.monotonic() > end:
                return best
            tried.add(recipe.label)
            if (error := measure(recipe, least)) < least:
                best, least = recipe, error
                break
        else:
            return best


def grown(recipe: AcceleratorConfig, rows: int, guided: float) -> AcceleratorConfig:
    """The recipe with further full steps of one row in its widest gaps, up to a number of rows."""
    assert isinstance(recipe.cache, Forecast)
    shared = full_guided(recipe, guided)
    full = [*recipe.cache.schedule.full, recipe.steps]
    while len(full) - 1 + len(shared) < rows:
        k = max(range(len(full) - 1), key=lambda k: full[k + 1] - full[k])
        full.insert(k + 1, (full[k] + full[k + 1]) // 2)
    return _scheduled(recipe, set(full[:-1]), set(shared))


def neighbours(
    recipe: AcceleratorConfig, guided: float, residuals: list[float | None]
) -> Iterator[AcceleratorConfig]:
    """Recipes with as many rows and one setting changed."""
    forecast = recipe.cache
    assert isinstance(forecast, Forecast)
    for residual in residuals:
        yield _changed(recipe, replace(forecast, residual=residual))
    for order, predictor in WAYS:
        yield _changed(recipe, replace(forecast, order=order, predictor=predictor))
    if recipe.guidance is not None:
        for order in (0, 1, 2):
            yield replace(recipe, guidance=replace(recipe.guidance, order=order))
    full = forecast.schedule.full
    shared, guided_steps = full_guided(recipe, guided), math.ceil(guided * recipe.steps)
    for moved in full[1:]:
        for to in (moved - 2, moved - 1, moved + 1, moved + 2):
            # A step keeps its rows, so that the cost stays.
            if 0 < to < recipe.steps and to not in full and (moved < guided_steps) == (to < guided_steps):
                yield _scheduled(
                    recipe, {to if s == moved else s for s in full}, {to if s == moved else s for s in shared}
                )
    for dropped in shared[1:]:
        fewer = set(shared) - {dropped}
        for step in set(full[1:]) - set(shared):
            if step < guided_steps:  # another full step runs the unconditional row
                yield _scheduled(recipe, set(full), fewer | {step})
        for step in range(1, recipe.steps, 2):  # a further full step instead, with one row
            if step not in full:
                yield _scheduled(recipe, {*full, step}, fewer)
    for dropped in set(full[1:]) - set(shared):  # a full step less, the unconditional row at another one
        for step in set(full) - set(shared) - {dropped}:
            if step < guided_steps:
                yield _scheduled(recipe, set(full) - {dropped}, {*shared, step})


def full_guided(recipe: AcceleratorConfig, guided: float) -> tuple[int, ...]:
    """Steps that run both rows."""
    if recipe.guidance is not None:
        return recipe.guidance.steps
    assert isinstance(recipe.cache, Forecast)
    return tuple(step for step in recipe.cache.schedule.full if step < math.ceil(guided * recipe.steps))


def _scheduled(recipe: AcceleratorConfig, full: set[int], shared: set[int]) -> AcceleratorConfig:
    assert isinstance(recipe.cache, Forecast)
    forecast = replace(recipe.cache, schedule=explicit(recipe.steps, sorted(full)))
    share = recipe.guidance or GuidanceShare((0,), min(1, forecast.order), forecast.residual)
    return replace(recipe, cache=forecast, guidance=replace(share, steps=tuple(sorted(shared))))


def _changed(recipe: AcceleratorConfig, forecast: Forecast) -> AcceleratorConfig:
    share = recipe.guidance
    if share is not None:
        share = replace(share, residual=forecast.residual)
    return replace(recipe, cache=forecast, guidance=share)
