"""Faces in whole pictures: all of them, small and large ones too; and one face followed through a video.

A detector looks at a picture scaled to a fixed, small size: it misses a face that is small beside the picture. Such a
face is found on an enlarged part.
"""

from collections.abc import Sequence

import numpy as np

from emojibench.dataset import crop
from emojibench.face import Detector
from emojibench.types import Image, Landmarks

REACH = 0.75
"""Face sides that a face may move between two looks at it; one that is farther away is another face."""
_PARTS = (1, 2, 4)
"""Sides of the enlarged parts: the picture's shorter side divided by these."""
_SMALLEST = 32
"""Side of a face found on a part, pixels; what is smaller is seen in fur and foliage, too."""


def find_faces(detector: Detector, picture: Image) -> tuple[list[Landmarks], bool]:
    """All faces of a picture, and whether they were found on enlarged parts only.

    Returns:
        Landmarks (478, 3), normalised to the whole picture; where the whole picture shows none, those of its
        parts, from coarse to fine, until some show.
    """
    if found := [face.landmarks for face in detector.read_all(picture)]:
        return found, False
    size = size_of(picture)
    for squares in _parts(picture):
        faces: list[Landmarks] = []
        for square in squares:
            for glimpse in faces_within(detector, picture, square):
                # A part may cut through a face, or show it badly: what counts is a look at the whole head.
                looked = faces_within(detector, picture, crop.head_square(glimpse[None], size))
                same = nearest(looked, glimpse, size)
                if same is None or side_of(looked[same], size) < _SMALLEST:
                    continue
                if nearest(faces, looked[same], size) is None:
                    faces.append(looked[same])
        if faces:
            return faces, True
    return [], False


def faces_within(detector: Detector, picture: Image, square: crop.Square) -> list[Landmarks]:
    """All faces that show in a square of a picture, normalised to the whole picture."""
    part = crop.cut(picture, square, square.side)
    return [crop.from_square(face.landmarks, square, size_of(picture)) for face in detector.read_all(part)]


def largest(faces: Sequence[Landmarks], size: tuple[int, int]) -> Landmarks:
    """The face with the longest side, in a picture of `size` = (width, height)."""
    return max(faces, key=lambda face: side_of(face, size))


def nearest(faces: Sequence[Landmarks], to: Landmarks, size: tuple[int, int]) -> int | None:
    """Index of the face nearest to another, point by point; None where none is within `REACH`."""
    distances = [float(np.linalg.norm((face - to)[:, :2] * size, axis=1).mean()) for face in faces]
    best = min(range(len(faces)), key=distances.__getitem__, default=None)
    return best if best is not None and distances[best] <= REACH * side_of(to, size) else None


def side_of(face: Landmarks, size: tuple[int, int]) -> float:
    """Longer side of a face's bounding box, in pixels of a picture of `size` = (width, height)."""
    return float((np.ptp(face[:, :2], axis=0) * size).max())


def size_of(picture: Image) -> tuple[int, int]:
    """(width, height)."""
    return picture.shape[1], picture.shape[0]


class Follower:
    """Follows one face through the frames of a video: first the largest, then the nearest to the last."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._last: Landmarks | None = None
        self.most = 0
        """Most faces seen in one frame."""

    def find(self, frame: Image, *, thorough: bool = False) -> Landmarks | None:
        """The face (478, 3) on the next frame, or None.

        Args:
            frame: (H, W, 3), as large as all others.
            thorough: before any face was found, whether to look on enlarged parts, which takes longer.
        """
        size = size_of(frame)
        if self._last is None:
            faces = find_faces(self._detector, frame)[0] if thorough else self._read(frame)
            found = largest(faces, size) if faces else None
        else:
            faces = self._read(frame)
            chosen = nearest(faces, self._last, size)
            if chosen is None:  # too small to be seen in the whole frame, perhaps
                faces = faces_within(self._detector, frame, crop.head_square(self._last[None], size))
                chosen = nearest(faces, self._last, size)
            found = None if chosen is None else faces[chosen]
        self.most = max(self.most, len(faces))
        self._last = self._last if found is None else found
        return found

    def _read(self, frame: Image) -> list[Landmarks]:
        return [face.landmarks for face in self._detector.read_all(frame)]


def _parts(picture: Image) -> list[list[crop.Square]]:
    """Overlapping squares that cover a picture, in levels from coarse to fine."""
    width, height = size_of(picture)
    sides = [min(width, height) // divisor for divisor in _PARTS]
    return [
        [crop.Square(x, y, side) for y in _starts(height, side) for x in _starts(width, side)]
        for side in sides
        if _SMALLEST < side < max(width, height)
    ]


def _starts(length: int, side: int) -> list[int]:
    """Where intervals of `side` start that cover `length`, each overlapping the next by half at least."""
    count = 1 + -(-2 * (length - side) // side)
    return [round(i) for i in np.linspace(0, length - side, count)]
