"""Loops over pixels, compiled once and kept on disk; float32 sums, products, roots and clips round as numpy's do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from emojibench.files.cache import cache_folder

F = TypeVar("F", bound=Callable[..., object])
Field = NDArray[np.float32]
Image = NDArray[np.uint8]

ZERO, HALF, ONE, TWO, THREE = (np.float32(k) for k in (0, 0.5, 1, 2, 3))
"""Plain numbers in a compiled function are float64; these keep a sum in float32."""


def compiled(function: F) -> F:
    """The function as machine code, without reassociation or fused multiply-add.

    Where neither its folder nor the user's cache can be written, it is compiled again by every process.
    """
    config: Any = numba.config  # its fields are made at run time
    before = config.CACHE_DIR
    try:
        config.CACHE_DIR = _folder()
        return cast(F, numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:
        return cast(F, numba.njit(error_model="numpy")(function))
    finally:
        config.CACHE_DIR = before


@lru_cache(maxsize=1)
def _folder() -> str:
    """Where machine code is kept: named by all sources of the renderer.

    numba looks for changes in a function's own file only, but the functions of other files are compiled into it.
    """
    here = Path(__file__).parent
    sources = b"".join(file.read_bytes() for file in sorted(here.glob("*.py")))
    beside = here / "__pycache__"
    writable = os.access(beside if beside.exists() else here, os.W_OK)
    root = beside if writable else cache_folder("compiled")
    return str(root / f"numba-{hashlib.sha256(sources).hexdigest()[:12]}")


@compiled
def clip(x: np.float32, low: np.float32, high: np.float32) -> np.float32:
    """`x`, or the bound that it passes."""
    return min(max(x, low), high)


@compiled
def smooth_step(low: float, high: float, x: np.float32) -> np.float32:
    """From 0 at `low` to 1 at `high`, which may be the smaller one, without a corner."""
    u = clip((x - np.float32(low)) * np.float32(1.0 / (high - low)), ZERO, ONE)
    return u * u * (THREE - TWO * u)


@compiled
def bump(distance: np.float32, reach: float) -> np.float32:
    """1 at distance 0, falling to 0 at `reach` in a straight line."""
    return clip(ONE - distance * np.float32(1 / reach), ZERO, ONE)


@compiled
def lay(pixel: Field, colour: Field, factor: np.float32, alpha: np.float32) -> None:
    """Lay `factor` times a colour over a pixel, both (3,) float32, in place."""
    for c in range(3):
        pixel[c] += (colour[c] * factor - pixel[c]) * alpha


@compiled
def store(pixel: Field, out: Image) -> None:
    """Round a pixel, (3,) float32, to uint8."""
    for c in range(3):
        out[c] = np.uint8(np.rint(clip(pixel[c], ZERO, np.float32(255))))
