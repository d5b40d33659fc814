"""Figures of values of whole clips: by part, quality over cost, agreement of columns."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.protocol.statistics import clustered_bootstrap
from emojibench.reports.blocks import Column
from emojibench.reports.figures import style
from emojibench.reports.figures.view import NothingToDrawError, View, axis, counted, name_of
from emojibench.reports.load import FinishedRun
from emojibench.reports.subsets import parts_by
from emojibench.runs.summary import ColumnSummary

_COSTS = {"latency_s": "seconds per clip ↓", "flops": "TFLOPs per clip ↓"}
_MOST = 8
"""Columns whose agreement is shown."""


def domain(view: View, pyplot: Any) -> style.Figure:
    """Means of the clips of each domain."""
    return _by(view, pyplot, "domain")


def expression(view: View, pyplot: Any) -> style.Figure:
    """Means of the clips whose driving shows an expression."""
    return _by(view, pyplot, "expression")


def _by(view: View, pyplot: Any, by: str) -> style.Figure:
    labels = {run.path: label for label, run in view.runs.items()}
    parts = parts_by(by, list(view.runs.values()), view.rows).runs
    columns = view.columns()
    data: list[Sequence[object]] = [("column", by, "row", "mean", "low", "high", "clips", "expected")]
    counts = {title: max(len(run.spec.clips) for run in runs) for title, runs in parts.items()}
    shares = "; a clip may show several" if by == "expression" else ""
    notes = (
        f"{view.setting}: means of clips{shares}; bars: 95 % intervals (by portrait; one alone has none). "
    )
    notes += "In brackets: clips."
    drawing, axes = style.panels(pyplot, len(columns), height=1.7, legend=len(view.runs), notes=notes)
    handles: dict[str, Any] = {}
    titles = [f"{title} ({counts[title]})" for title in parts]
    for panel, column in zip(axes, columns, strict=True):
        for place, (title, runs) in enumerate(parts.items()):
            for run in runs:
                label, summary = labels[run.path], run.summaries.get(column.name)
                if summary is None or summary.mean is None:
                    continue
                number = list(view.runs).index(label)
                at = place + 0.7 * ((number + 0.5) / len(view.runs) - 0.5)
                handles[label] = _dot(panel, at, summary.mean, y=summary, look=style.look(number))
                numbers = (summary.mean, *_bounds(summary), summary.n_clips, summary.expected)
                data.append((column.name, title, label, *numbers))
        panel.set_xticks(range(len(parts)), titles, rotation=35, ha="right", rotation_mode="anchor")
        panel.set_xlim(-0.6, len(parts) - 0.4)
        panel.grid(visible=False, axis="x")
        style.title(panel, axis(column))
    style.legend(drawing, list(handles.values()), list(handles))
    return style.Figure(f"{by}-{view.split}", drawing, data)


def pareto(view: View, pyplot: Any) -> style.Figure:
    """Quality over cost, with the line of rows that no other one beats in both."""
    runs, away = _one_machine(view)
    counts = {name: sum(_known({n: r}, name) for n, r in _of(view, runs, name).items()) for name in _COSTS}
    found = [name for name, count in counts.items() if count > 1] or [n for n, c in counts.items() if c]
    if not found:
        raise NothingToDrawError("no run has seconds or FLOPs of clips")
    columns = view.columns()[:2]
    machine = (
        f" Seconds on {next(iter(runs.values())).animated.device}." if runs and "latency_s" in found else ""
    )
    notes = (
        f"{view.setting}: means of {counted(max(len(r.spec.clips) for r in view.runs.values()), 'clip')}; "
        f"bars: 95 % intervals (by portrait); line: Pareto front.{machine}"
    )
    if away and machine:
        notes += f" Another machine or number of workers, so without seconds: {', '.join(away)}."
    if "flops" not in found:
        notes += " FLOPs are known of fewer than two rows."
    elif uncounted := [label for label, run in view.runs.items() if not _known({label: run}, "flops")]:
        notes += f" No FLOPs counted: {', '.join(uncounted)}."
    cells = [(column, name) for column in columns for name in found]
    beside: dict[str, Any] = {"sharex": "col", "sharey": "row"} if len(found) == 2 else {}
    drawing, axes = style.panels(pyplot, len(cells), legend=len(view.runs), notes=notes, **beside)
    data: list[Sequence[object]] = [
        (
            "column",
            "cost",
            "row",
            "mean",
            "low",
            "high",
            "cost_mean",
            "cost_low",
            "cost_high",
            "clips",
            "front",
        )
    ]
    handles: dict[str, Any] = {}
    for index, (panel, (column, cost)) in enumerate(zip(axes, cells, strict=True)):
        points: dict[str, tuple[ColumnSummary, ColumnSummary]] = {}
        for label, run in _of(view, runs, cost).items():
            x, y = run.summaries.get(cost), run.summaries.get(column.name)
            if x is not None and y is not None and x.mean is not None and y.mean is not None and x.mean > 0:
                points[label] = (x, y)
        front = pareto_front(
            {k: (x.mean or 0.0, y.mean or 0.0) for k, (x, y) in points.items()}, column.better
        )
        for label, (x, y) in points.items():
            look = style.look(list(view.runs).index(label))
            handles[label] = _dot(panel, x.mean or 0.0, y.mean or 0.0, x=x, y=y, look=look)
            numbers = (y.mean, *_bounds(y), x.mean, *_bounds(x), min(x.n_clips, y.n_clips))
            data.append((column.name, cost, label, *numbers, label in front))
        if len(front) > 1:
            line = sorted((points[label][0].mean or 0.0, points[label][1].mean or 0.0) for label in front)
            panel.step(*zip(*line, strict=True), where="post", color="0.4", linewidth=0.8, zorder=1)
        costs = [x.mean or 0.0 for x, _ in points.values()]
        if costs and max(costs) > 20 * min(costs):
            panel.set_xscale("log")
            style.plain_ticks(panel.xaxis)
        if index % len(found) == 0 or len(found) == 1:
            style.title(panel, axis(column))
        if index >= len(cells) - 2:
            panel.set_xlabel(_COSTS[cost])
    ordered = [label for label in view.runs if label in handles]
    if not ordered:
        raise NothingToDrawError("no run has both a cost and a value of the paper's columns")
    style.legend(drawing, [handles[label] for label in ordered], ordered)
    return style.Figure(f"pareto-{view.split}", drawing, data)


def pareto_front(points: dict[str, tuple[float, float]], better: str) -> set[str]:
    """Names of the (cost, quality) points that no other one beats in one and equals in the other.

    Args:
        points: name to cost, of which less is better, and quality.
        better: `higher` or `lower` quality.
    """
    sign = -1.0 if better == "higher" else 1.0

    def beaten(name: str) -> bool:
        cost, quality = points[name]
        return any(
            c <= cost and sign * q <= sign * quality and (c, q) != (cost, quality)
            for other, (c, q) in points.items()
            if other != name
        )

    return {name for name in points if not beaten(name)}


def agreement(view: View, pyplot: Any) -> style.Figure:
    """Kendall's tau-b of how two columns rank the methods on a clip, mean over the clips."""
    runs = list(view.runs.values())
    columns = [c for c in _all_columns(view) if len([r for r in runs if r.values.get(c.name)]) == len(runs)]
    if len(runs) < 2:
        raise NothingToDrawError("at least two methods are needed")
    if len(columns) < 2:
        raise NothingToDrawError("at least two columns that all methods have are needed")
    subjects = view.subjects()
    signs = {c.name: _order(view, c) for c in columns}
    data: list[Sequence[object]] = [("column", "other", "tau_b", "low", "high", "clips", "methods")]
    table = np.full((len(columns), len(columns)), np.nan)
    clips: set[str] = set()
    for i, first in enumerate(columns):
        for j, second in enumerate(columns):
            taus = kendall(signs[first.name], signs[second.name])
            if not taus:
                continue
            clips |= set(taus)
            found = clustered_bootstrap(list(taus.values()), [subjects[clip] for clip in taus])
            table[i, j] = found.mean
            bounds = (found.low, found.high) if found.defined else ("", "")
            data.append((first.name, second.name, found.mean, *bounds, len(taus), len(runs)))
    notes = (
        f"{view.setting}: how alike two columns rank {counted(len(runs), 'method')} on a clip (Kendall's τ-b, mean of "
        f"{counted(len(clips), 'clip')}); 1: the same order, -1: the reverse. Intervals are in the CSV file."
    )
    drawing, (panel,) = style.panels(pyplot, 1, height=2.5, notes=notes)
    panel.imshow(table, cmap=style.DIVERGING, vmin=-1, vmax=1)
    panel.grid(visible=False)
    names = [textwrap.fill(name_of(column), 18) for column in columns]
    panel.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(names)), names)
    for (i, j), value in np.ndenumerate(table):
        text = "–" if np.isnan(value) else f"{value:.1f}".replace("-0.0", "0.0")
        ink = "white" if abs(value) > 0.75 else "black"
        panel.text(j, i, text, ha="center", va="center", fontsize=style.SMALL, color=ink)
    return style.Figure(f"agreement-{view.split}", drawing, data)


