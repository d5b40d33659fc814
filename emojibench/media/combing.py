"""Combed frames that nothing marks: two fields, taken at different times, woven into one picture.

Each field of a frame (its even or its odd lines) is held against the other field of the same frame, of the one before
and of the one after. In progressive video the same instant fits best, and earlier and later ones fit equally badly,
whatever the picture shows: texture, stripes and noise are the same in both directions of time. Fields of different
times fit one neighbour about as well as their own frame, and the other neighbour much worse.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
"""Brightness of a picture, (H, W)."""
COMBED = (
    "combed: its frames hold two fields of different times, though nothing marks it as interlaced; deinterlace it "
    "first (ffmpeg -i IN -vf bwdif OUT)"
)
_COLUMNS = 480
"""About so many columns of a frame are looked at."""
_LEAST_HEIGHT = 32
"""Lines below which a picture is too small to tell."""
_LEAST, _MOST = 3, 32
"""Levels by which lines must lie apart to count, and that count at most: no noise, and no single hard edge decides."""
_SECOND = 25
"""Frames that are judged together, so that a combed part of a video is found."""
_FEWEST = 8
"""Frames below which nothing is said."""


class _Field(NamedTuple):
    """Every other line of a picture, as the least and the most of three and of four lines on end; int16."""

    least3: NDArray[np.int16]
    most3: NDArray[np.int16]
    least4: NDArray[np.int16]
    most4: NDArray[np.int16]


class Combing:
    """Looks at the frames of one video, one by one."""

    def __init__(self) -> None:
        self._last: tuple[_Field, _Field] | None = None
        self._seen: list[tuple[float, float, float, float]] = []

    def look(self, grey: Gray) -> bool:
        """Take in the next frame, uint8 (H, W). Returns whether those of the last second are combed."""
        if grey.shape[0] < _LEAST_HEIGHT:
            return False
        grey = grey[:, :: max(1, grey.shape[1] // _COLUMNS)]
        new = _fields(grey)
        if (old := self._last) is not None:
            texture = _apart(*_fields(grey[::2]))
            self._seen.append((_apart(old[0], new[1]), _apart(new[0], old[1]), _apart(*new), texture))
        self._last = new
        return bool(self._seen) and len(self._seen) % _SECOND == 0 and _combed(self._seen[-_SECOND:])

    def end(self) -> bool:
        """Whether the frames are combed, all together or those of the last second."""
        enough = len(self._seen) >= _FEWEST
        return enough and (_combed(self._seen) or _combed(self._seen[-_SECOND:]))


def _combed(seen: list[tuple[float, float, float, float]]) -> bool:
    """The verdict on some frames: how far fields lie apart, upper before lower, lower before upper, and in one frame.

    Thresholds lie between what progressive videos (five real ones scaled, noisy, panned and compressed, stripes,
    gratings, scrolling, scan lines) and interlaced ones reach (made of the same at CRF 16 to 26, also telecined or
    shifted by a field): the skew is at most 0.1 and at least 0.5. Level stripes that roll by six lines a frame are as
    skewed, but show no comb within a frame.
    """
    one, other, within, texture = np.array(seen).T
    differences = one - other
    worse = max(one.mean(), other.mean()) - texture.mean()
    if abs(differences.mean()) < 0.001:  # nothing moves
        return False
    skew = abs(differences.mean()) / max(worse, 1e-9)
    steady = abs(differences.sum()) / np.abs(differences).sum()
    frames = differences.sum() ** 2 / (differences**2).sum()  # that bear the verdict
    visible = (within.mean() - texture.mean()) / max(worse, 1e-9)
    return bool(skew > 0.35 and steady > 0.7 and frames > 3 and visible > 0.02)


def _fields(grey: Gray) -> tuple[_Field, _Field]:
    lines = len(grey) // 2 * 2
    return _field(grey[0:lines:2]), _field(grey[1:lines:2])


def _field(lines: Gray) -> _Field:
    rows = lines.astype(np.int16)
    least, most = np.minimum(rows[:-1], rows[1:]), np.maximum(rows[:-1], rows[1:])
    return _Field(
        np.minimum(least[:-1], rows[2:]), np.maximum(most[:-1], rows[2:]),
        np.minimum(least[:-2], least[2:]), np.maximum(most[:-2], most[2:]),
    )  # fmt: skip


def _apart(upper: _Field, lower: _Field) -> float:
    """How far three lines of one field lie beyond the four of the other around them: levels, the mean over all places.

    Seven lines that all agree are the flank of something upright; where it moved between the fields, they part.
    """
    places = len(upper.least4)
    # Around the lower lines k, k+1, k+2 lie the upper k to k+3; around the upper k+1, k+2, k+3 the lower k to k+3.
    parts = [
        np.maximum(
            three.least3[first : first + places] - four.most4,
            four.least4 - three.most3[first : first + places],
        )
        for three, first, four in ((lower, 0, upper), (upper, 1, lower))
    ]
    return float(np.mean([np.clip(part - _LEAST, 0, _MOST).mean() for part in parts]))
