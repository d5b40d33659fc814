"""Searches solvers, caches and schedules for the presets of the reference model, on training clips.

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
   (`recompute`), which no preset can be, since it is charged for less than it costs.
3. Closed loop, refined: from the best of some budgets, the present presets and what came out for smaller budgets among
   them, one setting or step is changed at a time, and kept if the error on short windows of further clips is less;
   `refine` minutes for each budget. Short windows are the last frames of whole ones, which have moved furthest from the
   portrait. The results are run as in 2.
4. A preset has the least error among what takes so many times fewer FLOPs than uncached (`SPEEDUPS`); how that compares
   with the error of the paper's setting is printed.

In 3 and 4 the error to make less is mean / mean of the paper's setting + worst 5 % / worst 5 % of the paper's setting.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fye_faster.accel.accelerator import AcceleratorConfig, Composed
from fye_faster.accel.forecast import Forecast
from fye_faster.pipelines.mini import Pipeline
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from emojibench.files import reading
from emojibench.fye.acceleration.comparing import worst
from emojibench.fye.search import candidates
from emojibench.fye.search.candidates import PAPER, REFINED, STEPS, Recipes
from emojibench.fye.search.planning import Planner
from emojibench.fye.search.recompute import Ideal
from emojibench.fye.search.refining import grown, refine
from emojibench.fye.search.scenes import Result, Scene, decoded, sample, scenes, uncached
from emojibench.reports.blocks import Block, Bullets, Cell, Column, Heading, Table, number

SPEEDUPS = {"near-lossless": 2.65, "balanced": 4.0, "fast": 5.0}
"""Preset to how many times fewer FLOPs it has to take; the paper counts the first (Table 5, f)."""
SHORT = 4
"""Frames of the windows that refinement looks at."""
Say = Callable[[str], None]
Target = tuple[Tensor, Tensor]
"""Of the uncached way: latents (1, C, L, h, w) and frames (L, 3, H, W) in [0, 1]."""


class Trial(BaseModel):
    """One configuration on one window: a line of the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str
    clip: str
    weights: str
    frames: int
    errors: tuple[float, ...]
    latents: tuple[float, ...]
    denoise_flops: int
    other_flops: int
    cached_bytes: int

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What tells it from others."""
        return self.label, self.clip, self.frames, self.weights


@dataclass(frozen=True)
class ConfigurationSummary:
    """One configuration over all windows."""

    name: str
    label: str
    clips: int
    mean: float
    worst: float
    latents: float
    gflops: float
    speedup: float
    whole: float
    """Speed-up with condition and decoding."""
    mib: float


@dataclass(frozen=True)
class SearchResult:
    """What a search came to."""

    rows: tuple[ConfigurationSummary, ...]
    picks: Mapping[str, ConfigurationSummary]
    """Preset to its row, where some row qualifies."""
    weights: str


def search(
    pipeline: Pipeline, *, clips: int, frames: int, minutes: float, kept: Path, log: Path, say: Say
) -> SearchResult:
    """Measure everything that the log does not have yet, and choose.

    Args:
        pipeline: on the CPU, in single precision.
        clips: training sequences.
        frames: of each, from `SHORT` to the preset's window.
        minutes: of refinement for each budget.
        kept: folder for conditions and uncached ways, which a second call takes from there.
        log: JSON lines, one for each run as soon as it is done.
        say: told what is done.

    Raises:
        ValueError: clips or frames out of range.
        UserError: the log is damaged.
    """
    if clips < 1 or not SHORT <= frames <= pipeline.preset.window:
        raise ValueError(
            f"expected clips from 1 on and frames from {SHORT} to {pipeline.preset.window}, got {clips} and {frames}"
        )
    known, targets, ways, base, other = [], [], [], 0, 0
    for scene in scenes(pipeline, clips, frames, kept, say):
        result, way = uncached(pipeline, scene, STEPS, kept)
        say(f"{scene.name}: uncached {result.flops / 1e9:.1f} GFLOP, {scene.outside / 1e9:.1f} elsewhere")
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
    measure = Measurer(pipeline, log, say)
    better = _refined(measure, plans, minutes, clips, frames, kept)
    others = candidates.fixed() | candidates.sharing() | candidates.adaptive() | candidates.recomputing()
    rows = summary(measure({**others, **plans, **better}, known, targets), base, other)
    return SearchResult(tuple(rows), picks(rows), pipeline.digest)


class Measurer:
    """Runs configurations, and remembers them in a log."""

    def __init__(self, pipeline: Pipeline, log: Path, say: Say) -> None:
        self.pipeline, self.say = pipeline, say
        self._log = log
        self._done = {trial.key: trial for trial in _read(log)}

    def __call__(
        self,
        recipes: Mapping[str, AcceleratorConfig | Ideal],
        known: Sequence[Scene],
        targets: Sequence[Target],
    ) -> list[Trial]:
        """Every recipe on every scene."""
        wanted = {}
        for name, recipe in recipes.items():
            for scene, target in zip(known, targets, strict=True):
                key = (recipe.label, scene.name, scene.noise.shape[2], self.pipeline.digest)
                if key not in self._done:
                    self._done[key] = self._measured(name, recipe, scene, target)
                wanted[key] = name
        return [self._done[key].model_copy(update={"name": name}) for key, name in wanted.items()]

    def _measured(self, name: str, recipe: AcceleratorConfig | Ideal, scene: Scene, target: Target) -> Trial:
        result = _sampled(self.pipeline, recipe, scene)
        latents = [((a - b).norm() / b.norm()).item() for a, b in _frames(result.latents, target[0])]
        apart = decoded(self.pipeline, scene, result.latents) - target[1]
        errors = (255 * apart.square().mean((1, 2, 3)).sqrt()).tolist()
        trial = Trial(
            name=name,
            label=recipe.label,
            clip=scene.name,
            weights=self.pipeline.digest,
            frames=len(errors),
            errors=tuple(round(e, 6) for e in errors),
            latents=tuple(round(e, 7) for e in latents),
            denoise_flops=result.flops,
            other_flops=scene.outside,
            cached_bytes=result.cached_bytes,
        )
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(trial.model_dump(mode="json")) + "\n")
        self.say(f"{name}, {scene.name}: error {np.mean(errors):.4f}, {result.flops / 1e9:.1f} GFLOP")
        return trial


def _refined(
    measure: Measurer, plans: Recipes, minutes: float, clips: int, frames: int, kept: Path
) -> Recipes:
    """The plans of some budgets after changes that measure better on short windows of clips of their own."""
    pipeline = measure.pipeline
    known = list(scenes(pipeline, 2 * clips, SHORT, kept, measure.say, first=frames - SHORT, after=clips))
    ways = [uncached(pipeline, scene, STEPS, kept)[0] for scene in known]
    targets = [
        (result.latents, decoded(pipeline, scene, result.latents))
        for scene, result in zip(known, ways, strict=True)
    ]

    def errors(recipe: AcceleratorConfig, count: int) -> tuple[float, float]:
        found = np.array(
            [trial.errors for trial in measure({recipe.label: recipe}, known[:count], targets[:count])]
        )
        return float(found.mean()), _worst(found)

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

    guided, residuals = pipeline.preset.guided, [None, 0.0, pipeline.preset.residual]
    made: Recipes = {}
    for budget in REFINED:
        starts = [recipe for name, recipe in plans.items() if f", {budget} rows" in name]
        starts += [grown(recipe, budget, guided) for recipe in made.values()]
        forecasts = [recipe for recipe in starts if isinstance(recipe.cache, Forecast)]
        best = min(forecasts, key=lambda recipe: error(recipe, math.inf))
        made[f"refined, {budget} rows"] = refine(best, guided, residuals, error, minutes)
    return made


def _sampled(pipeline: Pipeline, recipe: AcceleratorConfig | Ideal, scene: Scene) -> Result:
    if isinstance(recipe, Ideal):
        return recipe.sample(pipeline, scene)
    return sample(pipeline, scene, Composed(recipe), recipe.steps)


def _worst(errors: ArrayLike) -> float:
    return worst(np.ravel(errors))


def _frames(a: Tensor, b: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """Frame by frame of (1, C, L, h, w)."""
    return zip(a.unbind(2), b.unbind(2), strict=True)


def _read(log: Path) -> Iterator[Trial]:
    if log.exists():
        for number_, line in enumerate(reading.read_text(log).splitlines(), 1):
            yield reading.parse_model(Trial, line, f"{log}: line {number_}", advice="delete the line")


def summary(trials: Iterable[Trial], base: int, other: int) -> list[ConfigurationSummary]:
    """One row for each configuration: errors over all frames, speed-ups.

    Args:
        trials: those of one configuration one after the other.
        base: FLOPs of denoising a window uncached.
        other: FLOPs of its condition and decoding.
    """
    rows = []
    for label, group in itertools.groupby(trials, lambda trial: trial.label):
        members = list(group)
        errors = np.concatenate([trial.errors for trial in members])
        flops = float(np.mean([trial.denoise_flops for trial in members]))
        rows.append(
            ConfigurationSummary(
                name=members[0].name,
                label=label,
                clips=len(members),
                mean=float(errors.mean()),
                worst=_worst(errors),
                latents=float(np.mean([trial.latents for trial in members])),
                gflops=flops / 1e9,
                speedup=base / flops,
                whole=(base + other) / (flops + other),
                mib=max(trial.cached_bytes for trial in members) / 2**20,
            )
        )
    return rows


def picks(rows: Sequence[ConfigurationSummary]) -> dict[str, ConfigurationSummary]:
    """The three presets' rows, where some row qualifies."""
    paper = _paper(rows)
    real = [row for row in rows if not row.label.startswith("ideal")]

    def error(row: ConfigurationSummary) -> float:
        return row.mean / paper.mean + row.worst / paper.worst

    fitting = {name: [row for row in real if row.speedup >= least] for name, least in SPEEDUPS.items()}
    return {name: min(fit, key=error) for name, fit in fitting.items() if fit}