def kendall(
    first: dict[str, NDArray[np.float64]], second: dict[str, NDArray[np.float64]]
) -> dict[str, float]:
    """Clip to Kendall's tau-b of two orders of the same methods; clips of which one order has ties only are left out.

    Args:
        first, second: clip to (P,) signs, one for each pair of methods: which of the two is better.
    """
    taus = {}
    for clip in first.keys() & second.keys():
        a, b = first[clip], second[clip]
        weight = np.sqrt((a**2).sum() * (b**2).sum())
        if weight:
            taus[clip] = float((a * b).sum() / weight)
    return dict(sorted(taus.items()))


def _order(view: View, column: Column) -> dict[str, NDArray[np.float64]]:
    """Clip to the signs of all pairs of runs, 1 where the first of the two is better."""
    sign = 1.0 if column.better == "higher" else -1.0
    runs = list(view.runs.values())
    one, other = np.triu_indices(len(runs), 1)
    found = {}
    for clip in view.common(column.name):
        values = np.array([sign * run.values[column.name][clip].value for run in runs])
        found[clip] = np.sign(values[one] - values[other])
    return found


def _all_columns(view: View) -> list[Column]:
    """Columns that all runs have on some clip: the paper's first."""
    return [c for c in view.columns(most=_MOST) if view.common(c.name)]


