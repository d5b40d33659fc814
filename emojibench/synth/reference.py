"""What the renderer drew when the built-in datasets were made: mean colours of two pictures of every sequence.

They stand for the pixels in the datasets' digests, so that no version of a library has to: a release of numpy or
OpenCV that draws the same changes no digest. And a sequence is held against them before its files are made: a
release that draws anything else is refused. `python -m emojibench.synth.reference` writes them anew, where the
renderer changes on purpose.
"""

import hashlib
from collections.abc import Sequence as Several
from functools import lru_cache
from pathlib import Path

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from emojibench.errors import DatasetError
from emojibench.synth.render import render
from emojibench.synth.sequences import FRAMES, Sequence, portrait_state, sequences

Cells = NDArray[np.uint16]
"""(pictures, 4, 4, RGB) mean colours of a 4 x 4 grid, in 256ths of a level."""

FILE = Path(__file__).with_name("reference.npy")
GRID = 4
TOLERANCE = 0.1
"""Levels that a cell's mean may differ by. A cell has 4096 pixels; processors round a few of them the other way."""


def digest(count: int) -> str:
    """sha256 hex of the reference of the first `count` sequences of `synth`."""
    return hashlib.sha256(known()[:count].astype("<u2").tobytes()).hexdigest()


def check(index: int) -> None:
    """See to it that sequence `index` of `synth` is drawn as it always was, at whatever size it is wanted.

    Raises:
        DatasetError: other identities, motions or pixels come out here, and numbers could not be compared.
    """
    off = _deviation(index)
    if off > TOLERANCE:
        libraries = f"numpy {np.__version__}, numba {numba.__version__}, OpenCV {cv2.__version__}"
        raise DatasetError(
            f"sequence {index} of the built-in datasets comes out otherwise here (mean colours are up to {off:.1f} of "
            f"255 levels off), so its numbers could not be compared with anybody's; this is {libraries}: install the "
            "versions of constraints.txt"
        )


@lru_cache(maxsize=1024)
def _deviation(index: int) -> float:
    here = drawn([_sequences()[index]])[0].astype(np.float64)
    return float(np.abs(here - known()[index]).max() / 256)


def drawn(chosen: Several[Sequence]) -> NDArray[np.uint16]:
    """(sequences, 2, 4, 4, 3): `Cells` of the neutral portrait and the middle frame of each."""
    pictures = (
        [render(s.identity, state) for state in (portrait_state(s), s.motion.at(FRAMES // 2))] for s in chosen
    )
    return np.array([[_cells(picture) for picture in pair] for pair in pictures], np.uint16)


def _cells(picture: NDArray[np.uint8]) -> Cells:
    means = cv2.resize(picture.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(np.round(means * 256), np.uint16)


@lru_cache(maxsize=1)
def known() -> NDArray[np.uint16]:
    """(500, 2, 4, 4, 3): as `drawn`, for all of `synth`."""
    return np.asarray(np.load(FILE, allow_pickle=False))


@lru_cache(maxsize=1)
def _sequences() -> list[Sequence]:
    return sequences("synth")


if __name__ == "__main__":
    np.save(FILE, drawn(_sequences()))
