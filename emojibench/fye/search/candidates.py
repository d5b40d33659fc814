"""What the search measures before it refines anything, by the name that its page shows."""

import itertools
import math
from typing import Any

import numpy as np
from fye_faster.accel.accelerator import AcceleratorConfig
from fye_faster.accel.forecast import Forecast, GuidanceShare
from fye_faster.accel.presets import PRESETS
from fye_faster.accel.tic import Adaptive, TaylorCacheConfig, explicit, uniform
from fye_faster.accel.tic.masks import Region
from fye_faster.diffusion.solvers import Solver

from emojibench.fye.search.planning import Planner
from emojibench.fye.search.recompute import Ideal

STEPS = 30
BUDGETS = (20, 16, 13, 11, 10, 9, 8, 7, 6, 5)
"""Rows computed in full; the uncached way takes 45."""
REFINED = (8, 11, 16)
"""Budgets that are refined, for one preset each, `fast` first."""
SOLVERS: tuple[Solver, ...] = ("dpm++", "unipc")
SHARES = ((14, 2), (13, 3), (12, 4), (9, 2), (8, 3), (6, 2))
"""Steps, and how many of them run the unconditional row: as many rows as `REFINED`."""
CACHED = ((12, 4), (9, 2), (6, 2))
"""Full steps of solvers that skip some, and how many of them run the unconditional row: as many rows as `REFINED`."""
DRIFTS = (0.2, 0.3, 0.4, 0.6)
"""Accumulated relative L1 change of the latents that lets an adaptive schedule refresh."""
CAP = 5
"""Steps that it skips in a row at most."""
PAPER = "TIC, N=3, O=1, expression mask, head"
Recipes = dict[str, AcceleratorConfig]


def fixed() -> Recipes:
    """What is measured whatever the plan says: the paper's setting first."""
    every_third = uniform(STEPS, 3)
    no_mask: dict[str, Any] = {"mask": "none", "boundary": 0}
    recipes = {
        PAPER: TaylorCacheConfig(every_third, scope="head"),
        "TIC, N=3, O=1, no mask, G=0, head": TaylorCacheConfig(every_third, scope="head", **no_mask),
        "DeepCache, N=3": TaylorCacheConfig(every_third, order=0, scope="deep", **no_mask),
        "TIC, N=3, O=1, expression mask, cut 0": TaylorCacheConfig(every_third, scope="deep"),
        "TIC, N=3, O=2, no mask, G=0, head output": TaylorCacheConfig(
            every_third, 2, scope="head", quantity="output", **no_mask
        ),
    }
    made = {name: AcceleratorConfig(STEPS, cache=cache) for name, cache in recipes.items()}
    made |= {f"DDIM, {steps} steps": AcceleratorConfig(steps) for steps in (15, 10)}
    for solver, title in zip(SOLVERS, ("DPM-Solver++", "UniPC"), strict=True):
        made |= {f"{title}, {steps} steps": AcceleratorConfig(steps, solver) for steps in (15, 10)}
    return made


def planned(planner: Planner, residual: float) -> Recipes:
    """The best of each budget by the open loop, by quantity, and the plan's other uses."""
    quantities = {"v": None, "clean latents": 0.0, "guess": residual}
    made: Recipes = {}
    for budget in BUDGETS:
        best = planner.best(budget, quantities.values())
        assert isinstance(best.cache, Forecast)
        title = next(name for name, value in quantities.items() if value == best.cache.residual)
        made[f"{title}, {budget} rows"] = best
    for name, residual_ in quantities.items():  # what the quantity is worth at one budget
        made[f"{name}, 9 rows, this quantity only"] = planner.best(9, [residual_])
    for budget in (11, 9):
        made[f"guidance at all full steps, {budget} rows"] = planner.best(
            budget, quantities.values(), share=False
        )
    chosen = made["guidance at all full steps, 9 rows"].cache
    assert isinstance(chosen, Forecast)
    for title, cache in {
        "head features": TaylorCacheConfig(chosen.schedule, 2, 0, "none", "head", predictor="newton"),
        "head output": TaylorCacheConfig(
            chosen.schedule, 2, 0, "none", "head", predictor="newton", quantity="output"
        ),
        "cut 0": TaylorCacheConfig(chosen.schedule, 1, 0, "none", "deep"),
        "head features, expression mask": TaylorCacheConfig(chosen.schedule, 2, None, scope="head"),
    }.items():
        made[f"schedule of 9 rows, {title}"] = AcceleratorConfig(STEPS, cache=cache)
    return made


def adaptive() -> Recipes:
    """Schedules that follow the latents; what is extrapolated is what serves fixed ones best."""
    return {
        f"{predictor}, O=2, head output, refreshed at a drift of {drift}": AcceleratorConfig(
            STEPS,
            cache=TaylorCacheConfig(
                Adaptive(STEPS, drift, CAP), 2, 0, "none", "head", predictor=predictor, quantity="output"
            ),
        )
        for predictor in ("eq4", "newton")
        for drift in DRIFTS
    }


def cached_solvers() -> Recipes:
    """Solvers of higher order that skip steps, more of them towards the end, and share guidance."""
    made: Recipes = {}
    for solver, steps, (full, count) in itertools.product(SOLVERS, (12, 15, 20), CACHED):
        if full == steps:
            continue
        spread = np.linspace(0, 1, full) ** 1.25 * (steps - 1)
        chosen = np.maximum(spread.round().astype(int), np.arange(full)).tolist()
        guided = [step for step in chosen if step < math.ceil(steps / 2)]
        shared = [
            guided[k] for k in np.linspace(0, len(guided) - 1, min(count, len(guided))).round().astype(int)
        ]
        made[
            f"{solver}, {steps} steps, {full} full, guidance at {len(shared)}, {full + len(shared)} rows"
        ] = AcceleratorConfig(
            steps, solver, Forecast(explicit(steps, chosen)), GuidanceShare(tuple(shared), 1, 0.0)
        )
    return made


def recomputing() -> dict[str, Ideal]:
    """Landmark tokens at every step, the others extrapolated from every third or from few full steps."""
    few = PRESETS["fast"].cache
    assert isinstance(few, Forecast)
    regions: tuple[Region, ...] = ("expression", "face")
    return {
        f"{region} tokens anew (ideal), {title}": Ideal(forecast, region)
        for region in regions
        for title, forecast in (("every third step", Forecast(uniform(STEPS, 3))), ("steps of `fast`", few))
    }


def sharing() -> Recipes:
    """Solvers of higher order that run all steps, but the unconditional row at a few, evenly spread ones."""
    made: Recipes = {}
    for solver, (steps, count) in itertools.product(SOLVERS, SHARES):
        spread = np.linspace(0, math.ceil(steps / 2), count, endpoint=False).round().astype(int)
        share = GuidanceShare(tuple(spread.tolist()), 1, 0.0)
        made[f"{solver}, {steps} steps, guidance at {count}"] = AcceleratorConfig(
            steps, solver, guidance=share
        )
    return made


def shipped() -> Recipes:
    """The presets as they are, for a search to start from as well."""
    return {
        f"shipped {name}, {budget} rows": recipe
        for (name, recipe), budget in zip(reversed(tuple(PRESETS.items())), REFINED, strict=True)
    }
