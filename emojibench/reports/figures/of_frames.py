"""Metrics over the head's turn and over time, from the values of single frames."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.reports.blocks import Column
from emojibench.reports.figures import style
from emojibench.reports.figures.view import NothingToDrawError, View, axis, counted

_STEP = 5
"""Degrees of a bin of head turn."""
_HEADER = ("column", "row", "x", "mean", "low", "high", "frames", "clips")
Place = tuple[float, NDArray[np.float64], list[str]]
"""Where on the axis, the values there, and the clip of each."""


def yaw(view: View, pyplot: Any) -> style.Figure:
    """Mean of the frames whose head is turned so far from the portrait, in bins of 5 degrees."""
    turns = view.turns()

    def places(frames: Mapping[str, NDArray[np.float64]]) -> list[Place]:
        clips = [clip for clip in frames if clip in turns]
        at = np.concatenate([turns[clip] for clip in clips]) if clips else np.array([])
        values = np.concatenate([frames[clip] for clip in clips]) if clips else np.array([])
        names = [clip for clip in clips for _ in frames[clip]]
        known = np.isfinite(at) & np.isfinite(values)
        found = []
        for low in range(0, int(np.nanmax(at, initial=0)) + 1, _STEP):
            chosen = np.flatnonzero(known & (at >= low) & (at < low + _STEP))
            if len(chosen):
                found.append((low + _STEP / 2, values[chosen], [names[i] for i in chosen]))
        return found

    return _lines(
        view, pyplot, "yaw", "head turn (degrees)", places, f"head turn from the portrait in bins of {_STEP}°"
    )


def time(view: View, pyplot: Any) -> style.Figure:
    """Mean over the clips at each frame."""
    first = view.track.runs[0].spec.protocol.first_scored[view.split]

    def places(frames: Mapping[str, NDArray[np.float64]]) -> list[Place]:
        longest = max(map(len, frames.values()))
        found = []
        for index in range(longest):
            here = {c: v[index] for c, v in frames.items() if index < len(v) and np.isfinite(v[index])}
            if here:
                found.append((float(first + index), np.array(list(here.values())), list(here)))
        return found

    return _lines(view, pyplot, "time", "frame of the clip", places, "mean of each frame")


def _lines(view: View, pyplot: Any, name: str, x: str, places: Any, about: str) -> style.Figure:
    columns = view.framed_columns()
    subjects = view.subjects()
    data: list[Sequence[object]] = [_HEADER]
    clips = {clip for c in columns for of in view.frames(c.name).values() for clip in of}
    people = {subjects[clip] for clip in clips}
    absent = view.without_frames(columns)
    notes = (
        f"{view.setting}: {about}; {counted(len(clips), 'clip')} of {counted(len(people), 'portrait')}; "
        "bands: 95 % intervals (by portrait)."
    )
    if absent:
        notes += f" Without values frame by frame: {', '.join(absent)}."
    shown = [label for label in view.runs if label not in absent]
    drawing, axes = style.panels(pyplot, len(columns), legend=len(shown), notes=notes, sharex=True)
    handles = {}
    for panel, column in zip(axes, columns, strict=True):
        for label, frames in view.frames(column.name).items():
            points = _points(view, column, label, places(frames), data)
            handles[label] = _draw(panel, list(view.runs).index(label), points, marked=name == "yaw")
        style.title(panel, axis(column))
    if len(data) == 1:
        raise NothingToDrawError(f"{about}: no clip that all runs have values of says where it belongs")
    style.bottom(axes, x)
    style.legend(drawing, list(handles.values()), list(handles))
    return style.Figure(f"{name}-{view.split}", drawing, data)


def _points(
    view: View, column: Column, label: str, places: list[Place], data: list[Sequence[object]]
) -> NDArray[np.float64]:
    """(N, 4): x, mean, low, high; adds them to the data."""
    points = []
    subjects = view.subjects()
    for x, values, clips in places:
        found = view.interval(column, values, [subjects[clip] for clip in clips])
        points.append((x, found.mean, found.low, found.high))
        bounds = (found.low, found.high) if found.defined else ("", "")
        data.append((column.name, label, x, found.mean, *bounds, len(values), len(set(clips))))
    return np.array(points).reshape(-1, 4)


def _draw(panel: Any, number: int, points: NDArray[np.float64], *, marked: bool) -> Any:
    look = style.look(number)
    if not marked:
        look["marker"] = ""
    x, mean, low, high = points.T
    (line,) = panel.plot(x, mean, style.line(number), **look)
    panel.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
    return line
