"""What a metric is: declared traits and a pure function on arrays.

Nothing here knows of clips, files or run folders. The harness hands over arrays and, for metrics with
weights, a function that finds a weight file by name.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Landmarks = NDArray[np.float32]

Need = Literal["truth", "portrait", "target_landmarks", "generated_landmarks"]
FindWeights = Callable[[str], Path]
"""Weight-file name to a verified local path; raises the harness's error when it cannot be had."""


@dataclass(frozen=True)
class Traits:
    """What a reader must know to read one column of a table."""

    name: str
    """Column name; the backbone is part of it (`lpips_squeeze`)."""
    better: Literal["higher", "lower", "none"]
    unit: str
    valid_range: tuple[float, float]
    """Closed interval of possible values; infinities allowed."""
    source: str
    """Paper and code that define it."""
    needs: frozenset[Need] = frozenset()
    """Optional inputs without which the metric is undefined."""
    minimum_frames: int = 1
    decimals: int = 3
    """Digits printed in tables."""
    version: int = 1
    """Raised whenever the same input would give another value; compared column by column."""

    def refusal(self, value: float) -> str:
        """Why `value` cannot be one of this column: not finite, or out of range. Empty where it can."""
        if not math.isfinite(value):
            return f"{value} is no finite number"
        low, high = self.valid_range
        slack = 1e-6 * max(1.0, abs(value))  # rounding at the ends of the range
        if low - slack <= value <= high + slack:
            return ""
        return f"{value:g} is outside the range [{low:g}, {high:g}]"


@dataclass(frozen=True)
class ClipArrays:
    """Everything a metric may look at for one animated clip; frames are already cut to the scored range."""

    generated: Frames
    """(T, H, W, 3) uint8 RGB."""
    truth: Frames | None = None
    """(T, H, W, 3) uint8 RGB, or None where no ground truth exists."""
    portrait: NDArray[np.uint8] | None = None
    """(H, W, 3) uint8 RGB."""
    target_landmarks: Landmarks | None = None
    """(T, 478, 3) normalised: where the face should be, after motion alignment. NaN rows: no target."""
    generated_landmarks: Landmarks | None = None
    """(T, 478, 3) normalised: the same detector on the generated frames. NaN rows: no face found."""


@dataclass(frozen=True)
class Figure:
    """One measured value, or the reason why there is none."""

    value: float | None
    n: int
    """Frames (per-clip metrics) or clips (per-set metrics) that the value rests on."""
    reason: str = ""
    """Why `value` is None."""
    total: int | None = None
    """Frames that a perfect animation would have given, where `n` counts only those that survived. None: all did."""
    frames: NDArray[np.float64] | None = None
    """(T,) the value of each frame given, NaN where a frame has none; `value` is the mean of the others. None: the
    metric has no values of single frames."""


class ClipMetric(Protocol):
    """A metric of one animation. One object may fill several columns that share their work."""

    traits: tuple[Traits, ...]

    def measure(self, clip: ClipArrays) -> dict[str, Figure]:
        """One figure for each name in `traits`."""
        ...


class SetMetric(Protocol):
    """A metric of a set of animations: features clip by clip, then one figure for the set."""

    traits: tuple[Traits, ...]

    def features(self, frames: Frames) -> NDArray[np.float64]:
        """(windows, d) features of one video (T, H, W, 3)."""
        ...

    def aggregate(
        self, generated: list[NDArray[np.float64]], truth: list[NDArray[np.float64]]
    ) -> dict[str, Figure]:
        """One figure for each name in `traits` from the features of all clips."""
        ...


class MetricFactory(Protocol):
    """What an entry point of the group `emojibench.metrics` names; the metric's class itself will do.

    It may have an attribute `packages: tuple[str, ...]`, the import names of optional packages that it needs. Where
    one is missing, its columns are `unavailable` with what to install, before any weights are looked for.
    """

    kind: Literal["clip", "set"]
    """Whether it makes a `ClipMetric` or a `SetMetric`."""
    traits: tuple[Traits, ...]
    """The metric's columns, readable without weights."""

    def __call__(self, find_weights: FindWeights) -> ClipMetric | SetMetric:
        """Build the metric.

        Raises:
            ImportError: an optional package is not installed; the message names it.
            ValueError: a weight file that is not what its name says.
        """
        ...
