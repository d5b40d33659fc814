"""What drives a portrait in `emojibench animate`: videos, and files of landmarks."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path

import numpy as np

from emojibench import media
from emojibench.dataset import crop, landmarks
from emojibench.dataset.fye_motion import read_fye_motion
from emojibench.dataset.windows import follow
from emojibench.errors import UserError
from emojibench.face import Detector
from emojibench.face.detect import sequence_of
from emojibench.face.driving import DrivingSequence
from emojibench.files.arrays import npz_names
from emojibench.methods import Progress
from emojibench.types import Frames, Image, Landmarks

_LANDMARKS = (".npy", ".npz")
"""Suffixes of driving without frames."""
UNSTATED_FPS = 25.0
"""Of official motion files, which do not state their rate."""


def read_driving(
    file: Path,
    detector: Detector,
    *,
    start: int,
    frames: int | None,
    fps: float | None,
    progress: Progress,
) -> DrivingSequence:
    """Driving frames `start` to `start + frames` of a video or a landmark file.

    Raises:
        UserError: unknown kind of file, unreadable, no frames in that range or no face in any, no frame rate.
    """
    stop = None if frames is None else start + frames
    check_kind(file)
    if not is_video(file):
        sequence = _part(_from_landmarks(file), start, stop)
        sequence = sequence if fps is None else replace(sequence, fps=fps)
    else:
        sequence = _from_video(file, detector, start, stop, fps, progress)
    if not len(sequence):
        raise _nothing(file, start)
    if not sequence.detected.any():
        raise UserError(
            f"{file}: no face in any of {len(sequence)} frames; choose other driving or other frames"
        )
    return sequence


def _from_video(
    file: Path, detector: Detector, start: int, stop: int | None, fps: float | None, progress: Progress
) -> DrivingSequence:
    info = media.video_info(file)
    for note in info.notes:
        print(f"{file}: {note}", file=sys.stderr)
    rate = fps or info.fps
    if not rate:
        raise UserError(f"{file}: the video does not state its frame rate; give it with --fps")
    total = max(1, (info.frames if stop is None else min(stop, info.frames or stop)) - start)

    def wanted() -> Iterator[Image]:
        done = 0
        for done, frame in enumerate(islice(media.iterate_video(file), start, stop), start=1):
            yield frame
            progress(done, max(done, total))
        if not done:
            raise _nothing(file, start)

    faces, _ = follow(detector, wanted(), repeat(None))
    return sequence_of(faces, fps=rate, size=(info.width, info.height), detector=detector.id)


def _from_landmarks(file: Path) -> DrivingSequence:
    return read_fye_motion(file, fps=UNSTATED_FPS) if _is_official(file) else landmarks.read_driving(file)


def _is_official(file: Path) -> bool:
    """Whether a file is, or seems to be, an official motion file or its pickle-free twin."""
    return file.suffix == ".npy" or "lmks" in npz_names(file)


def _part(sequence: DrivingSequence, start: int, stop: int | None) -> DrivingSequence:
    part = slice(start, stop)
    return replace(
        sequence,
        landmarks=sequence.landmarks[part],
        transforms=None if sequence.transforms is None else sequence.transforms[part],
        blendshapes=None if sequence.blendshapes is None else sequence.blendshapes[part],
    )


def _nothing(file: Path, start: int) -> UserError:
    return UserError(f"{file}: no driving frames from frame {start} on; the file is shorter, lower --start")


def check_kind(driving: Path) -> None:
    """Raise `UserError` where neither frames nor landmarks are to be expected of a driving file, by its name."""
    if driving.is_dir() or driving.suffix.lower() in media.VIDEOS or driving.suffix in _LANDMARKS:
        return
    known = ", ".join(sorted({*media.VIDEOS, *_LANDMARKS}))
    raise UserError(
        f"{driving}: unknown kind of driving; expected one of {known}, or a folder of numbered pictures"
    )


def is_video(driving: Path) -> bool:
    """Whether there are frames, and not only landmarks."""
    return driving.suffix not in _LANDMARKS


def heads(driving: Path, sequence: DrivingSequence, *, start: int, side: int) -> Iterator[Image]:
    """The driving frames, cut to the head by the rule of datasets; of landmarks alone, black pictures.

    Args:
        driving: what `sequence` was read from, from frame `start` on.
        sequence: its landmarks; at least one frame has a face.
        start: frames that were skipped.
        side: of the pictures, pixels.
    """
    if not is_video(driving):
        yield from repeat(np.zeros((side, side, 3), np.uint8), len(sequence))
        return
    square = crop.head_square(sequence.landmarks, sequence.size)
    for frame in islice(media.iterate_video(driving), start, start + len(sequence)):
        yield crop.cut(frame, square, side)


def on_heads(sequence: DrivingSequence) -> Landmarks:
    """Landmarks (T, 478, 3), normalised to the squares that `heads` cuts."""
    square = crop.head_square(sequence.landmarks, sequence.size)
    return np.stack([crop.to_square(points, square, sequence.size) for points in sequence.landmarks])


def cut_to_head(
    driving: Path, sequence: DrivingSequence, detector: Detector, *, start: int, side: int
) -> tuple[DrivingSequence, Frames]:
    """Driving as clips of datasets have it: frames (T, side, side, 3), and landmarks that were read off them.

    Raises:
        UserError: the face is not found again on the cut.
    """
    frames = np.stack(list(heads(driving, sequence, start=start, side=side)))
    found = sequence.detected
    guides = (points if face else None for points, face in zip(on_heads(sequence), found, strict=True))
    faces, _ = follow(detector, frames, guides)
    cut = sequence_of(faces, fps=sequence.fps, size=(side, side), detector=detector.id)
    if not cut.detected.any():
        raise UserError(
            f"{driving}: the face is not found again on the cut head; crop closer, or choose other driving"
        )
    return cut, frames
