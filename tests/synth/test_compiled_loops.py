"""The compiled loops draw what OpenCV's functions draw."""

import cv2
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

from emojibench.synth import compiled
from emojibench.synth.fill import SHIFT, fill_quads
from emojibench.synth.shade import colour_pixels

CORNER = st.tuples(st.integers(-700, 1100), st.integers(-700, 1100))


@settings(deadline=None)  # the first example compiles
@given(st.lists(CORNER, min_size=4, max_size=4), st.sampled_from([1, 4, 40]))
def test_a_quad_covers_what_opencv_fills(corners: list[tuple[int, int]], shrink: int) -> None:
    """Of any shape, folded or not, in the picture or beside it."""
    quad = np.array(corners, np.int32) // shrink
    theirs, ours = np.zeros((24, 31), np.float32), np.zeros((24, 31), np.int32)
    cv2.fillConvexPoly(theirs, quad, 1.0, cv2.LINE_8, SHIFT)
    fill_quads(quad[None], np.array([0]), ours)
    np.testing.assert_array_equal(ours, theirs)


def test_later_quads_cover_earlier_ones() -> None:
    square = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], np.int32) << SHIFT
    corners = np.stack([square, square + (4 << SHIFT)])
    for order in ([0, 1], [1, 0]):
        picture = np.zeros((16, 16), np.int32)
        fill_quads(corners, np.array(order), picture)
        assert picture[6, 6] == order[-1] + 1
        assert (picture[2, 2], picture[11, 11], picture[2, 11]) == (1, 2, 0)


def test_pixels_get_texture_times_light_plus_highlight() -> None:
    rng = np.random.default_rng(0)
    side, vertices = 64, 9
    texture = rng.integers(0, 256, (8 * vertices, 8 * vertices, 3), np.uint8)
    light = rng.integers(0, 256, (vertices, vertices, 2), np.uint8)
    tones = rng.integers(0, 256, (256, 3), np.uint8)
    background = rng.integers(0, 256, (side, side, 3), np.uint8)
    seen = rng.integers(0, 2, (side, side)).astype(np.int32)
    # One quad, from one vertex to the next, over the whole picture: column = x / side + 3, row = y / side + 5.
    slope = 1 / side
    table = np.zeros((2, 10), np.float32)
    table[1] = [slope, 0, -0.5, 0, 0, slope, -0.5, 0, 3.5, 5.5]
    picture = background.copy()
    colour_pixels(seen, table, texture, light, tones, picture)

    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    columns, rows = x * np.float32(slope) + 3, y * np.float32(slope) + 5
    paint = cv2.remap(texture, columns * 8, rows * 8, cv2.INTER_LINEAR)
    diffuse, shine = cv2.split(cv2.remap(light, columns, rows, cv2.INTER_LINEAR))
    shaded = cv2.add(cv2.multiply(paint, tones[diffuse], scale=1 / 128), cv2.merge([shine] * 3))
    np.testing.assert_array_equal(picture, np.where(seen[..., None] > 0, shaded, background))


def test_without_a_folder_to_keep_it_in_a_function_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    njit = numba.njit

    def nowhere(cache: bool = False, **others: str) -> object:
        if cache:
            raise RuntimeError("no locator available")
        return njit(**others)

    monkeypatch.setattr(numba, "njit", nowhere)

    def twice(x: float) -> float:
        return 2 * x

    fast = compiled.compiled(twice)
    assert isinstance(fast, Dispatcher)
    assert fast(3.0) == 6.0
