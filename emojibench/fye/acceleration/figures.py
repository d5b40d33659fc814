"""The figures of `emojibench accel`, each with its data as CSV: error over cost, and error over steps (Fig. 12).

They are drawn from what stands beside the page, so that they can be drawn again without the runs.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.errors import UserError
from emojibench.files import reading
from emojibench.fye.acceleration.comparing import AccelerationRow
from emojibench.reports.campaigns import Campaign, CampaignRow, load_campaign
from emojibench.reports.figures import style

Curves = Mapping[str, NDArray[np.float64]]
"""Row name to (S + 1,) errors before each of the first row's steps and in the end; NaN where a row has no such step."""


def write_figures(page: Path, steps: Curves) -> list[Path]:
    """Draw what `write_acceleration` wrote beside `page`.

    Args:
        page: its folder gets `pareto` and `steps` as PDF, PNG and CSV; a figure without any point is not drawn.
        steps: see `curves` and `kept_curves`.

    Returns:
        The files written.

    Raises:
        UserError: the JSON beside the page is not there, or not of `emojibench accel`.
    """
    file = page.with_suffix(".json")
    campaign = load_campaign(file)
    if campaign.kind != "accel":
        raise UserError(f"{file}: expected what `emojibench accel` wrote, got an ablation; correct --table")
    files = []
    with style.paper() as pyplot:
        for figure in (_pareto(campaign, pyplot), _steps(campaign, steps, pyplot)):
            if figure:
                files += figure.write(page.parent)
    return files


def curves(rows: Sequence[AccelerationRow]) -> Curves:
    """Of all rows but the first, the mean over traced clips."""
    base = rows[0].traces or {}
    found = {}
    for row in rows[1:]:
        errors = [
            [*trace.step_errors, trace.final_error(base[clip])]
            for clip, trace in (row.traces or {}).items()
            if trace.step_errors is not None and clip in base
        ]
        if errors:
            found[row.name] = np.mean(errors, 0)
    return found


def kept_curves(page: Path) -> Curves:
    """Those that an earlier call wrote beside `page`; none where it drew none.

    Raises:
        UserError: `steps.csv` holds something else.
    """
    file = page.parent / "steps.csv"
    try:
        (_, *names), *lines = csv.reader(reading.read_text(file).splitlines())
        values = np.array([[float(cell or math.nan) for cell in cells] for _, *cells in lines])
        return dict(zip(names, values.T, strict=True))
    except reading.MissingFileError:
        return {}
    except (ValueError, csv.Error) as error:
        raise UserError(f"{file}: not the errors of steps ({error}); run `emojibench accel` again") from error


_ERRORS = {
    "lpips": "LPIPS to uncached frames ↓",
    "latent_error": "latent error to the uncached way ↓",
}
"""What is drawn; the CSV has the worst 5 % of frames as well."""
_COSTS = {"gflop": "GFLOP of denoising ↓", "seconds": "seconds of denoising ↓"}


def _pareto(campaign: Campaign, pyplot: Any) -> style.Figure | None:
    first, *others = campaign.rows
    points = [(row, _point(row)) for row in others]
    points = [(row, p) for row, p in points if (p["gflop"] or 0) > 0 and (p["latent_error"] or 0) > 0]
    if not points:
        return None
    data: list[Sequence[object]] = [["row", *points[0][1]]]
    data += [[row.name, *("" if v is None else v for v in point.values())] for row, point in points]
    errors = [name for name in _ERRORS if any(point[name] for _, point in points)]
    notes = (
        f"Means of {first.clips} clips (LPIPS, seconds) and {first.traced} (latents, FLOPs); squares: what fye-faster "
        "ships with; dotted: noise floors; line: Pareto front."
    )
    drawing, panels = style.panels(
        pyplot,
        2 * len(errors),
        height=1.7 + 0.03 * len(points),
        legend=len(points),
        notes=notes,
        sharex="col",
        sharey="row",
    )
    handles: dict[str, Any] = {}
    named = {}
    for place, panel in enumerate(panels):
        error, cost = errors[place // 2], list(_COSTS)[place % 2]
        named[panel] = _draw_errors(
            panel, first, [(row, point[cost], point[error]) for row, point in points], handles
        )
        if place % 2 == 0:
            style.title(panel, _ERRORS[error])
        if place >= len(panels) - 2:
            panel.set_xlabel(_COSTS[cost])
    style.legend(drawing, list(handles.values()), list(handles), dots=True)
    style.name_dots(drawing, named)
    return style.Figure("pareto", drawing, data)


def _point(row: CampaignRow) -> dict[str, float | None]:
    return {
        "gflop": row.flops.mean / 1e9 if row.flops else None,
        "seconds": row.seconds.mean if row.seconds else None,
        "latent_error": row.latent.mean if row.latent else None,
        "latent_error_tail": row.latent_tail.mean if row.latent_tail else None,
        "lpips": row.lpips.mean if row.lpips else None,
        "lpips_tail": row.lpips_tail.mean if row.lpips_tail else None,
    }


def _draw_errors(
    panel: Any,
    first: CampaignRow,
    points: Sequence[tuple[CampaignRow, float | None, float | None]],
    handles: dict[str, Any],
) -> dict[str, tuple[float, float]]:
    """Where each row's number belongs. They begin at 1; a row whose cost or error is unknown keeps its own."""
    panel.set(xscale="log", yscale="log")
    shown = [(k, row, x, y) for k, (row, x, y) in enumerate(points, 1) if x and y and min(x, y) > 0]
    widest = max((x for _, row, x, _ in shown if "floor" not in row.groups), default=1.0)
    named = {}
    for k, row, x, y in shown:
        if "floor" in row.groups:  # what a floor costs is beside the point, and would take half of the panel
            mark = panel.axhline(y, color="#7F7F7F", linestyle=":", zorder=1)
            x = widest
        else:
            colour, marker = ("#D55E00", "s") if row.method == "fye-faster" else ("#0072B2", "o")
            (mark,) = panel.plot(x, y, marker, color=colour, linestyle="", zorder=3 + (marker == "s"))
        handles.setdefault(f"{k}  {_title(row, first)}", mark)
        named[str(k)] = (x, y)
    for ticks in (panel.xaxis, panel.yaxis):
        style.plain_ticks(ticks)
    front = _front([(x, y) for _, row, x, y in shown if "floor" not in row.groups])
    if front:
        panel.step(*zip(*front, strict=True), where="post", color="0.4", linewidth=0.8, zorder=1)
    return named


def _front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats in both, by cost."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best


def _title(row: CampaignRow, first: CampaignRow) -> str:
    """With n for a row of other clips than the first."""
    return row.title if row.clips == first.clips else f"{row.title}, n = {row.clips}"


def _steps(campaign: Campaign, curves: Curves, pyplot: Any) -> style.Figure | None:
    if not curves:
        return None
    first = campaign.rows[0]
    titles = {row.name: _title(row, first) for row in campaign.rows}
    data: list[Sequence[object]] = [["step", *curves]]
    data += [
        [step, *("" if np.isnan(value) else value for value in values)]
        for step, values in enumerate(zip(*curves.values(), strict=True))
    ]
    notes = (
        f"Relative latent error to the uncached way before each step and in the end, mean of {first.traced} clips (the "
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
    style.legend(drawing, handles, [titles.get(name, name) for name in curves])
    return style.Figure("steps", drawing, data)
