"""The page of `emojibench accel`: Tables 3 and 5 of the paper on our model, and what goes beyond them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emojibench.files.writing import write_text
from emojibench.protocol.statistics import Interval, clustered_bootstrap
from emojibench.reports.columns import Column, is_cost, other_columns, paper_columns
from emojibench.reports.load import FinishedRun
from emojibench.reports.markdown import DASH, Footnotes, interval, measured, published_table, table
from emojibench.reports.published import load_table
from emojibench.reports.tables import NOT_RUN

if TYPE_CHECKING:
    from emojibench.fye.acceleration.fidelity import Distances
    from emojibench.fye.acceleration.tracing import ClipTrace

_GROUPS = {
    "table3": "The paper's Table 3",
    "table5": "The paper's Table 5",
    "beyond": "What fye-faster ships with",
    "rivals": "Further rivals",
    "floor": "Noise floors: another precision, more steps",
}
_DENOISE = "latency_denoise_s"
_WHOLE = "latency_s"
_LEGEND = (
    "Speed-ups, errors and LPIPS compare with the first row. "
    "FLOPs: counted while denoising, for one clip. Cached step: mean cost of the steps that cost less than those of "
    "the first row, in per cent of them. Latent error: ||z - z_first|| / ||z_first|| of the final latents, frame by "
    "frame. MSE (pixels on [0, 1]) and LPIPS (SqueezeNet): between the decoded frames. Means come with their 95 % "
    "interval (bootstrap over portraits), tails are means of the worst 5 % of frames. A solver with another number of "
    "steps aims at another trajectory than 30 steps of DDIM, which its error holds against it; the column with more "
    "steps tells how far everything is from that. (5.0 % lost): share of frames without a face; a mean is over the "
    "others. Seconds are of the machine below, {together}."
)


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
    seconds, base_seconds = (_seconds(r.run) for r in (row, base))
    found["seconds"] = seconds
    found["seconds_speedup"] = base_seconds.mean / seconds.mean if seconds and base_seconds else None
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


def _seconds(run: FinishedRun | None) -> Interval | None:
    summary = run.summaries.get(_DENOISE) if run is not None else None
    if summary is None or summary.mean is None:
        return None
    low, high = (math.nan if bound is None else bound for bound in (summary.low, summary.high))
    return Interval(summary.mean, low, high)


def _mean(run: FinishedRun | None, column: str) -> float | None:
    summary = run.summaries.get(column) if run is not None else None
    return None if summary is None else summary.mean


def write_acceleration(rows: Sequence[AccelerationRow], file: Path, missing: str = "") -> str:
    """Write the page to `file` and all figures to the JSON beside it; returns the page.

    Args:
        rows: the reference first, which has a run.
        file: Markdown.
        missing: why there is no LPIPS.
    """
    known = figures(rows)
    text = _page(rows, known, missing)
    write_text(file, text)
    data = json.dumps(_data(rows, known), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(file.with_suffix(".json"), data + "\n")
    return text


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


def _page(rows: Sequence[AccelerationRow], known: Mapping[str, Figures], missing: str) -> str:
    base = rows[0].run
    assert base is not None
    rows = counted(rows)
    spec, notes = base.spec, Footnotes()
    traced = known[rows[0].name].traced
    parts = [
        "# Acceleration",
        f"{spec.split.capitalize()} reenactment on `{spec.dataset}` version {spec.dataset_version}, n = "
        f"{len(spec.clips)} clips of {spec.protocol.frames} frames at {spec.protocol.size}x{spec.protocol.size}, "
        f"protocol `{spec.protocol.id}`; FLOPs, memory and latents of {traced} of them.",
        _LEGEND.format(together=_together(rows)),
    ]
    for group, title in _GROUPS.items():
        members = [row for row in rows if group in row.groups]
        if len(members) > 1:
            parts += [
                f"## {title}",
                _cost_table(members, known, notes, missing),
                _quality_table(members, notes),
            ]
    parts += ["## Benchmark metrics against the interval of the uncached run", _inside_table(rows)]
    if lines := notes.lines():
        parts += ["## Why cells are empty", "\n".join(lines)]
    parts += [
        "## Where the measured numbers come from",
        f"- dataset digest: `{spec.dataset_digest}`\n- landmark detector: `{spec.protocol.detector}`",
        _provenance(rows),
        "## Published: Tables 3 and 5 of the paper",
        "**Not comparable with the rows above**: other data, another model, another machine.",
        published_table(load_table(3)),
        published_table(load_table(5)),
    ]
    return "\n\n".join(parts) + "\n"


def _together(rows: Sequence[AccelerationRow]) -> str:
    """How many clips were animated at the same time."""
    jobs = sorted({row.run.animated["platform"]["jobs"] for row in rows if row.run is not None})
    if jobs == [1]:
        return "one clip at a time"
    return f"{' or '.join(map(str, jobs))} clips side by side"


def _cost_table(
    rows: Sequence[AccelerationRow], known: Mapping[str, Figures], notes: Footnotes, missing: str
) -> str:
    untraced, apart = "this row was not traced", "no clip has frames in both rows"
    columns: list[tuple[str, Callable[[Figures], str | None], str]] = [
        ("GFLOP", lambda f: _text(f.flops, "{:.0f}", 1e-9), untraced),
        ("Speed-up, FLOPs", lambda f: _text(f.flops_speedup, "{:.2f}"), untraced),
        ("Denoising, s", lambda f: _interval(f.seconds, ".1f"), "the method did not report it"),
        ("Speed-up, s", lambda f: _text(f.seconds_speedup, "{:.2f}"), "the method did not report it"),
        (
            "Cached step, %",
            lambda f: _text(f.cached_step, "{:.1f}", 100),
            "no step is cheaper than the first row's",
        ),
        ("Kept, MiB", lambda f: _text(f.cached_bytes, "{:.1f}", 2**-20), "the method does not say"),
        ("Latent error", lambda f: _interval(f.latent, ".4f"), untraced),
        ("tail", lambda f: _text(f.latent_tail, "{:.4f}"), untraced),
        ("to more steps", lambda f: _text(f.latent_far, "{:.4f}"), "no row with more steps was traced"),
        ("MSE x 1e4", lambda f: _interval(f.mse, ".3f", 1e4), apart),
        ("tail", lambda f: _text(f.mse_tail, "{:.2f}", 1e4), apart),
        ("LPIPS x 1e3", lambda f: _interval(f.lpips, ".3f", 1e3), missing or apart),
        ("tail", lambda f: _text(f.lpips_tail, "{:.2f}", 1e3), missing or apart),
    ]
    lines = []
    for row in rows:
        if row.run is None:
            lines.append([row.title, *[DASH + notes.mark(row.reason)] * len(columns)])
            continue
        cells = [(show(known[row.name]), reason) for _, show, reason in columns]
        lines.append([row.title, *(text or DASH + notes.mark(reason) for text, reason in cells)])
    return table(["Row", *(title for title, _, _ in columns)], lines)


def _quality_table(rows: Sequence[AccelerationRow], notes: Footnotes) -> str:
    """Benchmark metrics, against the ground truth, and the seconds of everything."""
    runs = [row.run for row in rows if row.run is not None]
    columns = [c for c in _columns(runs) if not is_cost(c.name) or c.name == _WHOLE]
    lines = []
    for row in rows:
        cells = []
        for column in columns:
            if row.run is None:
                cells.append(DASH + notes.mark(row.reason))
            else:
                cells.append(measured(row.run.summaries.get(column.name, NOT_RUN), notes))
        lines.append([row.title, *cells])
    return table(["Row", *(column.heading for column in columns)], lines)


def _columns(runs: Sequence[FinishedRun]) -> list[Column]:
    split = runs[0].spec.split
    splits = (split, *({"self", "cross"} - {split}))
    chosen = [column for half in splits for column in paper_columns(half, runs)]
    chosen += [c for c in other_columns(split, runs) if c.name in ("jitter", _WHOLE)]
    measured = {name for run in runs for name, summary in run.summaries.items() if summary.mean is not None}
    return [column for column in dict.fromkeys(chosen) if column.name in measured]


def _inside_table(rows: Sequence[AccelerationRow]) -> str:
    """For each row on the same clips, the metrics whose mean the uncached run's interval does not hold."""
    base = rows[0].run
    assert base is not None
    columns = [c for c in _columns([base]) if not is_cost(c.name) and base.summaries[c.name].low is not None]
    lines = []
    for row in rows[1:]:
        if row.run is None or row.run.spec.clips != base.spec.clips:
            continue
        outside = []
        for column in columns:
            mean, known = _mean(row.run, column.name), base.summaries[column.name]
            low, high = known.low, known.high
            if None not in (mean, low, high) and not low <= mean <= high:  # type: ignore[operator]
                outside.append(column.title)
        lines.append([row.title, str(len(columns) - len(outside)), ", ".join(outside) or "none"])
    return table(["Row", f"inside, of {len(columns)}", "outside"], lines)


