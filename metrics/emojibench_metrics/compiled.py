"""Loops of metrics, compiled on first use and kept on disk: each reads its input once, where arrays go through memory
several times.

Import only where they run: this module loads numba.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])


def _compiled(*liberties: str) -> Callable[[F], F]:
    """The function as machine code that lets other threads run, and takes these liberties with rounding.

    Where neither its folder nor the user's cache can be written, it is compiled again by every process.
    """

    def compile_(function: F) -> F:
        options: dict[str, Any] = {"nogil": True, "fastmath": set(liberties)}
        try:
            return cast(F, numba.njit(cache=True, **options)(function))
        except RuntimeError:
            return cast(F, numba.njit(**options)(function))

    return compile_


@_compiled("reassoc", "contract")
def similarity(
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    window: NDArray[np.float64],
    scale: float,
    c1: float,
    c2: float,
) -> float:
    """Mean structural similarity of two pictures over the interior where a separable window fits.

    Args:
        a: (H, 3 W) uint8: rows of RGB pixels.
        b: the same of the other picture.
        window: (K,) weights along either axis, sum 1.
        scale: factor of variances and of the covariance.
        c1: SSIM's constant beside means, for values of 0..255.
        c2: SSIM's constant beside variances.
    """
    height, width = a.shape
    taps = len(window)
    inside = width - 3 * (taps - 1)
    # Only the sum of the two variances is ever needed: four filtered planes instead of five.
    x, y, products, squares = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    mean_x, mean_y, mean_xy, mean_squares = (
        np.empty(inside),
        np.empty(inside),
        np.empty(inside),
        np.empty(inside),
    )
    total = 0.0
    for top in range(height - taps + 1):
        x[:], y[:], products[:], squares[:] = 0, 0, 0, 0
        for k in range(taps):
            weight = window[k]
            for j in range(width):
                first, second = np.float64(a[top + k, j]), np.float64(b[top + k, j])
                x[j] += weight * first
                y[j] += weight * second
                products[j] += weight * (first * second)
                squares[j] += weight * (first * first + second * second)
        mean_x[:], mean_y[:], mean_xy[:], mean_squares[:] = 0, 0, 0, 0
        for k in range(taps):
            weight = window[k]
            for j in range(inside):
                mean_x[j] += weight * x[j + 3 * k]
                mean_y[j] += weight * y[j + 3 * k]
                mean_xy[j] += weight * products[j + 3 * k]
                mean_squares[j] += weight * squares[j + 3 * k]
        for j in range(inside):
            product = mean_x[j] * mean_y[j]
            square = mean_x[j] * mean_x[j] + mean_y[j] * mean_y[j]
            covariance, variances = scale * (mean_xy[j] - product), scale * (mean_squares[j] - square)
            total += (2 * product + c1) * (2 * covariance + c2) / ((square + c1) * (variances + c2))
    return total / ((height - taps + 1) * inside)


@_compiled("reassoc")
def feature_distance(a: NDArray[np.float32], b: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    """LPIPS of one layer: the mean over pixels of the weighted squared difference of unit feature vectors.

    Without fused multiply-add, by which equal vectors would differ.

    Args:
        a: (pixels, channels).
        b: the same of the other picture.
        weights: (channels,).
    """
    pixels, channels = a.shape
    total = 0.0
    for p in range(pixels):
        square_a, square_b = np.float32(0), np.float32(0)
        for c in range(channels):
            square_a += a[p, c] * a[p, c]
            square_b += b[p, c] * b[p, c]
        unit_a = np.float32(1) / (np.sqrt(square_a) + np.float32(1e-10))
        unit_b = np.float32(1) / (np.sqrt(square_b) + np.float32(1e-10))
        weighted = np.float32(0)
        for c in range(channels):
            difference = a[p, c] * unit_a - b[p, c] * unit_b
            weighted += weights[c] * (difference * difference)
        total += float(weighted)
    return total / pixels
