"""Filling quadrilaterals with numbers, by the rule of OpenCV's `fillConvexPoly` with 8-connected borders.

A quad covers the spans between its left and right side and the pixels of its four border lines. OpenCV itself would
fill the same pixels; but a frame has two thousand quads of a few pixels each, and calling it for every one costs more
than the filling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emojibench.synth.compiled import compiled

SHIFT = 4
"""Binary places of the corners: 1/16 pixel."""
_FINE = 16
"""Binary places of everything in between."""
_PIXEL = 1 << _FINE
_HALF = _PIXEL >> 1


@compiled
def fill_quads(corners: NDArray[np.int32], order: NDArray[np.intp], picture: NDArray[np.int32]) -> None:
    """Fill each quad with its number, counted from 1; later ones cover earlier ones.

    Args:
        corners: (q, 4, 2), columns and rows of each quad's corners, going round, in 1/16 pixel.
        order: (k,), which quads, the farthest first.
        picture: (h, w), changed in place.
    """
    for quad in order:
        corner = corners[quad]
        for k in range(4):
            _line(corner[k - 1], corner[k], picture, quad + 1)
        _inside(corner, picture, quad + 1)


@compiled
def _divide(a: int, b: int) -> int:
    """Quotient of integers, rounded towards zero; `b` above 0."""
    return a // b if a >= 0 else -(-a // b)


@compiled
def _dot(column: int, row: int, picture: NDArray[np.int32], number: int) -> None:
    if 0 <= column < picture.shape[1] and 0 <= row < picture.shape[0]:
        picture[row, column] = number


@compiled
def _line(start: NDArray[np.int32], end: NDArray[np.int32], picture: NDArray[np.int32], number: int) -> None:
    """One pixel for every column of a flat line, for every row of a steep one."""
    scale = _FINE - SHIFT
    x1, y1 = int(start[0]) << scale, int(start[1]) << scale
    x2, y2 = int(end[0]) << scale, int(end[1]) << scale
    right, bottom = (picture.shape[1] << _FINE) - 1, (picture.shape[0] << _FINE) - 1
    if min(x1, x2, y1, y2) < 0 or max(x1, x2) > right or max(y1, y2) > bottom:
        there, x1, y1, x2, y2 = _clipped(x1, y1, x2, y2, right, bottom)
        if not there:
            return
    flat = abs(x2 - x1) > abs(y2 - y1)
    if (x2 < x1) if flat else (y2 < y1):
        x1, y1, x2, y2 = x2, y2, x1, y1
    _dot((x2 + _HALF) >> _FINE, (y2 + _HALF) >> _FINE, picture, number)
    dx, dy = x2 - x1, y2 - y1
    if flat:
        slope, first, across = _divide(dy << _FINE, dx | 1), (x1 + _HALF) >> _FINE, y1 + _HALF
        for column in range(first, first + (dx >> _FINE) + 1):
            _dot(column, across >> _FINE, picture, number)
            across += slope
    else:
        slope, first, across = _divide(dx << _FINE, dy | 1), (y1 + _HALF) >> _FINE, x1 + _HALF
        for row in range(first, first + (dy >> _FINE) + 1):
            _dot(across >> _FINE, row, picture, number)
            across += slope


@compiled
def _clipped(x1: int, y1: int, x2: int, y2: int, right: int, bottom: int) -> tuple[bool, int, int, int, int]:
    """What lies within 0 to `right` and 0 to `bottom` of a line: whether anything does, and its ends."""
    if max(x1, x2) < 0 or max(y1, y2) < 0 or min(x1, x2) > right or min(y1, y2) > bottom:
        return False, x1, y1, x2, y2
    if not 0 <= y1 <= bottom:
        edge = 0 if y1 < 0 else bottom
        x1, y1 = x1 + int((edge - y1) * float(x2 - x1) / (y2 - y1)), edge
    if not 0 <= y2 <= bottom:
        edge = 0 if y2 < 0 else bottom
        x2, y2 = x2 + int((edge - y2) * float(x2 - x1) / (y2 - y1)), edge
    if max(x1, x2) < 0 or min(x1, x2) > right:
        return False, x1, y1, x2, y2
    if not 0 <= x1 <= right:
        edge = 0 if x1 < 0 else right
        x1, y1 = edge, y1 + int((edge - x1) * float(y2 - y1) / (x2 - x1))
    if not 0 <= x2 <= right:
        edge = 0 if x2 < 0 else right
        x2, y2 = edge, y2 + int((edge - x2) * float(y2 - y1) / (x2 - x1))
    return True, x1, y1, x2, y2


@compiled
def _inside(corner: NDArray[np.int32], picture: NDArray[np.int32], number: int) -> None:
    """Row by row, from the top corner down both sides at once."""
    height, width = picture.shape
    half, scale = 1 << SHIFT >> 1, _FINE - SHIFT
    top = 0
    for k in range(1, 4):
        if corner[k, 1] < corner[top, 1]:
            top = k
    row, last = (corner[top, 1] + half) >> SHIFT, (corner[:, 1].max() + half) >> SHIFT
    if last < 0 or row >= height:
        return
    if (corner[:, 0].max() + half) >> SHIFT < 0 or (corner[:, 0].min() + half) >> SHIFT >= width:
        return
    last = min(last, height - 1)
    # Of the side that goes round with the corners and of the one that goes against them:
    at = np.array([top, top])  # the corner it has reached,
    until = np.array([row, row])  # the row where it turns,
    x = np.array([-_PIXEL, -_PIXEL])  # where it is,
    slope = np.array([0, 0])  # and how much that changes from row to row.
    left_to_go = 4
    while row <= last:
        for side in range(2):
            if row < until[side]:
                continue
            turn = 1 if side == 0 else 3
            while until[side] <= row and left_to_go > 0:
                here, at[side] = at[side], (at[side] + turn) % 4
                until[side] = (corner[at[side], 1] + half) >> SHIFT
                start, end = int(corner[here, 0]) << scale, int(corner[at[side], 0]) << scale
                left_to_go -= 1
            if until[side] <= row:
                return
            rows = until[side] - row
            x[side], slope[side] = start, _divide((end - start) * 2 + rows, 2 * rows)
        if row >= 0:
            first = max((min(x[0], x[1]) + _HALF) >> _FINE, 0)
            final = min((max(x[0], x[1]) + _HALF) >> _FINE, width - 1)
            for column in range(first, final + 1):
                picture[row, column] = number
        x += slope
        row += 1
