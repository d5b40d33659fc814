"""A contact sheet of a dataset: its crops with the landmarks that were found on them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emojibench import media
from emojibench.dataset.clip import Clip
from emojibench.dataset.dataset import Dataset
from emojibench.errors import UserError
from emojibench.face.draw import draw_over
from emojibench.media.contact import Group, Row, Sheet
from emojibench.registry import unknown
from emojibench.types import Image, Landmarks

SIDE = 160
"""Of each picture, pixels: landmarks are well seen, and eight clips fit on a screen."""


def check_out(out: Path, *, overwrite: bool) -> Path:
    """`out`, if a picture can be written there; raises `UserError` before the work if not."""
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UserError(f"--out {out}: expected a name that ends in .png or .jpg")
    if out.is_dir() or (out.exists() and not overwrite):
        what = "is a folder" if out.is_dir() else "is there already; add --overwrite to replace it"
        raise UserError(f"--out {out}: {what}")
    return out


def chosen(dataset: Dataset, split: str | None, clips: int | Sequence[str] | None) -> list[str]:
    """Ids of clips: of a split or of both, the first `clips` of each or those named; a split may have fewer.

    Raises:
        UserError: no such split or clip, or none at all is wanted.
    """
    splits = dataset.splits if split is None else (split,)
    there = [dataset.clip_ids(name) for name in splits]
    if isinstance(clips, int):
        if clips < 1:
            raise UserError(f"--clips: expected a number of at least 1, or clip ids, got {clips}")
        return [clip for ids in there for clip in ids[:clips]]
    known = [clip for ids in there for clip in ids]
    if strange := next((clip for clip in clips or () if clip not in known), None):
        raise UserError(f"--clips: {unknown('clip', strange, known)}")
    if not clips:
        raise UserError("--clips: expected a number of clips, or clip ids")
    return list(dict.fromkeys(clips))


def preview(dataset: Dataset, clips: Sequence[str], frames: int) -> Image:
    """Portrait and driving frames of clips, landmarks drawn over them; driving without a video is drawn on black.

    Args:
        dataset: of the clips.
        clips: ids, a row each.
        frames: driving frames of each clip, spread evenly from the first to the last.

    Raises:
        DatasetError, MediaError: a file is missing, unreadable, or not what the manifest says.
    """
    times = np.linspace(0, 1, frames)
    driving = Group(tuple(f"at {time:.0%}" for time in times), "driving, with landmarks")
    sheet = Sheet((Group(("portrait",)), driving), SIDE, labelled=True)
    return sheet.draw(_row(dataset.clip(clip), times) for clip in clips)


def _row(clip: Clip, times: NDArray[np.float64]) -> Row:
    pictures = [
        clip.portrait if clip.portrait_landmarks is None else marked(clip.portrait, clip.portrait_landmarks)
    ]
    video = None if clip.load_driving_frames is None else clip.load_driving_frames()
    for time in times:
        t = round(time * (clip.frames - 1))
        black = np.zeros((SIDE, SIDE, 3), np.uint8)
        pictures.append(marked(black if video is None else video[t], clip.driving.landmarks[t]))
    return Row(pictures, tuple(_label(clip)))


def marked(picture: Image, landmarks: Landmarks) -> Image:
    """The picture at the sheet's size, so that lines stay sharp, with landmarks (478, 3)."""
    return draw_over(media.resize(picture, SIDE), landmarks)


def _label(clip: Clip) -> Iterator[str]:
    yield clip.clip_id
    yield clip.domain
    yield clip.subject if clip.split == "self" else f"{clip.subject}, driven by {clip.driving_subject}"
    if clip.portrait_landmarks is None:
        yield "no face on the portrait"
    if (found := int(clip.driving.detected.sum())) < clip.frames:
        yield f"face in {found} of {clip.frames} frames"
