"""One portrait and one driving sequence become a video: what `emojibench animate` does."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path

from emojibench import media
from emojibench.dataset import landmarks
from emojibench.dataset.cache import cache_folder, shared_detector
from emojibench.dataset.clip import Clip
from emojibench.dataset.fye_motion import read_fye_motion
from emojibench.dataset.heads import Head, NoFaceError, cut_head
from emojibench.dataset.sources import manual_landmarks, read_manual_landmarks
from emojibench.dataset.targets import target_landmarks
from emojibench.dataset.windows import follow
from emojibench.errors import MediaError, UserError
from emojibench.face import Detector, detector_id
from emojibench.face.detect import sequence_of
from emojibench.face.driving import DrivingSequence
from emojibench.files.arrays import npz_names
from emojibench.fye.animators import LoadedPreset
from emojibench.media.sound import add_sound
from emojibench.methods import Progress
from emojibench.progress import Stage
from emojibench.types import Image

Tell = Callable[[str], None]
"""Takes a line for the user."""
_LANDMARKS = (".npy", ".npz")
"""Suffixes of driving without frames."""
UNSTATED_FPS = 25.0
"""Of official motion files, which do not state their rate."""


def animate(
    animator: LoadedPreset,
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
        clip_id=portrait.name,
        split="cross",
        domain="",
        subject=portrait.name,
        driving_subject=driving.name,
        portrait=head.image,
        portrait_landmarks=head.face.landmarks,
        driving=sequence,
        portrait_transform=head.face.transform,
    )
    with stage("animate") as progress:
        try:
            result = animator.call(
                head.image,
                target_landmarks(clip),
                portrait_landmarks=head.face.landmarks,
                seed=seed,
                progress=progress,
            )
        except ValueError as error:
            raise UserError(f"animate: {error}") from error
        except MemoryError as error:
            raise UserError(
                f"animate: out of memory ({error}); {animator.memory_advice} need less"
            ) from error
    with media.atomic(out) as video, stage("write"):
        media.write_preview(video, result.frames, sequence.fps, watermark=watermark)
        if audio and driving.is_file() and driving.suffix.lower() in media.VIDEOS:
            _keep_sound(video, driving, start, sequence.fps, tell)


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
    if file.suffix in _LANDMARKS:
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
