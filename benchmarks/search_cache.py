"""Searches solvers, caches and schedules for the presets of the reference model, on training clips.

    python benchmarks/search_cache.py [--clips 4] [--frames 16] [--refine 10] [--out leaderboards/acceleration/search]

Everything is measured on single windows, against 30 uncached DDIM steps from the same noise. `error` is the root mean
square difference of decoded pixels in 1/255, frame by frame: its mean and the mean of the worst 5 % of frames.
`latents`, the mean of ||z - z_uncached|| / ||z_uncached||, chooses nothing: the decoder hides part of it.
FLOPs are counted while it runs (`metrics.flops`). Clips are training sequences, whose seeds no split uses.

1. Open loop, cheap. The network's guesses at all steps of the uncached way are kept. Taking them as given, the final
   latents are a linear function of them, so that the error of a schedule is a sum over its gaps: dynamic programming
   finds the best full steps for each budget, order and extrapolated quantity. Guided steps cost two rows, others one.
   Then the steps that run the unconditional row are chosen among the full ones.
2. Closed loop, for real: the best of each budget, the paper's setting, its rivals and other solvers are run; the latter
   also with guidance extrapolated between some of their guided steps.
3. Closed loop, refined: from the best of some budgets, the present presets and what came out for smaller budgets among
   them, one setting or step is changed at a time, and kept if the error on short windows of further clips is less;
   --refine minutes for each budget. Short windows are the last frames of whole ones, which have moved furthest from the
   portrait. The results are run as in 2.
4. `lossless`: least error at the FLOPs of the paper's setting. `balanced` and `fast`: least error at 4 and 5 times
   fewer FLOPs than uncached; whether that is at or below the error of the paper's setting is printed.

In 3 and 4 the error to make less is mean / mean of the paper's setting + worst 5 % / worst 5 % of the paper's setting.

Writes OUT.jsonl, a line for each run as soon as it is done (a second call continues), and OUT.md.
"""

import argparse
import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from cache_planning import Planner
from cache_refining import grown, refine
from cache_scenes import Scene, decoded, sample, scenes, uncached

from reference_model.acceleration import Composed, Recipe
from reference_model.acceleration_presets import PRESETS
from reference_model.forecast import Forecast, GuidanceShare
from reference_model.pipeline import Pipeline
from reference_model.solvers import Solver
from reference_model.taylor_cache import TaylorCacheConfig, explicit, uniform

STEPS = 30
BUDGETS = (20, 16, 13, 11, 10, 9, 8, 7, 6, 5)
"""Rows computed in full; the uncached way takes 45."""
REFINED = (8, 11, 16)
"""Budgets that are refined, for one preset each, `fast` first."""
SOLVERS: tuple[Solver, ...] = ("dpm++", "unipc")
SHARES = ((14, 2), (13, 3), (12, 4), (9, 2), (8, 3), (6, 2))
"""Steps, and how many of them run the unconditional row: as many rows as `REFINED`."""
SHORT = 4
"""Frames of the windows that refinement looks at."""
PAPER = "TIC, N=3, O=1, expression mask, head"
Recipes = dict[str, Recipe]
Target = tuple[torch.Tensor, torch.Tensor]
"""Of the uncached way: latents (1, C, L, h, w) and frames (L, 3, H, W) in [0, 1]."""


def fixed() -> Recipes:
    """What is measured whatever the plan says: the paper's setting first."""
    every_third = uniform(STEPS, 3)
    no_mask = {"mask": "none", "boundary": 0}
    recipes = {
        PAPER: TaylorCacheConfig(every_third, scope="head"),
        "TIC, N=3, O=1, no mask, G=0, head": TaylorCacheConfig(every_third, scope="head", **no_mask),
        "DeepCache, N=3": TaylorCacheConfig(every_third, order=0, scope="deep", **no_mask),
        "TIC, N=3, O=1, expression mask, cut 0": TaylorCacheConfig(every_third, scope="deep"),
        "TIC, N=3, O=2, no mask, G=0, head output": TaylorCacheConfig(
            every_third, 2, scope="head", quantity="output", **no_mask
        ),
    }
    made = {name: Recipe(STEPS, cache=cache) for name, cache in recipes.items()}
    made |= {f"DDIM, {steps} steps": Recipe(steps) for steps in (15, 10)}
    for solver, title in (("dpm++", "DPM-Solver++"), ("unipc", "UniPC")):
        made |= {f"{title}, {steps} steps": Recipe(steps, solver) for steps in (15, 10)}
    return made