def _paper(rows: Sequence[ConfigurationSummary]) -> ConfigurationSummary:
    return next(row for row in rows if row.name == PAPER)


def page(found: SearchResult, command: str) -> list[Block]:
    """The search's page, cheapest configurations first; `command` made it."""
    paper = _paper(found.rows)
    wanted = ", ".join(f"`{name}` {least:g}" for name, least in SPEEDUPS.items())
    titles = (
        "configuration", "error, mean", "error, worst 5 %", "latents", "GFLOP, denoising", "speedup, denoising",
        "with condition and decoding", "MiB kept", "preset",
    )  # fmt: skip
    lines = []
    for row in sorted(found.rows, key=lambda row: row.gflops):
        presets = ", ".join(name for name, pick in found.picks.items() if pick is row)
        values = (
            (row.mean, ".3f"), (row.worst, ".3f"), (row.latents, ".5f"), (row.gflops, ".1f"), (row.speedup, ".2f"),
            (row.whole, ".2f"), (row.mib, ".1f"),
        )  # fmt: skip
        cells = (number(value, form=form) for value, form in values)
        lines.append((Cell(row.name), *cells, Cell(presets, "code" if presets else "")))
    return [
        Heading("Search log of the acceleration presets", 1),
        f"`{command}`, weights {found.weights}, {found.rows[0].clips} training clips, one window each, guided in the "
        f"first half of {STEPS} steps. `emojibench.fye.search.searching` says what the columns mean. A preset has the "
        f"least error among what takes so many times fewer FLOPs: {wanted}. Mean and worst 5 % count alike.",
        Table(tuple(map(Column, titles)), tuple(lines)),
        Bullets(
            tuple(
                f"`{name}`: `{row.label}`, {row.mean / paper.mean:.3f} of the error of the paper's setting, "
                f"{row.worst / paper.worst:.3f} in the tail."
                for name, row in found.picks.items()
            )
        ),
    ]
