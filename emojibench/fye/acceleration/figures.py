"""The figures of `emojibench accel`, each with its data as CSV: error over cost, and error over steps (Fig. 12)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emojibench.fye.acceleration.comparing import AccelerationRow, Figures, counted, figures
from emojibench.reports.figures import style


def write_figures(rows: Sequence[AccelerationRow], folder: Path) -> list[Path]:
    """Draw what was measured.

    Args:
        rows: as for the page.
        folder: gets `pareto` and `steps` as PDF, PNG and CSV; a figure without any point is not drawn.

    Returns:
        The files written.
    """
    rows = counted(rows)
    files = []
    for draw in (_pareto, _steps):
        with style.paper() as pyplot:
            if drawn := draw(rows, figures(rows), pyplot):
                files += drawn.write(folder)
    return files


_ERRORS = {
    "lpips": "LPIPS to uncached frames ↓",
    "latent_error": "latent error to the uncached way ↓",
}
"""What is drawn; the CSV has the worst 5 % of frames as well."""
_ASIDE = ((1, 1), (-1, -1), (1, -1), (-1, 1))
"""Where numbers stand beside their points, one after the other, so that those of neighbours are apart."""
_COSTS = {"gflop": "GFLOP of denoising ↓", "seconds": "seconds of denoising ↓"}


def _pareto(
    rows: Sequence[AccelerationRow], known: Mapping[str, Figures], pyplot: Any
) -> style.Figure | None:
    points = [(row, _point(known[row.name])) for row in rows[1:] if row.name in known]
    points = [(row, p) for row, p in points if p["gflop"] is not None and p["latent_error"]]
    if not points:
        return None
    data: list[Sequence[object]] = [["row", *points[0][1]]]
    data += [[row.name, *("" if v is None else v for v in point.values())] for row, point in points]
    errors = [name for name in _ERRORS if any(point[name] for _, point in points)]
    clips, traced = (getattr(known[rows[0].name], name) for name in ("clips", "traced"))
    notes = (
        f"Means of {clips} clips (LPIPS, seconds) and {traced} (latents, FLOPs); squares: what fye-faster ships with; "
        "crosses: noise floors; line: Pareto front."
    )
    drawing, panels = style.panels(
        pyplot, 2 * len(errors), height=2.0, legend=len(points), notes=notes, sharex="col", sharey="row"
    )
    handles: dict[str, Any] = {}
    for place, panel in enumerate(panels):
        error, cost = errors[place // 2], list(_COSTS)[place % 2]
        _draw_errors(panel, [(row, point[cost], point[error]) for row, point in points], handles)
        if place % 2 == 0:
            style.title(panel, _ERRORS[error])
        if place >= len(panels) - 2:
            panel.set_xlabel(_COSTS[cost])
    style.legend(drawing, list(handles.values()), list(handles))
    return style.Figure("pareto", drawing, data)


def _point(found: Figures) -> dict[str, float | None]:
    return {
        "gflop": found.flops / 1e9 if found.flops is not None else None,
        "seconds": found.seconds.mean if found.seconds else None,
        "latent_error": found.latent.mean if found.latent else None,
        "latent_error_tail": found.latent_tail,
        "lpips": found.lpips.mean if found.lpips else None,
        "lpips_tail": found.lpips_tail,
    }


def _draw_errors(
    panel: Any,
    points: Sequence[tuple[AccelerationRow, float | None, float | None]],
    handles: dict[str, Any],
) -> None:
    """Number the rows from 1; one whose cost or error is unknown keeps its number and is left out."""
    panel.set(xscale="log", yscale="log")
    shown = [(k, row, x, y) for k, (row, x, y) in enumerate(points, 1) if x is not None and y]
    for k, row, x, y in shown:
        ours = row.run is not None and row.run.spec.method == "fye-faster"
        colour, marker = (
            ("#7F7F7F", "x") if "floor" in row.groups else ("#D55E00", "s") if ours else ("#0072B2", "o")
        )
        (dot,) = panel.plot(x, y, marker, color=colour, linestyle="")
        handles.setdefault(f"{k}  {row.title}", dot)
        across, up = _ASIDE[k % len(_ASIDE)]
        panel.annotate(
            str(k), (x, y), xytext=(4 * across, 3 * up), textcoords="offset points", fontsize=style.SMALL,
            ha="left" if across > 0 else "right", va="center",
        )  # fmt: skip
    for ticks in (panel.xaxis, panel.yaxis):
        style.plain_ticks(ticks)
    front = _front([(x, y) for _, row, x, y in shown if "floor" not in row.groups])
    if front:
        panel.step(*zip(*front, strict=True), where="post", color="0.4", linewidth=0.8, zorder=1)


def _front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats in both, by cost."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best


def _steps(rows: Sequence[AccelerationRow], known: Mapping[str, Figures], pyplot: Any) -> style.Figure | None:
    curves: dict[str, Any] = {}
    base = rows[0].traces or {}
    for row in rows[1:]:
        errors = [
            [*trace.step_errors, trace.final_error(base[clip])]
            for clip, trace in (row.traces or {}).items()
            if trace.step_errors is not None and clip in base
        ]
        if errors:
            curves[row.name] = np.mean(errors, 0)
    if not curves:
        return None
    titles = {row.name: row.title for row in rows}
    data: list[Sequence[object]] = [["step", *curves]]
    data += [
        [step, *("" if np.isnan(value) else value for value in values)]
        for step, values in enumerate(zip(*curves.values(), strict=True))
    ]
    notes = (
        f"Relative error to the uncached latents before each step and in the end, mean of {len(base)} clips (after the "
        "paper's Fig. 12)."
    )
    drawing, (panel,) = style.panels(pyplot, 1, height=2.0, legend=len(curves), notes=notes)
    handles = []
    for number, curve in enumerate(curves.values()):
        (at,) = np.nonzero(~np.isnan(curve))
        look = style.look(number) | {"markevery": max(1, len(at) // 5), "markersize": 3}
        handles += panel.plot(at, curve[at], style.LINES[number // len(style.COLOURS) % 4], **look)
    panel.set_xlabel("step, from noise to picture")
    style.title(panel, "relative error ↓")
    panel.set_yscale("symlog", linthresh=1e-4)
    panel.yaxis.set_major_formatter("{x:g}")
    style.legend(drawing, handles, [titles[name] for name in curves])
    return style.Figure("steps", drawing, data)
