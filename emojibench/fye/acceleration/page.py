"""The page of `emojibench accel`: Tables 3 and 5 of the paper on our model, and what goes beyond them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emojibench_metrics.cost import is_cost

from emojibench.fye.acceleration.comparing import AccelerationRow, Figures, counted, figures
from emojibench.protocol.statistics import Interval
from emojibench.reports.blocks import Block, Cell, Column, Footnotes, Heading, Table, missing, number
from emojibench.reports.campaigns import COSTS, GROUPS
from emojibench.reports.load import FinishedRun
from emojibench.reports.parts import cells, origin, published, setting, shared_columns
from emojibench.reports.published import load_table
from emojibench.reports.structure import means_data, spec_data, write_page

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


def write_acceleration(rows: Sequence[AccelerationRow], file: Path, lpips_missing: str = "") -> str:
    """Write the page to `file` and all figures to the JSON beside it; returns the page.

    Args:
        rows: the reference first, which has a run.
        file: Markdown.
        lpips_missing: why there is no LPIPS.
    """
    known = figures(rows)
    return write_page(file, _page(counted(rows), known, lpips_missing), _data(rows, known))


def _page(rows: Sequence[AccelerationRow], known: Mapping[str, Figures], lpips_missing: str) -> list[Block]:
    spec = _base(rows).spec
    tables: list[Block] = []
    for group, title in GROUPS.items():
        members = [row for row in rows if group in row.groups]
        if len(members) > 1:
            tables += [Heading(title), _cost_table(members, known, lpips_missing), _quality_table(members)]
    return [
        Heading("Acceleration", 1),
        f"{spec.split.capitalize()} reenactment on {setting(spec)}, n = {len(spec.clips)} clips; FLOPs, memory and "
        f"latents of {known[rows[0].name].traced} of them.",
        _LEGEND.format(together=_together(rows)),
        *tables,
        Heading("Benchmark metrics against the interval of the uncached run"),
        _inside_table(rows),
        Footnotes("Why cells are empty"),
        *origin((row.title, row.run) for row in rows if row.run is not None),
        Heading("Published: Tables 3 and 5 of the paper"),
        "**Not comparable with the rows above**: other data, another model, another machine.",
        *published(load_table(3)),
        *published(load_table(5)),
    ]


def _base(rows: Sequence[AccelerationRow]) -> FinishedRun:
    base = rows[0].run
    assert base is not None
    return base


def _together(rows: Sequence[AccelerationRow]) -> str:
    """How many clips were animated at the same time."""
    jobs = sorted({row.run.animated.platform.jobs for row in rows if row.run is not None})
    if jobs == [1]:
        return "one clip at a time"
    return f"{' or '.join(map(str, jobs))} clips side by side"


_UNTRACED, _APART = "this row was not traced", "no clip has frames in both rows"
_UNREPORTED, _NO_LPIPS = "the method did not report it", "no LPIPS"
_REASONS = {
    "seconds": _UNREPORTED, "seconds_speedup": _UNREPORTED, "cached_step": "no step is cheaper than the first row's",
    "cached_bytes": "the method does not say", "latent_far": "no row with more steps was traced", "mse": _APART,
    "mse_tail": _APART, "lpips": _NO_LPIPS, "lpips_tail": _NO_LPIPS,
}  # fmt: skip
"""Why a figure may be missing, where it is not that its row was not traced."""


def _cost_table(rows: Sequence[AccelerationRow], known: Mapping[str, Figures], lpips_missing: str) -> Table:
    def cell(found: float | Interval | None, form: str, scale: float, reason: str) -> Cell:
        if found is None:
            return missing((lpips_missing or _APART) if reason == _NO_LPIPS else reason)
        if isinstance(
            found, Interval
        ):  # none of these figures can be negative, which the bootstrap does not know
            return number(found.mean, max(found.low, 0.0), found.high, form=form, scale=scale)
        return number(found, form=form, scale=scale)

    lines = []
    for row in rows:
        if row.run is None:
            values = [missing(row.reason)] * len(COSTS)
        else:
            found = known[row.name]
            values = [
                cell(getattr(found, name), form, scale, _REASONS.get(name, _UNTRACED))
                for _, name, form, scale in COSTS
            ]
        lines.append((Cell(row.title), *values))
    return Table((Column("Row"), *(Column(title) for title, *_ in COSTS)), tuple(lines))


def _quality_table(rows: Sequence[AccelerationRow]) -> Table:
    """Benchmark metrics, against the ground truth, and the seconds of everything."""
    runs = [row.run for row in rows if row.run is not None]
    columns = [c for c in shared_columns(runs, "jitter", _WHOLE) if not is_cost(c.name) or c.name == _WHOLE]
    lines = ((Cell(row.title), *cells(row.run, columns, row.reason)) for row in rows)
    return Table((Column("Row"), *columns), tuple(lines))


def _inside_table(rows: Sequence[AccelerationRow]) -> Table:
    """For each row on the same clips, the metrics whose mean the uncached run's interval does not hold."""
    base = _base(rows)
    intervals = {
        column.title: (column.name, known.low, known.high)
        for column in shared_columns([base], "jitter")
        if not is_cost(column.name)
        and (known := base.summaries[column.name]).low is not None
        and known.high is not None
    }
    lines = []
    for row in rows[1:]:
        if row.run is None or row.run.spec.clips != base.spec.clips:
            continue
        outside = []
        for title, (name, low, high) in intervals.items():
            summary = row.run.summaries.get(name)
            if summary is not None and summary.mean is not None and not low <= summary.mean <= high:
                outside.append(title)
        inside = str(len(intervals) - len(outside))
        lines.append((Cell(row.title), Cell(inside), Cell(", ".join(outside) or "none")))
    titles = ("Row", f"inside, of {len(intervals)}", "outside")
    return Table(tuple(map(Column, titles)), tuple(lines))


def _data(rows: Sequence[AccelerationRow], known: Mapping[str, Figures]) -> dict[str, Any]:
    """Every figure of every row, for JSON."""
    spec = _base(rows).spec
    return {
        "split": spec.split,
        **spec_data(spec),
        "clips": list(spec.clips),
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
    return data | {
        "method": row.run.spec.method,
        "revision": row.run.spec.revision,
        **values,
        "metrics": means_data(row.run),
    }
