"""Landmark pictures as other people's methods read them; the paper's own are `emojibench.face.draw.draw`.

Both are drawn on the canvas of 512 pixels that those methods work on. A frame without a face stays black.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emojibench.types import Image, Landmarks

CANVAS = 512
"""Side of the pictures, pixels."""

# AniPortrait's groups of edges as chains of points, in its drawing order. Its colours are written into a BGR
# picture; these are the same in RGB, as they come out in its pose videos.
_OVAL = (21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397,
         288, 361, 323, 454, 356, 389, 251)  # fmt: skip
_MESH: tuple[tuple[tuple[int, ...], tuple[int, int, int]], ...] = (
    (_OVAL, (10, 200, 10)),
    ((263, 249, 390, 373, 374, 380, 381, 382, 362), (10, 200, 180)),
    ((263, 466, 388, 387, 386, 385, 384, 398, 362), (10, 200, 180)),
    ((276, 283, 282, 295, 285), (10, 220, 180)),
    ((300, 293, 334, 296, 336), (10, 220, 180)),
    ((33, 7, 163, 144, 145, 153, 154, 155, 133), (180, 200, 10)),
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (180, 200, 10)),
    ((46, 53, 52, 65, 55), (180, 220, 10)),
    ((70, 63, 105, 66, 107), (180, 220, 10)),
    ((61, 146, 91, 181, 84, 17), (20, 180, 10)),
    ((17, 314, 405, 321, 375, 291), (180, 10, 20)),
    ((78, 95, 88, 178, 87, 14), (30, 100, 100)),
    ((14, 317, 402, 318, 324, 308), (50, 150, 100)),
    ((61, 185, 40, 39, 37, 0), (100, 80, 20)),
    ((0, 267, 269, 270, 409, 291), (20, 100, 80)),
    ((78, 191, 80, 81, 82, 13), (200, 100, 120)),
    ((13, 312, 311, 310, 415, 308), (100, 120, 150)),
)
_MESH_WIDTH = 2

OPENPOSE = (
    127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356,  # jaw, from the right ear
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
    468, 473,  # pupils
)  # fmt: skip
"""The MediaPipe point nearest to each of OpenPose's 70 face points, in OpenPose's order (68 of iBUG, two pupils)."""
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
