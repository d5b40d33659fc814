"""Landmark pictures as other people's methods read them; the paper's own are `emojibench.face.draw.draw`.

Both are drawn on the canvas of 512 pixels that those methods work on. A frame without a face stays black.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emojibench.face.points import (
    CONTOUR,
    LEFT_BROW_EDGES,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    OPENPOSE,
    RIGHT_BROW_EDGES,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)  # fmt: skip
from emojibench.types import Image, Landmarks

CANVAS = 512
"""Side of the pictures, pixels."""

# AniPortrait's groups of edges as chains of points, in its drawing order. Its colours are written into a BGR
# picture; these are the same in RGB, as they come out in its pose videos.
_MESH: tuple[tuple[tuple[int, ...], tuple[int, int, int]], ...] = (
    (CONTOUR, (10, 200, 10)),
    (LEFT_LOWER_LID, (10, 200, 180)),
    (LEFT_UPPER_LID, (10, 200, 180)),
    *((edge, (10, 220, 180)) for edge in LEFT_BROW_EDGES),
    (RIGHT_LOWER_LID, (180, 200, 10)),
    (RIGHT_UPPER_LID, (180, 200, 10)),
    *((edge, (180, 220, 10)) for edge in RIGHT_BROW_EDGES),
    (LOWER_LIP_OUTER[:6], (20, 180, 10)),
    (LOWER_LIP_OUTER[5:], (180, 10, 20)),
    (LOWER_LIP_INNER[:6], (30, 100, 100)),
    (LOWER_LIP_INNER[5:], (50, 150, 100)),
    (UPPER_LIP_OUTER[:6], (100, 80, 20)),
    (UPPER_LIP_OUTER[5:], (20, 100, 80)),
    (UPPER_LIP_INNER[:6], (200, 100, 120)),
    (UPPER_LIP_INNER[5:], (100, 120, 150)),
)
_MESH_WIDTH = 2

_DOT = 3
_BORDER = 0.01
"""Dots nearer to the left or upper border, in pixels, stand for points that were not found."""


def draw_mesh(points: Landmarks) -> Image:
    """Contours of the face mesh as AniPortrait draws them: lines two pixels wide.

    An edge with an end outside the picture is left out.

    Args:
        points: (478, 3), x and y as fractions of width and height; NaN without a face.

    Returns:
        (512, 512, 3) uint8 RGB on black.
    """
    import cv2

    canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    if (pixels := _pixels(points)) is None:
        return canvas
    inside = ((points[:, :2] >= 0) & (points[:, :2] <= 1)).all(axis=1)
    ends = np.minimum(pixels, CANVAS - 1).tolist()
    for chain, colour in _MESH:
        for a, b in pairwise(chain):
            if inside[a] and inside[b]:
                cv2.line(canvas, ends[a], ends[b], colour, _MESH_WIDTH)
    return canvas


def draw_openpose(points: Landmarks) -> Image:
    """OpenPose's 70 face points as ControlNet's annotator draws them and MagicDance reads them: white dots.

    Body and hands, which face landmarks do not tell, are empty.

    Args:
        points: (478, 3), x and y as fractions of width and height; NaN without a face.

    Returns:
        (512, 512, 3) uint8 RGB on black.
    """
    import cv2

    canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    if (pixels := _pixels(points)) is None:
        return canvas
    for x, y in pixels[list(OPENPOSE)].tolist():
        if x > _BORDER and y > _BORDER:
            cv2.circle(canvas, (x, y), _DOT, (255, 255, 255), -1)
    return canvas


def _pixels(points: Landmarks) -> NDArray[np.int64] | None:
    """(478, 2) whole pixels, rounded down; None without a face."""
    if np.isnan(points).any():
        return None
    return np.asarray(np.floor(points[:, :2].astype(np.float64) * CANVAS), np.int64)
