"""PSNR: peak signal-to-noise ratio.

Protocol: RGB on [0, 1], 10 log10(1 / MSE) per frame over all pixels and channels, then mean over frames.
Identical frames would score infinity and make every mean infinite; 8-bit frames cannot show an error below
their own quantisation noise, so MSE is floored there (1/12 of a squared grey level) and identical frames
score 58.92 dB.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench_metrics.frames import PairedMetric, checked_pair, in_threads
from emojibench_metrics.interface import Frames, Traits

QUANTISATION_MSE = 1.0 / (12.0 * 255.0**2)
"""Variance of rounding to 8 bits, on [0, 1]."""

HIGHEST = -10.0 * math.log10(QUANTISATION_MSE)
"""PSNR of identical frames, dB."""

TRAITS = (
    Traits(
        name="psnr",
        better="higher",
        unit="dB",
        valid_range=(0.0, HIGHEST),
        source="10 log10(1/MSE) on [0, 1] RGB, floored at 8-bit quantisation noise; mean over frames",
        needs=frozenset({"truth"}),
        decimals=2,
    ),
)


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB (at most `HIGHEST`) of two videos (T, H, W, 3) or pictures, uint8 RGB.

    Raises:
        ValueError: not uint8 RGB, or shapes that differ.
    """
    return float(psnr_per_frame(*checked_pair(a, b)).mean())


def psnr_per_frame(a: Frames, b: Frames) -> NDArray[np.float64]:
    """(T,) PSNR in dB of two checked videos."""
    import cv2

    values = math.prod(a.shape[1:])

    def mean_square(t: int) -> float:
        return float(cv2.norm(a[t], b[t], cv2.NORM_L2SQR)) / (255.0**2 * values)

    mse = np.array(in_threads(mean_square, range(len(a))))
    return np.asarray(-10.0 * np.log10(np.maximum(mse, QUANTISATION_MSE)))


class Psnr(PairedMetric):
    """Peak signal-to-noise ratio of frames."""

    traits = TRAITS

    def per_frame(self, generated: Frames, truth: Frames) -> dict[str, NDArray[np.float64]]:
        """(T,) PSNR of each frame."""
        return {"psnr": psnr_per_frame(generated, truth)}
