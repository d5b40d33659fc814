"""L1: mean absolute difference of pixels.

Protocol: RGB on [0, 1] (uint8 / 255), mean over pixels and channels per frame, then over frames. This is the
scale of the First Order Motion Model family and, by its size, of the paper (0.027 = 7 grey levels); DisCo and
MagicAnimate divide a 0..255 difference by H*W only and land near 1e-4, which is not comparable.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench_metrics.frames import PairedMetric, checked_pair, in_threads
from emojibench_metrics.interface import Frames, Traits

TRAITS = (
    Traits(
        name="l1",
        better="lower",
        unit="intensity in [0, 1]",
        valid_range=(0.0, 1.0),
        source="mean |a-b| on [0, 1] RGB, as in First Order Motion Model (Siarohin et al., NeurIPS 2019)",
        needs=frozenset({"truth"}),
    ),
)


def l1(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean absolute difference in [0, 1] of two videos (T, H, W, 3) or pictures (H, W, 3), uint8 RGB.

    Raises:
        ValueError: not uint8 RGB, or shapes that differ.
    """
    return float(l1_per_frame(*checked_pair(a, b)).mean())


def l1_per_frame(a: Frames, b: Frames) -> NDArray[np.float64]:
    """(T,) mean absolute differences in [0, 1] of two checked videos."""
    import cv2

    values = math.prod(a.shape[1:])

    def one(t: int) -> float:
        # A sum of uint8 differences is an exact integer, so the order of summation cannot matter.
        total: float = sum(cv2.sumElems(cv2.absdiff(a[t], b[t])))
        return total / (255.0 * values)

    return np.array(in_threads(one, range(len(a))))


class L1(PairedMetric):
    """Mean absolute pixel difference on [0, 1]."""

    traits = TRAITS

    def per_frame(self, generated: Frames, truth: Frames) -> dict[str, NDArray[np.float64]]:
        """(T,) L1 of each frame."""
        return {"l1": l1_per_frame(generated, truth)}
