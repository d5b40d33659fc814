"""Videos as pictures that a browser shows frame by frame, exactly and from disk: sheets of tiles.

A seek in a video shows the frame that the decoder likes; a tile of a sheet is one frame and no other, forwards and
backwards, in every browser. A sheet is as long as its frames allow, and WebP keeps it at a few times a video's size.
"""

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from emojibench import media
from emojibench.types import Frames, Image

SIDE = 4096
"""Largest side of a sheet: what phones still draw."""
TILE = 512
"""Largest side of a tile; larger frames are made smaller, and the page says so."""
QUALITY = 82
"""Of WebP: about 37 dB and 0.3 MB for 64 frames of 256 pixels."""
ERROR_QUALITY = 70
THUMBNAIL = 112
ERROR_SCALE = 0.25
"""Error that has the brightest colour of a map: a quarter of the range of intensities."""


def tile_side(size: int) -> int:
    """Side of the tiles of frames of `size` pixels."""
    return min(size, TILE)


def layout(frames: int, side: int) -> tuple[int, int]:
    """Columns of a sheet, and how many frames it holds at most."""
    columns = min(SIDE // side, math.ceil(math.sqrt(frames)))
    return columns, columns * columns


def sheets(frames: Frames, side: int) -> Iterator[Image]:
    """The frames as tiles of `side` pixels, row by row, on as few sheets as hold them."""
    columns, capacity = layout(len(frames), side)
    for start in range(0, len(frames), capacity):
        part = media.resize(frames[start : start + capacity], side)
        rows = math.ceil(len(part) / columns)
        sheet = np.zeros((rows * columns, side, side, 3), np.uint8)
        sheet[: len(part)] = part
        shape = (rows, columns, side, side, 3)
        yield sheet.reshape(shape).transpose(0, 2, 1, 3, 4).reshape(rows * side, columns * side, 3)


def error_maps(frames: Frames, truth: Frames, side: int) -> Frames:
    """Mean absolute difference over the channels, `side` x `side`, in the colours of matplotlib's magma.

    Black is no error; the brightest colour is an error of `ERROR_SCALE` of the range, or more.
    """
    maps = np.empty((len(frames), side, side, 3), np.uint8)
    for a, b, target in zip(frames, truth, maps, strict=True):
        error = media.resize(cv2.absdiff(a, b), side).astype(np.float32).mean(axis=2) / 255
        scaled: NDArray[np.uint8] = (np.clip(error / ERROR_SCALE, 0, 1) * 255 + 0.5).astype(np.uint8)
        target[:] = cv2.applyColorMap(scaled, cv2.COLORMAP_MAGMA)[..., ::-1]
    return maps


def thumbnail(frame: Image) -> Image:
    """A small copy of a picture."""
    return media.resize(frame, min(THUMBNAIL, frame.shape[0]))
