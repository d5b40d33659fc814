"""The head crop: how a face in any picture becomes a square portrait.

Rule. The face box is the bounding box of the landmarks; the face side is its longer side (in a video: the
median's). The square's side is `HEAD` face sides, and at least `ROOM` times the longer side of the box around
all faces. Its centre is that box's, raised by `RAISE` face sides because the landmarks end at the forehead.
A square that sticks out of the picture is moved inside. One that is larger than the picture shrinks to the
picture's shorter side, but not below `ROOM`; what then still lies outside repeats the picture's edge.
A video is cut by one square for all frames, so that head movement stays in it.
"""

from dataclasses import dataclass

import numpy as np

from emojibench.media import resize
from emojibench.types import Image, Landmarks

HEAD = 1.9
ROOM = 1.2
RAISE = 0.1


@dataclass(frozen=True)
class Square:
    """A square in a picture, in pixels; it may stick out of the picture."""

    left: int
    top: int
    side: int


def head_square(landmarks: Landmarks, size: tuple[int, int]) -> Square:
    """The square that the rule above gives.

    Args:
        landmarks: (T, 478, 3) normalised; NaN frames are passed over, at least one is not NaN.
        size: (width, height) of the picture.
    """
    width, height = size
    seen = landmarks[~np.isnan(landmarks).any(axis=(1, 2))]
    points = seen[:, :, :2].astype(np.float64) * (width, height)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    face = float(np.median((points.max(axis=1) - points.min(axis=1)).max(axis=1)))
    room = ROOM * float((high - low).max())
    side = max(HEAD * face, room)
    if side > min(width, height):
        side = max(float(min(width, height)), room)
    centre = (low + high) / 2 - (0, RAISE * face)
    whole = max(1, round(side))
    left, top = (round(float(middle) - whole / 2) for middle in centre)
    return Square(_moved_inside(left, whole, width), _moved_inside(top, whole, height), whole)


def cut(image: Image, square: Square, size: int) -> Image:
    """The square of the picture, resized to (size, size, 3); pixels outside repeat the picture's edge."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(square.top, square.top + square.side), 0, height - 1)
    columns = np.clip(np.arange(square.left, square.left + square.side), 0, width - 1)
    return resize(np.ascontiguousarray(image[rows[:, None], columns]), size)


def to_square(landmarks: Landmarks, square: Square, size: tuple[int, int]) -> Landmarks:
    """Landmarks (478, 3) of a picture of `size` = (width, height), normalised to the square instead."""
    width, height = size
    pixels = landmarks * np.array([width, height, width], np.float32)
    origin = np.array([square.left, square.top, 0], np.float32)
    return np.asarray((pixels - origin) / np.float32(square.side), np.float32)


def from_square(landmarks: Landmarks, square: Square, size: tuple[int, int]) -> Landmarks:
    """Landmarks (478, 3) normalised to the square, normalised to the picture of `size` = (width, height) instead."""
    width, height = size
    origin = np.array([square.left, square.top, 0], np.float32)
    pixels = landmarks * np.float32(square.side) + origin
    return np.asarray(pixels / np.array([width, height, width], np.float32), np.float32)


def _moved_inside(start: int, side: int, length: int) -> int:
    """Start of an interval moved into [0, length]; centred where it does not fit."""
    return (length - side) // 2 if side > length else min(max(start, 0), length - side)
