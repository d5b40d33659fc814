"""Draws the figures that runs have data for, and says of the others what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emojibench.errors import UserError
from emojibench.registry import unknown
from emojibench.reports.figures import of_clips, of_frames, style
from emojibench.reports.figures.view import View
from emojibench.reports.load import FinishedRun
from emojibench.reports.tables import SPLITS, build_track

FIGURES = {
    "pareto": of_clips.pareto,
    "domain": of_clips.domain,
    "expression": of_clips.expression,
    "yaw": of_frames.yaw,
    "time": of_frames.time,
    "agreement": of_clips.agreement,
}
ALL = "all"
_ELSEWHERE = {
    "radar": "`emojibench data stats --figure`",
    "steps": "`emojibench accel`",
}
"""Figures that are not made from run folders, and what makes them."""


@dataclass
class Drawn:
    """What became of the figures that were asked for."""

    files: list[Path] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    """Lines that say which figure is not there, and why."""


def draw_all(names: Sequence[str], tracks: Mapping[str, Sequence[FinishedRun]], folder: Path) -> Drawn:
    """Write figures as PDF, PNG and CSV into `folder`/<track>.

    Args:
        names: keys of `FIGURES`, or `all`.
        tracks: name to runs.
        folder: root of the figures.

    Raises:
        UserError: an unknown name, or runs have data for none of the figures.
        UnavailableError: matplotlib is not installed.
    """
    chosen = _chosen(names)
    views = []
    for track_name, runs in tracks.items():
        track = build_track(track_name, runs)
        views += [view for split in SPLITS if (view := View(track, split)).runs]
    drawn = Drawn()
    for name in chosen:
        for view in views:
            with style.paper() as pyplot:
                try:
                    drawn.files += FIGURES[name](view, pyplot).write(folder / view.track.name)
                except UserError as error:
                    drawn.absent.append(f"{name}-{view.split} of {view.track.name}: {error}")
    if not drawn.files:
        raise UserError(f"--figure {','.join(chosen)}: nothing to draw. " + "; ".join(drawn.absent))
    return drawn


def _chosen(names: Sequence[str]) -> list[str]:
    if ALL in names:
        return list(FIGURES)
    for name in names:
        if name in _ELSEWHERE:
            raise UserError(f"--figure {name}: is made by {_ELSEWHERE[name]}, not from run folders")
        if name not in FIGURES:
            raise UserError(f"--figure: {unknown('figure', name, [*FIGURES, ALL])}")
    if not names:
        raise UserError(f"--figure: expected {', '.join(FIGURES)} or {ALL}")
    return list(dict.fromkeys(names))
