"""What rows of `emojibench accel` come to, each against the first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emojibench.protocol.statistics import Interval, clustered_bootstrap
from emojibench.reports.load import FinishedRun

if TYPE_CHECKING:
    from emojibench.fye.acceleration.fidelity import Distances
    from emojibench.fye.acceleration.tracing import ClipTrace

_DENOISE = "latency_denoise_s"


@dataclass(frozen=True)
class AccelerationRow:
    """One row of the page."""

    name: str
    title: str
    groups: tuple[str, ...]
    run: FinishedRun | None
    reason: str = ""
    """Why there is no run."""
    distances: "Mapping[str, Distances] | None" = None
    """Clip id to distances of its frames to the first row's."""
    traces: "Mapping[str, ClipTrace] | None" = None
    """Clip id to trace, for the clips that were traced."""


@dataclass(frozen=True)
class Figures:
    """What a row comes to; None where it was not measured."""

    clips: int
    traced: int
    flops: float | None = None
    """Of denoising one clip."""
    flops_speedup: float | None = None
    cached_step: float | None = None
    """Cost of cheaper steps relative to the first row's, in [0, 1]; None also where there are none."""
    cached_bytes: int | None = None
    seconds: Interval | None = None
    """Of denoising one clip."""
    seconds_speedup: float | None = None
    latent: Interval | None = None
    latent_tail: float | None = None
    latent_far: float | None = None
    """To the row with the most steps."""
    mse: Interval | None = None
    mse_tail: float | None = None
    lpips: Interval | None = None
    lpips_tail: float | None = None


def figures(rows: Sequence[AccelerationRow]) -> dict[str, Figures]:
    """Row name to figures, for rows that have a run; the first row is the reference."""
    base = rows[0]
    longest = max(rows, key=lambda row: max((len(t.flops) for t in (row.traces or {}).values()), default=0))
    far = longest.traces if longest is not base else None
    return {row.name: _figures(row, base, far) for row in rows if row.run is not None}


def _figures(row: AccelerationRow, base: AccelerationRow, far: "Mapping[str, ClipTrace] | None") -> Figures:
    assert row.run is not None
    assert base.run is not None
    found: dict[str, Any] = {"clips": len(row.run.spec.clips), "traced": len(row.traces or {})}
    subjects = {name: clip.subject for name, clip in (row.distances or {}).items()}
    if row.traces and base.traces:
        found |= _traced(row.traces, base.traces, far, subjects)
    found["seconds"] = _seconds(row.run)
    found["seconds_speedup"] = _speedup(row.run, base.run)
    if row.distances:
        clips = list(row.distances.values())
        who = [clip.subject for clip in clips]
        found["mse"] = clustered_bootstrap([float(np.mean(clip.mse)) for clip in clips], who)
        found["mse_tail"] = worst(np.concatenate([clip.mse for clip in clips]))
        perceptual = [clip.lpips for clip in clips if clip.lpips is not None]
        if len(perceptual) == len(clips):
            means = [float(np.mean(values)) for values in perceptual]
            found["lpips"] = clustered_bootstrap(means, who)
            found["lpips_tail"] = worst(np.concatenate(perceptual))
    return Figures(**found)


def _traced(
    traces: "Mapping[str, ClipTrace]",
    base: "Mapping[str, ClipTrace]",
    far: "Mapping[str, ClipTrace] | None",
    subjects: Mapping[str, str],
) -> dict[str, Any]:
    shared = sorted(set(traces) & set(base))
    total, whole = (float(np.mean([side[clip].flops.sum() for clip in shared])) for side in (traces, base))
    errors = [traces[clip].error(base[clip]) for clip in shared]
    kept = [traces[clip].cached_bytes for clip in shared]
    costs = [
        traces[clip].flops / base[clip].flops
        for clip in shared
        if traces[clip].flops.shape == base[clip].flops.shape
    ]
    ratios = np.concatenate(costs) if costs else np.ones(0)
    cheap = ratios[ratios < 0.999]
    return {
        "flops": total,
        "flops_speedup": whole / total,
        "cached_step": float(cheap.mean()) if cheap.size else None,
        "cached_bytes": None if None in kept else max(size for size in kept if size is not None),
        "latent": clustered_bootstrap(
            [float(e.mean()) for e in errors], [subjects.get(clip, clip) for clip in shared]
        ),
        "latent_tail": worst(np.concatenate(errors)),
        "latent_far": float(np.mean([traces[c].error(far[c]).mean() for c in shared if c in far]))
        if far
        else None,
    }


def worst(values: Any, share: float = 0.05) -> float:
    """Mean of the largest values: a share of them, at least one."""
    ordered = np.sort(np.asarray(values, np.float64))
    return float(ordered[-max(1, round(share * len(ordered))) :].mean())


def _speedup(run: FinishedRun, base: FinishedRun) -> float | None:
    """Seconds of the base over those of the run, on the clips of both; None where they cannot be compared."""
    ours, theirs = (side.values.get(_DENOISE, {}) for side in (run, base))
    common = ours.keys() & theirs.keys()
    spent = math.fsum(ours[clip].value for clip in common)
    if not spent or run.cost_gap(base):
        return None
    return math.fsum(theirs[clip].value for clip in common) / spent


def _seconds(run: FinishedRun) -> Interval | None:
    summary = run.summaries.get(_DENOISE)
    if summary is None or summary.mean is None:
        return None
    low, high = (math.nan if bound is None else bound for bound in (summary.low, summary.high))
    return Interval(summary.mean, low, high)


def counted(rows: Sequence[AccelerationRow]) -> list[AccelerationRow]:
    """The rows, with n in the titles of those that were run on other clips than the first."""
    base = rows[0].run
    assert base is not None
    return [
        row
        if row.run is None or row.run.spec.clips == base.spec.clips
        else replace(row, title=f"{row.title}, n = {len(row.run.spec.clips)}")
        for row in rows
    ]