def _one_machine(view: View) -> tuple[dict[str, FinishedRun], list[str]]:
    """The most runs whose seconds can be compared with one another, and the labels of the others."""
    alike = [
        {label: run for label, run in view.runs.items() if not first.cost_gap(run)}
        for first in view.runs.values()
    ]
    runs = max(alike, key=len)
    return runs, [label for label in view.runs if label not in runs]


def _of(view: View, of_machine: dict[str, FinishedRun], cost: str) -> dict[str, FinishedRun]:
    """The runs whose cost can be compared."""
    return of_machine if cost == "latency_s" else view.runs


def _known(runs: dict[str, FinishedRun], name: str) -> bool:
    return any((s := run.summaries.get(name)) is not None and s.mean is not None for run in runs.values())


def _bounds(summary: ColumnSummary) -> tuple[object, object]:
    return ("" if summary.low is None else summary.low, "" if summary.high is None else summary.high)


def _dot(
    panel: Any,
    at: float,
    mean: float,
    *,
    look: dict[str, Any],
    x: ColumnSummary | None = None,
    y: ColumnSummary | None = None,
) -> Any:
    """A point with the intervals that are known."""
    reach = {"xerr": _reach(x), "yerr": _reach(y)}
    return panel.errorbar(at, mean, **reach, linestyle="", elinewidth=0.7, capsize=1.5, **look)


def _reach(summary: ColumnSummary | None) -> list[list[float]] | None:
    if summary is None or summary.low is None or summary.high is None or summary.mean is None:
        return None
    return [[max(summary.mean - summary.low, 0.0)], [max(summary.high - summary.mean, 0.0)]]