def _provenance(rows: Sequence[AccelerationRow]) -> str:
    lines = []
    for row in rows:
        if row.run is None:
            continue
        spec, code = row.run.spec, row.run.animated["code"]
        given = ", ".join(f"{k}={v}" for k, v in sorted(spec.options.items()) if k != "weights") or "none"
        commit = f"`{code['commit'][:10]}`" if code["commit"] else "no git"
        changed = " with changes" if code["dirty"] else ""
        device = row.run.animated["device"]
        lines.append(
            [
                row.title,
                f"`{spec.method}`",
                given,
                f"`{spec.revision}`",
                str(spec.seed),
                commit + changed,
                device,
            ]
        )
    return table(["Row", "Method", "Options", "Revision", "Seed", "Commit", "Device"], lines)


def _text(value: float | None, form: str, scale: float = 1) -> str | None:
    return None if value is None else form.format(value * scale)


def _interval(found: Interval | None, form: str, scale: float = 1) -> str | None:
    """None of these figures can be negative, which the bootstrap does not know."""
    return None if found is None else interval(found.mean, max(found.low, 0.0), found.high, form, scale)


def _data(rows: Sequence[AccelerationRow], known: Mapping[str, Figures]) -> dict[str, Any]:
    """Every figure of every row, for JSON."""
    base = rows[0].run
    assert base is not None
    return {
        "split": base.spec.split,
        "dataset": {"name": base.spec.dataset, "digest": base.spec.dataset_digest},
        "protocol": base.spec.protocol.model_dump(mode="json") | {"id": base.spec.protocol.id},
        "clips": list(base.spec.clips),
        "rows": [_row_data(row, known.get(row.name)) for row in rows],
    }


def _row_data(row: AccelerationRow, found: Figures | None) -> dict[str, Any]:
    data: dict[str, Any] = {"name": row.name, "title": row.title, "groups": list(row.groups)}
    if row.run is None or found is None:
        return data | {"missing": row.reason}
    values = {
        name: {"mean": value.mean} | ({"low": value.low, "high": value.high} if value.defined else {})
        if isinstance(value, Interval)
        else value
        for name, value in vars(found).items()
    }
    means = {
        name: {"mean": s.mean, "low": s.low, "high": s.high, "lost": s.lost}
        for name, s in row.run.summaries.items()
        if s.mean is not None
    }
    return data | {
        "method": row.run.spec.method,
        "revision": row.run.spec.revision,
        **values,
        "metrics": means,
    }
