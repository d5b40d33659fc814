"""Expression-aware landmarks (paper section 4.1): which points are drawn, how, and the masks of the FFG loss.

The contour of the face is left out, so that the driving person's face shape does not leak into the result;
the pupils are in, so that the gaze follows. Edges and colours are those of the released drawings; the ridge
of the nose, the outer lips and a visible contour are ours and optional. Which points the paper draws it does not list.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from emojibench.face.points import (
    CONTOUR,
    LEFT_BROW_EDGES,
    LEFT_LOWER_LID,
    LEFT_PUPIL,
    LEFT_UPPER_LID,
    LOWER_LIP_INNER,
    LOWER_LIP_OUTER,
    NOSE_BRIDGE,
    NOSTRILS,
    POINTS,
    RIGHT_BROW_EDGES,
    RIGHT_LOWER_LID,
    RIGHT_PUPIL,
    RIGHT_UPPER_LID,
    UPPER_LIP_INNER,
    UPPER_LIP_OUTER,
)  # fmt: skip

Frames = NDArray[np.uint8]


class Stroke(NamedTuple):
    """A chain of points drawn in one colour."""

    points: tuple[int, ...]
    colour: tuple[int, int, int]
    """RGB."""


# Order matters where strokes meet: later ones lie on top.
GROUPS: dict[str, tuple[Stroke, ...]] = {
    # Drawn in black by the released code, which hides it; a colour of our own for the variants that show it.
    "contour": (Stroke(CONTOUR, (255, 255, 255)),),
    "eyes": (
        Stroke(LEFT_LOWER_LID, (180, 200, 10)),
        Stroke(LEFT_UPPER_LID, (180, 200, 10)),
        Stroke(RIGHT_LOWER_LID, (10, 200, 180)),
        Stroke(RIGHT_UPPER_LID, (10, 200, 180)),
    ),
    "brows": (
        *(Stroke(edge, (180, 220, 10)) for edge in LEFT_BROW_EDGES),
        *(Stroke(edge, (10, 220, 180)) for edge in RIGHT_BROW_EDGES),
    ),
    "nose": (
        Stroke((*NOSE_BRIDGE, NOSTRILS[2]), (200, 60, 200)),
        Stroke(NOSTRILS, (200, 60, 200)),
    ),
    "lips": (
        Stroke(LOWER_LIP_INNER[:6], (100, 100, 30)),
        Stroke(LOWER_LIP_INNER[5:], (100, 150, 50)),
        Stroke(UPPER_LIP_INNER[:6], (120, 100, 200)),
        Stroke(UPPER_LIP_INNER[5:], (150, 120, 100)),
    ),
    "outer-lips": (
        Stroke(LOWER_LIP_OUTER, (30, 100, 220)),
        Stroke(UPPER_LIP_OUTER, (220, 100, 30)),
    ),
    "pupils": (),  # squares, drawn last
}
EXPRESSION_AWARE = ("eyes", "brows", "lips", "pupils")
"""What the released code draws."""

PUPILS = (LEFT_PUPIL, RIGHT_PUPIL)
PUPIL_COLOUR = (255, 0, 0)

EXPRESSION_POINTS = tuple(
    sorted({p for name in ("eyes", "brows", "lips", "outer-lips") for s in GROUPS[name] for p in s.points})
)


def draw(
    landmarks: NDArray[np.floating[Any]],
    size: tuple[int, int],
    *,
    groups: Iterable[str] = EXPRESSION_AWARE,
    smooth: bool = False,
) -> Frames:
    """Condition maps.

    Args:
        landmarks: (T, 478, 3) as fractions of width and height; a frame with NaN stays black.
        size: (width, height) of the maps, pixels.
        groups: keys of `GROUPS` to draw, in this order.
        smooth: anti-aliased lines at sub-pixel positions. The released code draws without (False): there an
            edge with an end outside the picture is left out; smooth lines are clipped at the border instead.

    Returns:
        (T, height, width, 3) uint8 RGB on black.
    """
    width, height = size
    groups = tuple(groups)
    unknown = set(groups) - set(GROUPS)
    if unknown:
        raise ValueError(f"unknown landmark groups {sorted(unknown)}; known: {', '.join(GROUPS)}")
    _check(landmarks)
    maps = np.zeros((len(landmarks), height, width, 3), np.uint8)
    for canvas, points in zip(maps, landmarks[..., :2].astype(np.float64), strict=True):
        if np.isnan(points).any():
            continue
        inside = ((points >= 0) & (points <= 1)).all(axis=1)
        pixels = points * (width, height)
        for group in groups:
            for stroke in GROUPS[group]:
                _draw_stroke(canvas, pixels, inside, stroke, smooth)
        if "pupils" in groups:
            for pupil in PUPILS:
                if inside[pupil]:
                    _draw_pupil(canvas, pixels[pupil], smooth)
    return maps


def _draw_stroke(
    canvas: Frames, pixels: NDArray[np.float64], inside: NDArray[np.bool_], stroke: Stroke, smooth: bool
) -> None:
    """On a canvas (H, W, 3), between points (478, 2) in pixels, those that are `inside` (478,) unless smooth."""
    chain = np.array(stroke.points)
    if smooth:
        # Pixel centres lie at +0.5; four fractional bits place the line to a sixteenth of a pixel.
        exact = np.round((np.clip(pixels[chain], -1e4, 1e4) - 0.5) * 16).astype(np.int32)
        cv2.polylines(canvas, [exact], False, stroke.colour, 1, cv2.LINE_AA, shift=4)
        return
    height, width = canvas.shape[:2]
    whole = np.minimum(np.floor(np.clip(pixels, -1, 1e6)), (width - 1, height - 1)).astype(int)
    for a, b in zip(stroke.points, stroke.points[1:], strict=False):
        if inside[a] and inside[b]:
            cv2.line(canvas, whole[a].tolist(), whole[b].tolist(), stroke.colour, 1)


def _draw_pupil(canvas: Frames, centre: NDArray[np.float64], smooth: bool) -> None:
    """A square whose side is 6 px on the released 512 px canvas, or a disc of the same width.

    The canvas is (H, W, 3), the centre (2,) in pixels.
    """
    height, width = canvas.shape[:2]
    half = max(round(width * 3 / 512), 1)
    if smooth:
        exact = np.round((centre - 0.5) * 16).astype(int)
        cv2.circle(canvas, exact.tolist(), half * 16, PUPIL_COLOUR, -1, cv2.LINE_AA, shift=4)
        return
    x, y = np.minimum(np.floor(centre), (width - 1, height - 1)).astype(int)
    canvas[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = PUPIL_COLOUR


def draw_over(picture: Frames, landmarks: NDArray[np.floating[Any]]) -> Frames:
    """A copy of a picture (H, W, 3) with all strokes of its landmarks (478, 3); none where they are NaN."""
    height, width = picture.shape[:2]
    lines = draw(landmarks[None], (width, height), groups=GROUPS)[0]
    return np.where(lines.any(axis=2, keepdims=True), lines, picture)


def expression_mask(landmarks: NDArray[np.floating[Any]], size: tuple[int, int]) -> Frames:
    """M_e of Eq. 2: the dilated points of eyes, brows and mouth, pupils left out; (T, height, width) uint8, 0 or 1.

    The paper does not state the radius; ours is .03 of the width.
    """
    width, height = size
    radius = max(round(width * 0.03), 1)
    masks = np.zeros((len(landmarks), height, width), np.uint8)
    for mask, points in zip(masks, _pixels(landmarks, size), strict=True):
        for x, y in points[list(EXPRESSION_POINTS)].tolist() if points is not None else ():
            cv2.circle(mask, (x, y), radius, (1,), -1)
    return masks


def face_mask(landmarks: NDArray[np.floating[Any]], size: tuple[int, int]) -> Frames:
    """M_f of Eq. 2: the filled contour of the projected face, forehead left out; (T, height, width) uint8, 0 or 1."""
    width, height = size
    masks = np.zeros((len(landmarks), height, width), np.uint8)
    for mask, points in zip(masks, _pixels(landmarks, size), strict=True):
        if points is not None:
            cv2.fillPoly(mask, [points[list(CONTOUR)]], (1,))
    return masks


def hold_nearest(landmarks: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Replace frames without a face by the nearest frame that has one (the earlier one of two).

    Raises:
        ValueError: wrong shape, or no frame has a face.
    """
    _check(landmarks)
    detected = np.flatnonzero(np.isfinite(landmarks).all(axis=(1, 2)))
    if len(detected) == 0:
        raise ValueError(f"landmarks: none of the {len(landmarks)} frames has a face (all NaN)")
    nearest = np.abs(np.arange(len(landmarks))[:, None] - detected).argmin(1)
    return np.asarray(landmarks[detected[nearest]])


def _pixels(landmarks: NDArray[np.floating[Any]], size: tuple[int, int]) -> list[NDArray[np.int32] | None]:
    """Whole pixel positions (478, 2) of each frame; None where it has NaN."""
    _check(landmarks)
    return [
        None if np.isnan(points).any() else np.round(np.clip(points[:, :2], -9, 9) * size).astype(np.int32)
        for points in landmarks
    ]


def _check(landmarks: NDArray[np.floating[Any]]) -> None:
    if landmarks.ndim != 3 or landmarks.shape[1:] != (POINTS, 3) or len(landmarks) == 0:
        raise ValueError(f"landmarks: expected (T, 478, 3) with T >= 1, got {landmarks.shape}")