def planned(planner: Planner, residual: float) -> Recipes:
    """The best of each budget by the open loop, by quantity, and the plan's other uses."""
    quantities = {"v": None, "clean latents": 0.0, "guess": residual}
    made: Recipes = {}
    for budget in BUDGETS:
        best = planner.best(budget, quantities.values())
        title = next(name for name, value in quantities.items() if value == best.cache.residual)
        made[f"{title}, {budget} rows"] = best
    for name, residual_ in quantities.items():  # what the quantity is worth at one budget
        made[f"{name}, 9 rows, this quantity only"] = planner.best(9, [residual_])
    for budget in (11, 9):
        made[f"guidance at all full steps, {budget} rows"] = planner.best(
            budget, quantities.values(), share=False
        )
    chosen = made["guidance at all full steps, 9 rows"].cache
    for title, cache in {
        "head features": TaylorCacheConfig(chosen.schedule, 2, 0, "none", "head", predictor="newton"),
        "head output": TaylorCacheConfig(
            chosen.schedule, 2, 0, "none", "head", predictor="newton", quantity="output"
        ),
        "cut 0": TaylorCacheConfig(chosen.schedule, 1, 0, "none", "deep"),
        "head features, expression mask": TaylorCacheConfig(chosen.schedule, 2, None, scope="head"),
    }.items():
        made[f"schedule of 9 rows, {title}"] = Recipe(STEPS, cache=cache)
    for solver in SOLVERS:
        full = explicit(15, (0, 1, 2, 5, 9, 13))
        made[f"{solver}, 15 steps, 6 full, clean latents"] = Recipe(15, solver, Forecast(full, 1))
    return made


def sharing() -> Recipes:
    """Solvers of higher order that run all steps, but the unconditional row at a few, evenly spread ones."""
    made: Recipes = {}
    for solver, (steps, count) in itertools.product(SOLVERS, SHARES):
        spread = np.linspace(0, math.ceil(steps / 2), count, endpoint=False).round().astype(int)
        share = GuidanceShare(tuple(spread.tolist()), 1, 0.0)
        made[f"{solver}, {steps} steps, guidance at {count}"] = Recipe(steps, solver, guidance=share)
    return made


def shipped() -> Recipes:
    """The presets as they are, for a search to start from as well."""
    return {
        f"shipped {name}, {budget} rows": recipe
        for (name, recipe), budget in zip(reversed(PRESETS.items()), REFINED, strict=True)
    }


def refined(
    pipeline: Pipeline, plans: Recipes, minutes: float, clips: int, frames: int, folder: Path, log: Path
) -> Recipes:
    """The plans of some budgets after changes that measure better on short windows of clips of their own."""
    known = list(scenes(pipeline, 2 * clips, SHORT, folder, first=frames - SHORT, after=clips))
    ways = [uncached(pipeline, scene, STEPS, folder) for scene in known]
    targets = [
        (result.latents, decoded(pipeline, scene, result.latents))
        for scene, (result, _) in zip(known, ways, strict=True)
    ]
    guided = sum(len(rows) == 2 for rows in ways[0][1])

    def errors(recipe: Recipe, count: int) -> tuple[float, float]:
        lines = measure(pipeline, {recipe.label: recipe}, known[:count], targets[:count], log)
        found = np.array([line["errors"] for line in lines])
        return float(found.mean()), worst(found)

    parts = (math.ceil(len(known) / 3), len(known))
    paper = {count: errors(fixed()[PAPER], count) for count in parts}

    def error(recipe: Recipe, least: float) -> float:
        total = math.inf
        for count in parts:
            total = sum(
                ours / theirs for ours, theirs in zip(errors(recipe, count), paper[count], strict=True)
            )
            if total > 1.2 * least:  # too far behind for the other clips to make it good
                return math.inf
        return total

    residuals = [None, 0.0, pipeline.preset.residual]
    made: Recipes = {}
    for budget in REFINED:
        starts = [recipe for name, recipe in plans.items() if f"{budget} rows" in name]
        starts += [grown(recipe, budget, guided) for recipe in made.values()]
        forecasts = [recipe for recipe in starts if isinstance(recipe.cache, Forecast)]
        best = min(forecasts, key=lambda recipe: error(recipe, math.inf))
        made[f"refined, {budget} rows"] = refine(best, guided, residuals, error, minutes)
    return made


