"""Searches solvers, caches and schedules for the presets of the reference model, on training clips.

    python benchmarks/search_cache.py [--clips 4] [--frames 16] [--refine 10] [--out leaderboards/acceleration/search]

Everything is measured on single windows, against 30 uncached DDIM steps from the same noise. `error` is the root mean
square difference of decoded pixels in 1/255, frame by frame: its mean and the mean of the worst 5 % of frames.
`latents`, the mean of ||z - z_uncached|| / ||z_uncached||, chooses nothing: the decoder hides part of it.
FLOPs are counted while it runs (`emojibench_metrics.flops`). Clips are training sequences, whose seeds no split uses.

1. Open loop, cheap. The network's guesses at all steps of the uncached way are kept. Taking them as given, the final
   latents are a linear function of them, so that the error of a schedule is a sum over its gaps: dynamic programming
   finds the best full steps for each budget, order and extrapolated quantity. Guided steps cost two rows, others one.
   Then the steps that run the unconditional row are chosen among the full ones.
2. Closed loop, for real: the best of each budget, the paper's setting, its rivals and other solvers are run; the latter
   also with guidance extrapolated between some of their guided steps, with and without skipped steps. So are schedules
   that refresh as the latents move, and, at its best, computing landmark tokens anew at skipped steps
   (`cache_recompute.py`), which no preset can be, since it is charged for less than it costs.
3. Closed loop, refined: from the best of some budgets, the present presets and what came out for smaller budgets among
   them, one setting or step is changed at a time, and kept if the error on short windows of further clips is less;
   --refine minutes for each budget. Short windows are the last frames of whole ones, which have moved furthest from the
   portrait. The results are run as in 2.
4. `near-lossless`: least error at the FLOPs of the paper's setting. `balanced` and `fast`: least error at 4 and 5 times
   fewer FLOPs than uncached; whether that is at or below the error of the paper's setting is printed.

In 3 and 4 the error to make less is mean / mean of the paper's setting + worst 5 % / worst 5 % of the paper's setting.

Writes OUT.jsonl, a line for each run as soon as it is done (a second call continues), and OUT.md.
"""

import argparse
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import cache_candidates as candidates
import numpy as np
import torch
from cache_candidates import PAPER, REFINED, STEPS, Recipes
from cache_planning import Planner
from cache_recompute import Ideal
from cache_refining import grown, refine
from cache_scenes import Result, Scene, decoded, sample, scenes, uncached
from fye_faster.accel.accelerator import AcceleratorConfig, Composed
from fye_faster.accel.forecast import Forecast
from fye_faster.pipelines.mini import Pipeline

SHORT = 4
"""Frames of the windows that refinement looks at."""
Target = tuple[torch.Tensor, torch.Tensor]
"""Of the uncached way: latents (1, C, L, h, w) and frames (L, 3, H, W) in [0, 1]."""


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
    guided = pipeline.preset.guided

    def errors(recipe: AcceleratorConfig, count: int) -> tuple[float, float]:
        lines = measure(pipeline, {recipe.label: recipe}, known[:count], targets[:count], log)
        found = np.array([line["errors"] for line in lines])
        return float(found.mean()), worst(found)

    parts = (math.ceil(len(known) / 3), len(known))
    paper = {count: errors(candidates.fixed()[PAPER], count) for count in parts}

    def error(recipe: AcceleratorConfig, least: float) -> float:
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
        starts = [recipe for name, recipe in plans.items() if f", {budget} rows" in name]
        starts += [grown(recipe, budget, guided) for recipe in made.values()]
        forecasts = [recipe for recipe in starts if isinstance(recipe.cache, Forecast)]
        best = min(forecasts, key=lambda recipe: error(recipe, math.inf))
        made[f"refined, {budget} rows"] = refine(best, guided, residuals, error, minutes)
    return made


def sampled(pipeline: Pipeline, recipe: AcceleratorConfig | Ideal, scene: Scene) -> Result:
    """A scene, sampled as the recipe says."""
    if isinstance(recipe, Ideal):
        return recipe.sample(pipeline, scene)
    return sample(pipeline, scene, Composed(recipe), recipe.steps)


def measure(
    pipeline: Pipeline,
    recipes: Mapping[str, AcceleratorConfig | Ideal],
    known: list[Scene],
    targets: list[Target],
    log: Path,
) -> list[dict]:
    """Run what the log does not have yet."""
    done = {_key(line): line for line in _read(log)}
    for name, recipe in recipes.items():
        for scene, (target, pictures) in zip(known, targets, strict=True):
            key = (recipe.label, scene.name, scene.noise.shape[2], pipeline.digest)
            if key in done:
                continue
            result = sampled(pipeline, recipe, scene)
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
    real = [row for row in rows if not row["label"].startswith("ideal")]
    choices = {
        "near-lossless": [row for row in real if row["gflops"] <= paper["gflops"] * 1.005],
        "balanced": [row for row in real if row["speedup"] >= 4],
        "fast": [row for row in real if row["speedup"] >= 5],
    }

    def error(row: dict) -> float:
        return float(row["mean"] / paper["mean"] + row["worst"] / paper["worst"])

    return {name: min(fit, key=error) for name, fit in choices.items() if fit}


def markdown(rows: list[dict], chosen: dict[str, dict], command: str, digest: str) -> str:
    paper = next(row for row in rows if row["name"] == PAPER)
    lines = [
        "# Search log of the acceleration presets",
        f"`{command}`, weights {digest}, {rows[0]['clips']} training clips, one window each, guided in the first half "
        f"of 30 steps. Written by `benchmarks/search_cache.py`, which says what the columns mean. Presets: "
        f"`near-lossless` has the least error at the FLOPs of the paper's setting, `balanced` and `fast` at 4 and 5 "
        f"times fewer; mean and worst 5 % count alike.",
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
    plans = (
        candidates.planned(planner, pipeline.preset.residual)
        | candidates.cached_solvers()
        | candidates.shipped()
    )
    log = options.out.with_suffix(".jsonl")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    better = refined(pipeline, plans, options.refine, options.clips, options.frames, options.cache, log)
    others = candidates.fixed() | candidates.sharing() | candidates.adaptive() | candidates.recomputing()
    lines = measure(pipeline, others | plans | better, known, targets, log)
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
