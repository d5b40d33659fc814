"""Searches solvers, caches and schedules for the presets of the reference model, on training clips.

    python benchmarks/search_cache.py [--clips 4] [--frames 16] [--refine 10] [--out leaderboards/acceleration/search]

Everything is measured on latents of single windows, against 30 uncached DDIM steps from the same noise: relative error
||z - z_uncached|| / ||z_uncached|| of each frame, its mean and the mean of the worst 5 % of frames; FLOPs are counted
while it runs (`metrics.flops`). Clips are training sequences, whose seeds no split uses.

1. Open loop, cheap. The network's guesses at all steps of the uncached way are kept. Taking them as given, the final
   latents are a linear function of them, so that the error of a schedule is a sum over its gaps: dynamic programming
   finds the best full steps for each budget, order and extrapolated quantity. Guided steps cost two rows, others one.
   Then the steps that run the unconditional row are chosen among the full ones.
2. Closed loop, for real: the best of each budget, the paper's setting, its rivals and other solvers are run.
3. Closed loop, refined: from the best of some budgets, one setting or step is changed at a time, and kept if the
   error on short windows of further clips is less; --refine minutes for each budget. The results are run as in 2.
4. `lossless`: least error at the FLOPs of the paper's setting. `balanced` and `fast`: least error at 4 and 5 times
   fewer FLOPs than uncached; whether that is at or below the error of the paper's setting is printed.

Writes OUT.jsonl, a line for each run as soon as it is done (a second call continues), and OUT.md.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from cache_planning import Planner
from cache_refining import refine
from cache_scenes import Scene, sample, scenes, uncached

from reference_model.acceleration import Composed, Recipe
from reference_model.forecast import Forecast
from reference_model.pipeline import Pipeline
from reference_model.taylor_cache import TaylorCacheConfig, explicit, uniform

STEPS = 30
BUDGETS = (20, 16, 13, 11, 10, 9, 8, 7, 6, 5)
"""Rows computed in full; the uncached way takes 45."""
REFINED = (16, 11, 8)
"""Budgets that are refined, for one preset each."""
SHORT = 4
"""Frames of the windows that refinement looks at."""
PAPER = "TIC, N=3, O=1, expression mask, head"
Recipes = dict[str, Recipe]


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
    for solver in ("dpm++", "unipc"):
        full = explicit(15, (0, 1, 2, 5, 9, 13))
        made[f"{solver}, 15 steps, 6 full, clean latents"] = Recipe(15, solver, Forecast(full, 1))
    return made


def refined(
    pipeline: Pipeline, plans: Recipes, minutes: float, clips: int, folder: Path, log: Path
) -> Recipes:
    """The plans of some budgets after changes that measure better on short windows of clips of their own."""
    known = list(scenes(pipeline, 2 * clips, SHORT, folder))
    ways = [uncached(pipeline, scene, STEPS, folder) for scene in known]
    targets = [result.latents for result, _ in ways]
    guided = sum(len(rows) == 2 for rows in ways[0][1])

    def error(recipe: Recipe) -> float:
        lines = measure(pipeline, {recipe.label: recipe}, known, targets, log)
        return float(np.mean([line["errors"] for line in lines]))

    residuals = [None, 0.0, pipeline.preset.residual]
    made: Recipes = {}
    for budget in REFINED:
        starts = [recipe for name, recipe in plans.items() if f"{budget} rows" in name]
        best = min((r for r in starts if isinstance(r.cache, Forecast)), key=error)
        made[f"refined, {budget} rows"] = refine(best, guided, residuals, error, minutes)
    return made


def measure(
    pipeline: Pipeline, recipes: Recipes, known: list[Scene], targets: list[torch.Tensor], log: Path
) -> list[dict]:
    """Run what the log does not have yet."""
    done = {_key(line): line for line in _read(log)}
    for name, recipe in recipes.items():
        for scene, target in zip(known, targets, strict=True):
            key = (recipe.label, scene.name, scene.noise.shape[2], pipeline.digest)
            if key in done:
                continue
            result = sample(pipeline, scene, Composed(recipe), recipe.steps)
            errors = [((a - b).norm() / b.norm()).item() for a, b in _frames(result.latents, target)]
            done[key] = {
                "name": name,
                "label": recipe.label,
                "clip": scene.name,
                "weights": pipeline.digest,
                "frames": len(errors),
                "errors": [round(e, 7) for e in errors],
                "denoise_flops": result.flops,
                "other_flops": scene.outside,
                "cached_bytes": result.cached_bytes,
            }
            with log.open("a") as file:
                file.write(json.dumps(done[key]) + "\n")
            print(
                f"{name}, {scene.name}: error {np.mean(errors):.5f}, {result.flops / 1e9:.1f} GFLOP",
                flush=True,
            )
    wanted = [(r.label, s.name, s.noise.shape[2], pipeline.digest) for r in recipes.values() for s in known]
    names = {recipe.label: name for name, recipe in recipes.items()}
    return [done[key] | {"name": names[key[0]]} for key in dict.fromkeys(wanted)]


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
        errors = np.sort(np.concatenate([run["errors"] for run in runs]))
        flops = np.mean([run["denoise_flops"] for run in runs])
        rows.append(
            {
                "name": runs[0]["name"],
                "label": label,
                "clips": len(runs),
                "mean": float(errors.mean()),
                "worst": float(errors[-max(1, round(0.05 * len(errors))) :].mean()),
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
    choices: dict[str, tuple[list[dict], Callable[[dict], float]]] = {
        "lossless": (
            [row for row in rows if row["gflops"] <= paper["gflops"] * 1.005],
            lambda row: row["mean"],
        ),
        "balanced": ([row for row in rows if row["speedup"] >= 4], lambda row: row["mean"]),
        "fast": ([row for row in rows if row["speedup"] >= 5], lambda row: row["mean"]),
    }
    return {name: min(fit, key=by) for name, (fit, by) in choices.items() if fit}


def markdown(rows: list[dict], chosen: dict[str, dict], command: str, digest: str) -> str:
    paper = next(row for row in rows if row["name"] == PAPER)
    lines = [
        "# Search log of the acceleration presets",
        f"`{command}`, weights {digest}, {rows[0]['clips']} training clips, one window each, guided in the first half "
        f"of 30 steps. Written by `benchmarks/search_cache.py`, which says what the columns mean. Presets: `lossless` "
        f"has the least error at the FLOPs of the paper's setting, `balanced` and `fast` at 4 and 5 times fewer.",
        "| configuration | error, mean | error, worst 5 % | GFLOP, denoising | speedup, denoising | with condition and "
        "decoding | MiB kept | preset |",
        "|" + " --- |" * 8,
    ]
    for row in sorted(rows, key=lambda row: row["gflops"]):
        names = ", ".join(f"`{name}`" for name, pick in chosen.items() if pick is row)
        lines.append(
            f"| {row['name']} | {row['mean']:.5f} | {row['worst']:.5f} | {row['gflops']:.1f} | {row['speedup']:.2f} | "
            f"{row['whole']:.2f} | {row['mib']:.1f} | {names} |"
        )
    lines.append("")
    for name, row in chosen.items():
        ratio = row["mean"] / paper["mean"]
        lines.append(f"- `{name}`: `{row['label']}`, {ratio:.3f} of the error of the paper's setting.")
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
    if options.clips < 1 or not 1 <= options.frames <= pipeline.preset.window:
        parser.error(f"expected --clips from 1 on and --frames from 1 to {pipeline.preset.window}")
    known, targets, ways, base, other = [], [], [], 0, 0
    for scene in scenes(pipeline, options.clips, options.frames, options.cache):
        result, way = uncached(pipeline, scene, STEPS, options.cache)
        print(
            f"{scene.name}: uncached {result.flops / 1e9:.1f} GFLOP, {scene.outside / 1e9:.1f} elsewhere",
            flush=True,
        )
        known.append(scene)
        targets.append(result.latents)
        ways.append(way)
        base, other = result.flops, scene.outside
    planner = Planner(ways, pipeline.preset, STEPS)
    plans, log = planned(planner, pipeline.preset.residual), options.out.with_suffix(".jsonl")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    better = refined(pipeline, plans, options.refine, options.clips, options.cache, log)
    lines = measure(pipeline, fixed() | plans | better, known, targets, log)
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
