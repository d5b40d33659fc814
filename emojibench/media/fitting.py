"""The one rule by which frames of another size come to the protocol's."""

from emojibench.errors import MediaError
from emojibench.media.images import resize
from emojibench.types import Frames


def fit(frames: Frames, size: tuple[int, int]) -> tuple[Frames, str]:
    """Frames at `size` (width, height), and a note that says how they were resized (empty: not at all).

    Raises:
        MediaError: the sides have another ratio, so that a resize would squash the face.
    """
    note = resizing((frames.shape[2], frames.shape[1]), size)
    return resize(frames, size), note


def resizing(given: tuple[int, int], size: tuple[int, int]) -> str:
    """How frames of a size (width, height) come to another, for the notes; empty if they have it.

    Raises:
        MediaError: the sides have another ratio, so that a resize would squash the face.
    """
    if given == size:
        return ""
    (width, height), (wanted_width, wanted_height) = given, size
    if abs(width * wanted_height - height * wanted_width) > 0.02 * height * wanted_width:
        raise MediaError(
            f"expected frames of {wanted_width}x{wanted_height} pixels or the same ratio of sides, got "
            f"{width}x{height}; crop the videos as the dataset's portraits are"
        )
    filter_ = "area" if wanted_width * wanted_height < width * height else "bicubic"
    return f"resized from {width}x{height} ({filter_})"
