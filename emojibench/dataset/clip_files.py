"""The files that somebody else's program can have of a clip: what each is, and how it is written."""

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from emojibench import media
from emojibench.dataset import landmarks
from emojibench.dataset.clip import Clip
from emojibench.dataset.fye_motion import write_fye_motion
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import DatasetError
from emojibench.face import peer_maps as drawing
from emojibench.face.detect import Face
from emojibench.face.driving import DrivingSequence
from emojibench.media.sound import RATE, write_wav
from emojibench.types import Frames, Image, Landmarks


class ClipContent:
    """A clip and what is worked out from it, once."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.fps = clip.driving.fps
        height, width = clip.portrait.shape[:2]
        self.size = (width, height)

    @cached_property
    def driving(self) -> Frames:
        """Driving frames; `LeftOutError` where the dataset has none."""
        if self.clip.load_driving_frames is None:
            raise LeftOutError("the dataset has landmarks of this driving sequence, and no frames")
        return self.clip.load_driving_frames()

    @cached_property
    def targets(self) -> Landmarks:
        """Target landmarks; `LeftOutError` where the portrait or the driving sequence has no face."""
        try:
            return target_landmarks(self.clip)
        except (DatasetError, ValueError) as error:  # no face on the portrait, or in any driving frame
            raise LeftOutError(str(error)) from error

    def drawn(self, draw: Callable[[Landmarks], Image]) -> Iterable[Image]:
        """One picture for each frame; fails now if there is nothing to draw."""
        return map(draw, self.targets)


class LeftOutError(Exception):
    """A file that this clip cannot have; the message says why."""


class _File(NamedTuple):
    what: str
    write: Callable[[ClipContent, Path], None]


def _video(path: Path, frames: Iterable[Image], fps: float) -> None:
    media.write_lossless(path, frames, fps)


def _pictures(folder: Path, frames: Iterable[Image]) -> None:
    for number, frame in enumerate(frames):
        media.write_image(folder / f"{number:06d}.png", frame)


def _driving_landmarks(content: ClipContent, path: Path) -> None:
    landmarks.write_driving(path, content.clip.driving)


def _portrait_landmarks(content: ClipContent, path: Path) -> None:
    clip = content.clip
    points = clip.portrait_landmarks
    face = None if points is None else Face(points, clip.portrait_transform)
    landmarks.write_portrait(path, face, clip.driving.detector)


def _target_landmarks(content: ClipContent, path: Path) -> None:
    driving = content.clip.driving
    landmarks.write_driving(
        path, DrivingSequence(content.targets, driving.fps, content.size, driving.detector)
    )


def _motion(content: ClipContent, path: Path) -> None:
    try:
        write_fye_motion(path, content.clip.driving)
    except DatasetError as error:
        raise LeftOutError(str(error)) from error


def _sound(content: ClipContent, path: Path) -> None:
    load = content.clip.load_driving_sound
    if load is None:
        raise LeftOutError("the dataset has no sound of this driving sequence")
    write_wav(path, load())


def _expression_map(points: Landmarks) -> Image:
    from emojibench.face.draw import draw

    picture: Image = draw(points[None], (drawing.CANVAS, drawing.CANVAS))[0]
    return picture


_DRAWN = f"{drawing.CANVAS}x{drawing.CANVAS}, drawn at the target landmarks; black without a face"
FILES: dict[str, _File] = {
    "portrait.png": _File("portrait, RGB", lambda s, path: media.write_image(path, s.clip.portrait)),
    "driving.mkv": _File("driving frames, lossless RGB (FFV1)", lambda s, path: _video(path, s.driving, s.fps)),
    "driving.mp4": _File(
        "driving frames, lossy (H.264, yuv420p, CRF 18)",
        lambda s, path: media.write_preview(path, s.driving, s.fps, watermark=False),
    ),
    "frames": _File("driving frames as PNG, from 000000.png on", lambda s, path: _pictures(path, s.driving)),
    "landmarks.npz": _File("driving landmarks, fractions of the driving frames", _driving_landmarks),
    "portrait_landmarks.npz": _File("landmarks of the portrait, fractions of it", _portrait_landmarks),
    "target_landmarks.npz": _File(
        "where the face should be, fractions of the portrait: self: the driving landmarks; cross: the driving "
        "motion aligned to the portrait",
        _target_landmarks,
    ),
    "motion.npy": _File("driving motion as Follow-Your-Emoji's official code reads it (a pickle)", _motion),
    "maps.mkv": _File(
        f"expression-aware landmark maps of Follow-Your-Emoji, lossless; {_DRAWN}",
        lambda s, path: _video(path, s.drawn(_expression_map), s.fps),
    ),
    "mesh.mkv": _File(
        f"face mesh contours as AniPortrait draws them, lossless; {_DRAWN}",
        lambda s, path: _video(path, s.drawn(drawing.draw_mesh), s.fps),
    ),
    "openpose": _File(
        f"OpenPose face maps as MagicDance reads them, PNG, from 000000.png on; {_DRAWN}",
        lambda s, path: _pictures(path, s.drawn(drawing.draw_openpose)),
    ),
    "sound.wav": _File(f"what is heard during the driving sequence, WAV, mono, {RATE} Hz, 16 bits", _sound),
}  # fmt: skip
"""Name to content; those without a suffix are folders."""
