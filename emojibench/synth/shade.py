"""Colouring the pixels that see something: texture, light and highlight, read where the surface lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emojibench.synth.compiled import Image, compiled
from emojibench.synth.raster import TEXELS, place

_STEPS = 32
"""Places that bilinear sampling tells apart between two texels."""


@compiled
def colour_pixels(
    seen: NDArray[np.int32],
    table: NDArray[np.float32],
    texture: Image,
    light: Image,
    tones: Image,
    picture: Image,
) -> None:
    """Draw what is seen over the background.

    Args:
        seen: (h, w), see `visible_surface`.
        table: see `visible_surface`.
        texture: (8 rows, 8 columns, 3), the atlas.
        light: (rows, columns, 2), diffuse light and highlight at the vertices.
        tones: (256, 3), diffuse light to a factor of the texture, 128 for one.
        picture: (h, w, 3), changed in place.
    """
    for y in range(seen.shape[0]):
        for x in range(seen.shape[1]):
            if seen[y, x] == 0:
                continue
            column, row = place(table[seen[y, x]], x, y)
            on_light = _between(column, row, *light.shape[:2])
            diffuse, shine = _sample(light, on_light, 0), _sample(light, on_light, 1)
            on_texture = _between(column * np.float32(TEXELS), row * np.float32(TEXELS), *texture.shape[:2])
            for c in range(3):
                product = _sample(texture, on_texture, c) * int(tones[diffuse, c])
                # To the nearest whole number, ties to the even one.
                rounded = (product + 63 + (product >> 7 & 1)) >> 7
                picture[y, x, c] = min(min(rounded, 255) + shine, 255)


@compiled
def _between(
    column: np.float32, row: np.float32, rows: int, columns: int
) -> tuple[int, int, int, int, int, int, int, int]:
    """Of a place: left, top, right and lower neighbour, and the weights of the four corners, row by row."""
    x, y = int(np.rint(column * np.float32(_STEPS))), int(np.rint(row * np.float32(_STEPS)))
    left, top, u, v = x // _STEPS, y // _STEPS, x % _STEPS, y % _STEPS
    right, below = min(left + 1, columns - 1), min(top + 1, rows - 1)
    w, z = _STEPS - u, _STEPS - v
    return left, top, right, below, w * z, u * z, w * v, u * v


@compiled
def _sample(picture: Image, at: tuple[int, int, int, int, int, int, int, int], c: int) -> int:
    """Bilinear, in whole numbers, as OpenCV's `remap`."""
    left, top, right, below, a, b, d, e = at
    upper, lower = picture[top], picture[below]
    total = a * upper[left, c] + b * upper[right, c] + d * lower[left, c] + e * lower[right, c]
    return int(total + _STEPS * _STEPS // 2) // (_STEPS * _STEPS)
