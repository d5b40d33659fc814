"""One portrait and one driving sequence become a video: what `emojibench animate` does."""

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from emojibench import media
from emojibench.dataset.cache import cache_folder, shared_detector
from emojibench.dataset.clip import Clip
from emojibench.dataset.heads import Head, NoFaceError, cut_head
from emojibench.dataset.sources import manual_landmarks, read_manual_landmarks
from emojibench.errors import MediaError, UserError
from emojibench.face import Detector, detector_id
from emojibench.face.draw import draw_over
from emojibench.face.driving import DrivingSequence
from emojibench.fye.animators import Animator
from emojibench.fye.driving import cut_to_head, heads, is_video, on_heads, read_driving
from emojibench.media.contact import Group, Row, Sheet
from emojibench.media.sound import add_sound
from emojibench.media.writing import marked
from emojibench.progress import Stage
from emojibench.types import Frames, Image

Tell = Callable[[str], None]
"""Takes a line for the user."""


def animate(
    animator: Animator,
    portrait: Path,
    driving: Path,
    out: Path,
    *,
    stage: Stage,
    tell: Tell,
    portrait_landmarks: Path | None = None,
    start: int = 0,
    frames: int | None = None,
    fps: float | None = None,
    seed: int = 0,
    detector: str = "auto",
    watermark: bool = True,
    audio: bool = True,
    side_by_side: bool = False,
) -> None:
    """Animate the head on a picture and write it as an MP4 of the animator's resolution.

    Args:
        animator: the model, ready.
        portrait: picture of any size and mode; its head is cut out square as for datasets.
        driving: video, folder of numbered pictures, landmark file of a dataset (.npz), or official motion file (.npy,
            .npz).
        out: `.mp4`; replaced if it exists (`check_out` asks first).
        stage: shows progress.
        tell: takes what the user should know of the result.
        portrait_landmarks: .npz or .json with the picture's landmarks; without it such a file beside the picture
            is taken, or else the face is detected.
        start: driving frames to skip.
        frames: driving frames to use at most; None: all.
        fps: of the result; None: the driving's own.
        seed: of the noise.
        detector: name or id of the landmark detector.
        watermark: whether each frame says that it is generated.
        audio: whether the sound of a driving video is kept.
        side_by_side: whether the video shows portrait and driving beside the result.

    Raises:
        UserError: anything about these that the user can correct; found out before the long work where possible.
        UnavailableError: the detector's file cannot be had.
    """
    reader = shared_detector(detector_id(detector))
    head = read_head(portrait, animator.resolution, reader, portrait_landmarks)
    if animator.limits and not is_procedural(portrait):
        tell(f"note: {animator.limits}")
    with stage("read driving") as progress:
        sequence = read_driving(driving, reader, start=start, frames=frames, fps=fps, progress=progress)
    clip = Clip(
        clip_id=re.sub(r"[^A-Za-z0-9._+-]", "-", f"portrait-{portrait.name}"),
        split="cross",
        domain="",
        subject=portrait.name,
        driving_subject=driving.name,
        portrait=head.image,
        portrait_landmarks=head.face.landmarks,
        driving=sequence,
        portrait_transform=head.face.transform,
    )
    if animator.takes_frames and is_video(driving):
        cut, video = cut_to_head(driving, sequence, reader, start=start, side=animator.resolution)
        clip = replace(clip, driving=cut, load_driving_frames=lambda: video)
    with stage("animate") as progress:
        try:
            frames_made = animator.animate(clip, seed, progress)
        except MemoryError as error:
            raise UserError(
                f"animate: out of memory ({error}); {animator.memory_advice} need less"
            ) from error
    with media.atomic(out) as video_file, stage("write"):
        if side_by_side:
            beside = heads(driving, sequence, start=start, side=animator.resolution)
            shown = _side_by_side(head.image, sequence, beside, frames_made, watermark=watermark)
            media.write_preview(video_file, shown, sequence.fps, watermark=False)
        else:
            media.write_preview(video_file, frames_made, sequence.fps, watermark=watermark)
        if audio and driving.is_file() and driving.suffix.lower() in media.VIDEOS:
            _keep_sound(video_file, driving, start, sequence.fps, tell)


def _side_by_side(
    portrait: Image, sequence: DrivingSequence, beside: Iterator[Image], made: Frames, *, watermark: bool
) -> Iterator[Image]:
    """Portrait, driving with its landmarks, and result, in one picture for each frame; the result bears the mark."""
    sheet = Sheet((Group(("portrait", "driving", "result")),), len(portrait))
    header = sheet.header()
    for driving, points, result in zip(beside, on_heads(sequence), made, strict=True):
        row = Row((portrait, draw_over(driving, points), marked(result) if watermark else result))
        yield np.concatenate([header, sheet.strip(row)])


def is_procedural(picture: Path) -> bool:
    """Whether a picture is a portrait of a built-in dataset."""
    return picture.resolve().is_relative_to(cache_folder().resolve())


def _keep_sound(video: Path, driving: Path, start: int, fps: float, tell: Tell) -> None:
    """Give the video the sound of the driving frames from `start` on, or tell why it has none."""
    info = media.video_info(driving)
    if info.audio and abs(fps - info.fps) > 0.01:
        tell(
            f"note: the sound is left out, since --fps {fps:g} plays {info.fps:g} frames per second at another speed"
        )
        return
    try:
        add_sound(video, driving, start=start / fps)
    except MediaError as error:
        tell(f"note: the sound is left out: {error}")


def read_head(picture: Path, size: int, detector: Detector, by_hand: Path | None) -> Head:
    """The head on a picture.

    Raises:
        UserError: unreadable picture or landmarks, or neither a face nor landmarks placed by hand.
    """
    image = media.read_image(picture)
    placed = manual_landmarks(picture) if by_hand is None else read_manual_landmarks(by_hand)
    try:
        return cut_head(image, size, detector, placed)
    except NoFaceError as error:
        raise UserError(
            f"{picture}: {error}, and name them with --portrait-landmarks where they lie elsewhere"
        ) from error


def check_out(out: Path, *, overwrite: bool) -> None:
    """Find out before the work whether its result can be kept.

    Raises:
        UserError: not an .mp4, there already, or a place that cannot be written.
    """
    if out.suffix.lower() != ".mp4":
        raise UserError(f"--out {out}: expected a name that ends in .mp4")
    if out.is_dir() or (out.exists() and not overwrite):
        what = "is a folder" if out.is_dir() else "is there already; add --overwrite to replace it"
        raise UserError(f"--out {out}: {what}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror}; choose another folder") from error
