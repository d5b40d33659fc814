"""A portrait as every method receives it: the head, cut square out of a picture, with its landmarks."""

from typing import NamedTuple

from emojibench.dataset import crop
from emojibench.dataset.finding import find_faces, largest, nearest, size_of
from emojibench.errors import UserError
from emojibench.face import Detector
from emojibench.face.detect import Face
from emojibench.face.person import person_mask
from emojibench.face.template import flaw_of
from emojibench.types import Image, Landmarks

_BY_HAND = "place landmarks by hand with `emojibench data landmarks`"
_HELP = f"crop closer to the head, or {_BY_HAND}"


_LOOK = 256
"""Side of the picture in which a person is looked for, pixels."""
_GOES_ON = 0.02
"""Of the square's side, that the picture goes on beyond it."""
_CUT = 0.2
"""Share of an edge of the square that lies on the person."""


class NoFaceError(UserError):
    """A picture without a face that could be found."""


class Head(NamedTuple):
    """A square portrait."""

    image: Image
    """(size, size, 3)."""
    face: Face
    """Read off `image`, or placed by hand."""
    square: crop.Square
    """Where it was in the picture; its side is less than `size` if the portrait is enlarged."""
    notes: tuple[str, ...] = ()
    """What to know about it."""


def cut_head(picture: Image, size: int, detector: Detector, by_hand: Landmarks | None) -> Head:
    """Find the face, cut the head by the rule of `emojibench.dataset.crop`, read the face off the cut.

    Of several faces, the largest.

    Args:
        picture: (H, W, 3) of any size.
        size: side of the portrait, pixels.
        detector: finds the face, unless
        by_hand: landmarks (478, 3), normalised to the whole picture, say where it is.

    Raises:
        NoFaceError: the message does not name the picture.
    """
    whole = size_of(picture)
    if by_hand is not None:
        square = crop.head_square(by_hand[None], whole)
        face = Face(crop.to_square(by_hand, square, whole))
        notes = ("landmarks placed by hand", *enlarged(square, size))
        return Head(crop.cut(picture, square, size), face, square, notes)
    faces, on_parts = find_faces(detector, picture)
    if not faces:
        raise NoFaceError(f"no face found, neither in the whole picture nor on enlarged parts of it; {_HELP}")
    chosen = largest(faces, whole)
    square = crop.head_square(chosen[None], whole)
    image = crop.cut(picture, square, size)
    read = detector.read_all(image)
    same = nearest([face.landmarks for face in read], crop.to_square(chosen, square, whole), (size, size))
    if same is None:
        raise NoFaceError(f"the face found in the picture was not found again on its crop; {_HELP}")
    if same > 0:
        raise NoFaceError(
            f"{len(read)} faces, and on the crop of the largest the detector takes another one; {_HELP}"
        )
    if flaw := flaw_of(read[same].landmarks):
        raise NoFaceError(f"what the detector takes for a face is none: {flaw}; {_HELP}")
    notes = (
        *several(len(faces)),
        *(["found on an enlarged part of the picture"] if on_parts else []),
        *enlarged(square, size),
    )
    return Head(image, read[same], square, notes)


def several(faces: int) -> list[str]:
    """A note where there is more than one face."""
    return [f"{faces} faces; the largest is taken"] if faces > 1 else []


def enlarged(square: crop.Square, size: int) -> list[str]:
    """A note where a head is smaller than the frames it is stored in."""
    return [f"enlarged: the head is {square.side} pixels wide"] if square.side < size else []


def cuts_hair(picture: Image, square: crop.Square) -> list[str]:
    """A note where hair or a hat goes on above the square, or beside its upper half, and the picture shows it."""
    width, _ = size_of(picture)
    around = crop.Square(square.left - square.side // 4, square.top - square.side // 4, square.side * 3 // 2)
    scale = _LOOK / around.side
    person = person_mask(crop.cut(picture, around, _LOOK))
    left, top, right, middle = (
        round(scale * pixels)
        for pixels in (
            square.left - around.left,
            square.top - around.top,
            square.left + square.side - around.left,
            square.top + square.side // 2 - around.top,
        )
    )
    seen = _GOES_ON * square.side
    edges = (
        square.top > seen and person[top, left:right].mean(),
        square.left > seen and person[top:middle, left].mean(),
        square.left + square.side < width - seen and person[top:middle, right].mean(),
    )
    return ["the crop cuts hair or hat"] if max(edges) > _CUT else []
