"""A portrait as every method receives it: the head, cut square out of a picture, with its landmarks."""

from typing import NamedTuple

from emojibench.dataset import crop
from emojibench.dataset.clip import Image, Landmarks
from emojibench.errors import UserError
from emojibench.faces import Detector
from emojibench.faces.detector import Face

_HELP = "landmarks placed by hand can lie beside it as .npz or .json"


class NoFaceError(UserError):
    """A picture without a face that could be found."""


class Head(NamedTuple):
    """A square portrait."""

    image: Image
    """(size, size, 3)."""
    face: Face
    """Read off `image`, or placed by hand."""
    side: int
    """Of the square in the picture, pixels; less than `size` if the portrait is enlarged."""


def cut_head(picture: Image, size: int, detector: Detector, by_hand: Landmarks | None) -> Head:
    """Find the face, cut the head by the rule of `emojibench.dataset.crop`, read the face off the cut.

    Args:
        picture: (H, W, 3) of any size.
        size: side of the portrait, pixels.
        detector: finds the face, unless
        by_hand: landmarks (478, 3), normalised to the whole picture, say where it is.

    Raises:
        NoFaceError: the message does not name the picture.
    """
    whole = (picture.shape[1], picture.shape[0])
    face = detector.detect(picture) if by_hand is None else by_hand
    if face is None:
        raise NoFaceError(f"no face found; {_HELP}")
    square = crop.head_square(face[None], whole)
    image = crop.cut(picture, square, size)
    if by_hand is not None:
        return Head(image, Face(crop.to_square(by_hand, square, whole)), square.side)
    found = detector.read(image)
    if found is None:
        raise NoFaceError(f"the face found in the picture was not found again on its crop; {_HELP}")
    return Head(image, found, square.side)