def measure(
    pipeline: Pipeline, recipes: Recipes, known: list[Scene], targets: list[Target], log: Path
) -> list[dict]:
    """Run what the log does not have yet."""
    done = {_key(line): line for line in _read(log)}
    for name, recipe in recipes.items():
        for scene, (target, pictures) in zip(known, targets, strict=True):
            key = (recipe.label, scene.name, scene.noise.shape[2], pipeline.digest)
            if key in done:
                continue
            result = sample(pipeline, scene, Composed(recipe), recipe.steps)
            latents = [((a - b).norm() / b.norm()).item() for a, b in _frames(result.latents, target)]
            apart = decoded(pipeline, scene, result.latents) - pictures
            errors = (255 * apart.square().mean((1, 2, 3)).sqrt()).tolist()
            done[key] = {
                "name": name,
                "label": recipe.label,
                "clip": scene.name,
                "weights": pipeline.digest,
                "frames": len(errors),
                "errors": [round(e, 6) for e in errors],
                "latents": [round(e, 7) for e in latents],
                "denoise_flops": result.flops,
                "other_flops": scene.outside,
                "cached_bytes": result.cached_bytes,
            }
            with log.open("a") as file:
                file.write(json.dumps(done[key]) + "\n")
            print(
                f"{name}, {scene.name}: error {np.mean(errors):.4f}, {result.flops / 1e9:.1f} GFLOP",
                flush=True,
            )
    wanted = [(r.label, s.name, s.noise.shape[2], pipeline.digest) for r in recipes.values() for s in known]
    names = {recipe.label: name for name, recipe in recipes.items()}
    return [done[key] | {"name": names[key[0]]} for key in dict.fromkeys(wanted)]


def worst(errors: np.ndarray) -> float:
    """Mean of the largest 5 %."""
    ordered = np.sort(errors, None)
    return float(ordered[-max(1, round(0.05 * ordered.size)) :].mean())


def _key(line: dict) -> tuple:
    return line["label"], line["clip"], line["frames"], line["weights"]


def _frames(a: torch.Tensor, b: torch.Tensor) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """Frame by frame of (1, C, L, h, w)."""
    return zip(a.unbind(2), b.unbind(2), strict=True)


