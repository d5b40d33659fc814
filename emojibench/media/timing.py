"""When frames are shown: what a video's time stamps say about its rate."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emojibench.types import Image

MOST_REPEATS = 10
"""Longest that a frame may stand, in frames of the rate, averaged over a video."""
_LAST = 0.5 - 1e-6
"""Intervals for which the last frame stands: up to half of one, whatever the rounding."""


@dataclass(frozen=True)
class Timing:
    """At which rate a video comes, and how."""

    fps: float
    """Frames per second, 0 if the file does not say."""
    frames: int
    """Frames that come."""
    interval: float | None = None
    """Seconds between two frames of a variable rate that is made constant; None: frames come as they are stored."""
    note: str = ""


def timing(times: list[float] | None, stated: float, promised: int, *, tick: float = 0.0) -> Timing:
    """What a video's time stamps say.

    The rate is constant when every frame lies within half an interval of its place; it is then the stated rate,
    unless the stamps contradict that by over half a percent and one tick. Otherwise it is the rate at which most frames
    follow each other (the mean of the intervals within a quarter of their median), and at every tick of it the
    frame comes whose time is nearest: some twice, some not at all.

    Args:
        times: of the frames, in seconds, ascending; None if the file does not say.
        stated: frames per second by the header, 0 if it does not say.
        promised: frames by the header.
        tick: seconds by which times may be rounded.

    Raises:
        ValueError: frames stand so long that most of the result would be repeats.
    """
    if times is None:
        return Timing(stated, promised)
    count = len(times)
    stamps = np.array(times)
    if count < 2 or stamps[-1] == stamps[0]:
        return Timing(stated, count)
    mean = float(np.polyfit(np.arange(count), stamps, 1)[0])
    if mean > 0 and np.ptp(stamps - mean * np.arange(count)) <= mean:
        span = stamps[-1] - stamps[0]
        agrees = stated > 0 and abs(span - (count - 1) / stated) <= 0.005 * span + tick
        return Timing(stated if agrees else 1 / mean, count)
    return _variable(stamps)


def at_constant_rate(frames: Iterator[tuple[float, Image]], interval: float) -> Iterator[Image]:
    """Yield, `interval` seconds apart from the first frame on, the frame whose time is nearest."""
    start = last = 0.0
    held: Image | None = None
    ticks = 0
    for time, image in frames:
        if held is None:
            start = time
        else:
            while start + ticks * interval < (last + time) / 2:
                yield held
                ticks += 1
        held, last = image, time
    while held is not None and start + ticks * interval < last + _LAST * interval:
        yield held
        ticks += 1


def _variable(stamps: NDArray[np.float64]) -> Timing:
    gaps = np.diff(stamps)
    gaps = gaps[gaps > 0]
    median = np.sort(gaps)[(len(gaps) - 1) // 2]
    interval = float(gaps[np.abs(gaps - median) <= median / 4].mean())
    ticks = math.ceil((stamps[-1] - stamps[0]) / interval + _LAST)
    if ticks > MOST_REPEATS * len(stamps):
        raise ValueError(
            f"most of its frames are {interval:.3g} s apart, some {gaps.max():.3g} s; "
            "give it a constant frame rate"
        )
    used = len(
        np.unique(np.searchsorted((stamps[1:] + stamps[:-1]) / 2, stamps[0] + interval * np.arange(ticks)))
    )
    note = (
        f"variable frame rate ({1 / gaps.max():.3g} to {1 / gaps.min():.3g} per second): at {1 / interval:.4g} "
        f"per second, {ticks - used} of {ticks} frames repeat the one before and {len(stamps) - used} are skipped"
    )
    return Timing(1 / interval, ticks, interval, note)
