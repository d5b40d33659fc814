"""The figures of `emojibench accel`, each with its data as CSV: error over cost, and error over steps (Fig. 12)."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emojibench.files.writing import atomic, write_text
from emojibench.fye.acceleration.comparing import AccelerationRow, Figures, counted, figures


def write_figures(rows: Sequence[AccelerationRow], folder: Path) -> list[Path]:
    """Draw what was measured.

    Args:
        rows: as for the page.
        folder: gets `pareto.png`, `steps.png` and their `.csv`; a figure without any point is not drawn.

    Returns:
        The files written.
    """
    rows = counted(rows)
    return [*_pareto(rows, figures(rows), folder), *_steps(rows, folder)]


_ERRORS = {
    "lpips": "LPIPS to the uncached frames",
    "lpips_tail": "LPIPS, worst 5 % of frames",
    "latent_error": "latent error to the uncached way",
    "latent_error_tail": "latent error, worst 5 % of frames",
}
_COSTS = {"gflop": "GFLOP counted while denoising a clip", "seconds": "seconds of denoising a clip"}


def _pareto(rows: Sequence[AccelerationRow], known: Mapping[str, Figures], folder: Path) -> list[Path]:
    points = [(row, _point(known[row.name])) for row in rows[1:] if row.name in known]
    points = [(row, p) for row, p in points if p["gflop"] is not None and p["latent_error"]]
    if not points:
        return []
    data, picture = folder / "pareto.csv", folder / "pareto.png"
    _write_csv(data, [["row", *points[0][1]], *([row.name, *point.values()] for row, point in points)])

    pyplot = _pyplot()
    errors = [name for name in _ERRORS if any(point[name] for _, point in points)]
    drawing, panels = pyplot.subplots(
        len(errors), 2, figsize=(14, 4 * len(errors)), sharex="col", sharey="row", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for error, beside in zip(errors, panels, strict=True):
        for cost, panel in zip(_COSTS, beside, strict=True):
            _draw_errors(panel, [(row, point[cost], point[error]) for row, point in points])
        beside[0].set_ylabel(_ERRORS[error])
    for cost, panel in zip(_COSTS, panels[-1], strict=True):
        panel.set_xlabel(_COSTS[cost])
    names = "\n".join(f"{k}  {row.title}" for k, (row, _) in enumerate(points, 1))
    drawing.text(1.0, 0.5, names, va="center", ha="left", fontsize=9)
    clips, traced = (getattr(known[rows[0].name], name) for name in ("clips", "traced"))
    drawing.suptitle(
        "Error over cost; red: what fye-faster ships with, grey: noise floors, line: Pareto front\n"
        f"n = {clips} clips (LPIPS, seconds), {traced} (latents, FLOPs)"
    )
    with atomic(picture) as temporary:
        drawing.savefig(temporary, dpi=90, bbox_inches="tight")
    pyplot.close(drawing)
    return [data, picture]


def _point(found: Figures) -> dict[str, float | None]:
    return {
        "gflop": found.flops / 1e9 if found.flops is not None else None,
        "seconds": found.seconds.mean if found.seconds else None,
        "latent_error": found.latent.mean if found.latent else None,
        "latent_error_tail": found.latent_tail,
        "lpips": found.lpips.mean if found.lpips else None,
        "lpips_tail": found.lpips_tail,
    }


def _draw_errors(panel: Any, points: Sequence[tuple[AccelerationRow, float | None, float | None]]) -> None:
    """Number the rows from 1; one whose cost or error is unknown keeps its number and is left out."""
    panel.set(xscale="log", yscale="log")
    panel.grid(visible=True, which="both", alpha=0.25)
    shown = [(k, row, x, y) for k, (row, x, y) in enumerate(points, 1) if x is not None and y]
    for k, row, x, y in shown:
        ours = row.run is not None and row.run.spec.method == "fye-faster"
        colour = "grey" if "floor" in row.groups else "tab:red" if ours else "tab:blue"
        panel.plot(x, y, "o", color=colour)
        panel.annotate(str(k), (x, y), xytext=(5, 4), textcoords="offset points", fontsize=9)
    front = _front([(x, y) for _, row, x, y in shown if "floor" not in row.groups])
    if front:
        panel.step(*zip(*front, strict=True), where="post", color="black", alpha=0.4, linewidth=1)


def _front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats in both, by cost."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best


def _steps(rows: Sequence[AccelerationRow], folder: Path) -> list[Path]:
    curves: dict[str, Any] = {}
    base = rows[0].traces or {}
    for row in rows[1:]:
        known = [
            [*trace.step_errors, trace.final_error(base[clip])]
            for clip, trace in (row.traces or {}).items()
            if trace.step_errors is not None and clip in base
        ]
        if known:
            curves[row.name] = np.mean(known, 0)
    if not curves:
        return []
    titles = {row.name: row.title for row in rows}
    data, picture = folder / "steps.csv", folder / "steps.png"
    lines = [
        [step, *("" if np.isnan(value) else value for value in values)]
        for step, values in enumerate(zip(*curves.values(), strict=True))
    ]
    _write_csv(data, [["step", *curves], *lines])

    pyplot = _pyplot()
    drawing, panel = pyplot.subplots(figsize=(11, 6.5), layout="constrained")
    styles = ["-", "--", ":", "-."]
    for k, (name, curve) in enumerate(curves.items()):
        (at,) = np.nonzero(~np.isnan(curve))
        sparse = {"marker": "o", "markersize": 3} if len(at) < len(curve) else {}
        panel.plot(at, curve[at], styles[k // 10 % 4], label=titles[name], linewidth=1.5, **sparse)
    panel.set(
        xlabel="step of the uncached run, from noise to picture", ylabel="relative error of the latents",
        title=f"Error to the uncached latents before each step and in the end (the paper's Fig. 12), n = {len(base)}",
    )  # fmt: skip
    panel.set_yscale("symlog", linthresh=1e-4)
    panel.grid(visible=True, alpha=0.25)
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    with atomic(picture) as temporary:
        drawing.savefig(temporary, dpi=110)
    pyplot.close(drawing)
    return [data, picture]


def _write_csv(file: Path, lines: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    write_text(file, text.getvalue())


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