def _read(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def summary(lines: list[dict], base: int, other: int) -> list[dict]:
    """One row for each configuration: errors over all frames, speedups."""
    rows = []
    for label, group in itertools.groupby(lines, lambda line: line["label"]):
        runs = list(group)
        errors = np.concatenate([run["errors"] for run in runs])
        flops = np.mean([run["denoise_flops"] for run in runs])
        rows.append(
            {
                "name": runs[0]["name"],
                "label": label,
                "clips": len(runs),
                "mean": float(errors.mean()),
                "worst": worst(errors),
                "latents": float(np.mean([run["latents"] for run in runs])),
                "gflops": float(flops / 1e9),
                "speedup": float(base / flops),
                "whole": float((base + other) / (flops + other)),
                "mib": max(run["cached_bytes"] for run in runs) / 2**20,
            }
        )
    return rows


def picks(rows: list[dict]) -> dict[str, dict]:
    """The three presets' rows, where some row qualifies."""
    paper = next(row for row in rows if row["name"] == PAPER)
    choices = {
        "lossless": [row for row in rows if row["gflops"] <= paper["gflops"] * 1.005],
        "balanced": [row for row in rows if row["speedup"] >= 4],
        "fast": [row for row in rows if row["speedup"] >= 5],
    }

    def error(row: dict) -> float:
        return float(row["mean"] / paper["mean"] + row["worst"] / paper["worst"])

    return {name: min(fit, key=error) for name, fit in choices.items() if fit}


def markdown(rows: list[dict], chosen: dict[str, dict], command: str, digest: str) -> str:
    paper = next(row for row in rows if row["name"] == PAPER)
    lines = [
        "# Search log of the acceleration presets",
        f"`{command}`, weights {digest}, {rows[0]['clips']} training clips, one window each, guided in the first half "
        f"of 30 steps. Written by `benchmarks/search_cache.py`, which says what the columns mean. Presets: `lossless` "
        f"has the least error at the FLOPs of the paper's setting, `balanced` and `fast` at 4 and 5 times fewer; mean "
        f"and worst 5 % count alike.",
        "| configuration | error, mean | error, worst 5 % | latents | GFLOP, denoising | speedup, denoising | with "
        "condition and decoding | MiB kept | preset |",
        "|" + " --- |" * 9,
    ]
    for row in sorted(rows, key=lambda row: row["gflops"]):
        names = ", ".join(f"`{name}`" for name, pick in chosen.items() if pick is row)
        lines.append(
            f"| {row['name']} | {row['mean']:.3f} | {row['worst']:.3f} | {row['latents']:.5f} | {row['gflops']:.1f} | "
            f"{row['speedup']:.2f} | {row['whole']:.2f} | {row['mib']:.1f} | {names} |"
        )
    lines.append("")
    for name, row in chosen.items():
        mean, tail = (row[key] / paper[key] for key in ("mean", "worst"))
        lines.append(
            f"- `{name}`: `{row['label']}`, {mean:.3f} of the error of the paper's setting, {tail:.3f} in the tail."
        )
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=4, help="training sequences")
    parser.add_argument("--frames", type=int, default=16, help="of each; at most the preset's window")
    parser.add_argument("--refine", type=float, default=10, help="minutes of refinement for each budget")
    parser.add_argument("--cache", type=Path, default=Path("runs/search-cache"), help="for what can be kept")
    parser.add_argument("--out", type=Path, default=Path("leaderboards/acceleration/search"))
    options = parser.parse_args()
    pipeline = Pipeline.from_preset("mini")
    if options.clips < 1 or not SHORT <= options.frames <= pipeline.preset.window:
        parser.error(f"expected --clips from 1 on and --frames from {SHORT} to {pipeline.preset.window}")
    known, targets, ways, base, other = [], [], [], 0, 0
    for scene in scenes(pipeline, options.clips, options.frames, options.cache):
        result, way = uncached(pipeline, scene, STEPS, options.cache)
        print(
            f"{scene.name}: uncached {result.flops / 1e9:.1f} GFLOP, {scene.outside / 1e9:.1f} elsewhere",
            flush=True,
        )
        known.append(scene)
        targets.append((result.latents, decoded(pipeline, scene, result.latents)))
        ways.append(way)
        base, other = result.flops, scene.outside
    planner = Planner(ways, pipeline.preset, STEPS)
    plans, log = planned(planner, pipeline.preset.residual) | shipped(), options.out.with_suffix(".jsonl")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    better = refined(pipeline, plans, options.refine, options.clips, options.frames, options.cache, log)
    lines = measure(pipeline, fixed() | sharing() | plans | better, known, targets, log)
    rows = summary(lines, base, other)
    command = (
        f"python benchmarks/search_cache.py --clips {options.clips} --frames {options.frames} "
        f"--refine {options.refine:g}"
    )
    text = markdown(rows, picks(rows), command, pipeline.digest)
    options.out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
