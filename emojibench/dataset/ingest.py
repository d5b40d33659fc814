"""One picture or video of a user's becomes files of a dataset, or is left out with the reason."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from emojibench import media
from emojibench.dataset import landmarks, sounds
from emojibench.dataset.cache import shared_detector
from emojibench.dataset.heads import cut_head, cuts_hair
from emojibench.dataset.motion import HARDLY, motion_of
from emojibench.dataset.sources import Source, manual_landmarks, shown
from emojibench.dataset.windows import WindowPlan, cut_windows, survey
from emojibench.errors import UserError, WriteError
from emojibench.face.detect import Face
from emojibench.types import Image

Kind = Literal["portrait", "driving"]


class Settings(BaseModel):
    """What decides how files become clips."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(256, ge=64, le=2048)
    """Side of the stored square frames, in pixels."""
    frames: int = Field(64, ge=2)
    """T: length of every driving sequence."""
    fps: float = Field(25.0, gt=0, allow_inf_nan=False)
    """Wanted rate: every n-th frame is taken, n = max(1, round(own rate / wanted rate)); none is invented."""
    min_fps: float = Field(10.0, ge=0, allow_inf_nan=False)
    """Videos that come out slower than this are left out."""
    min_detected: float = Field(0.9, gt=0, le=1)
    """Least share of frames with a face; the frames without one stay, with NaN landmarks."""
    windows: int = Field(1, ge=1)
    """Clips per video, spread over it; one alone starts with the first face."""
    start: float = Field(0.0, ge=0, le=1e6)
    """Seconds into a video, before which nothing is taken."""
    sound: bool = False
    """Whether the sound of driving videos is kept."""
    pairs_per_portrait: int = Field(1, ge=0)
    """Cross clips per portrait."""
    seed: int = 0
    """Of the pairing, and of where windows lie."""
    detector: str
    """Id of the landmark detector."""


class Item(BaseModel):
    """What became of one file, or of one window of a video."""

    file: str
    kind: Kind
    kept: bool
    reason: str = ""
    """Why it was left out, or what to know about it."""
    id: str = ""
    subject: str = ""
    domain: str = ""
    content: str = ""
    """sha256 of the file's decoded pixels."""
    motion: float | None = None
    """Of a driving clip, eye distances; see `emojibench.dataset.motion`."""
    sound: bool = False
    """Whether its sound was kept."""


def add_portrait(root: Path, settings: Settings, source: Source) -> list[Item]:
    """Crop a picture to the head and store it under `root` with its landmarks."""
    return _outcomes("portrait", source, _store_portrait(root, settings, source))


def add_driving(root: Path, settings: Settings, source: Source) -> list[Item]:
    """Crop a video to the head; store each window's frames with their landmarks, and the first as a portrait."""
    return _outcomes("driving", source, _store_driving(root, settings, source))


def sound_of(driving_id: str) -> str:
    """Where the sound of a driving video is, below the dataset folder."""
    return f"driving/{driving_id}.wav"


def first_frame_id(driving_id: str) -> str:
    """Name of the portrait that is frame 0 of a driving video."""
    return f"{driving_id}.frame0"


def _outcomes(kind: Kind, source: Source, stored: Iterator[Item]) -> list[Item]:
    """What was stored, and why the rest was not. Whatever a file makes go wrong, it is that file's alone."""
    if source.problem:
        return [_item(kind, source, source.id, kept=False, reason=source.problem)]
    items: list[Item] = []
    try:
        items.extend(stored)
    except WriteError:
        raise
    except UserError as why:
        items.append(_item(kind, source, source.id, kept=False, reason=str(why)))
    except Exception as error:
        reason = f"cannot be used: {type(error).__name__}: {error}"
        items.append(_item(kind, source, source.id, kept=False, reason=reason))
    return items


def _item(
    kind: Kind,
    source: Source,
    identity: str,
    *,
    kept: bool,
    reason: str,
    content: str = "",
    motion: float | None = None,
    sound: bool = False,
) -> Item:
    return Item(
        file=shown(source.file),
        kind=kind,
        kept=kept,
        reason=reason.encode("utf-8", "backslashreplace").decode(),
        id=identity,
        subject=source.subject,
        domain=source.domain,
        content=content,
        motion=motion,
        sound=sound,
    )


def _store_portrait(root: Path, settings: Settings, source: Source) -> Iterator[Item]:
    by_hand = manual_landmarks(source.file)
    detector = shared_detector(settings.detector)
    picture = media.read_image(source.file)
    head = cut_head(picture, settings.size, detector, by_hand)
    made_by = settings.detector if by_hand is None else landmarks.MANUAL
    _write_portrait(root, source.id, head.image, head.face, made_by)
    reason = "; ".join([*head.notes, *cuts_hair(picture, head.square)])
    content = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()
    yield _item("portrait", source, source.id, kept=True, reason=reason, content=content)


def _store_driving(root: Path, settings: Settings, source: Source) -> Iterator[Item]:
    info = media.video_info(source.file)
    rate = settings.fps if source.file.is_dir() else info.fps  # pictures have no rate of their own
    if not rate:
        raise UserError("the video does not state its frame rate")
    stride = max(1, round(rate / settings.fps))
    fps = rate / stride
    if fps < settings.min_fps:
        raise UserError(f"{fps:.3g} frames per second; at least {settings.min_fps:.3g} are needed")

    def frames() -> Iterator[Image]:
        return media.iterate_video(source.file)

    count, content = survey(frames())
    plan = WindowPlan.of(
        count,
        first=round(settings.start * rate),
        stride=stride,
        length=settings.frames,
        windows=settings.windows,
        seed=f"{settings.seed}:{source.id}",
    )
    detector = shared_detector(settings.detector)
    several = settings.windows > 1
    for number, window in cut_windows(frames, plan, settings.size, detector, every=round(rate)):
        identity = f"{source.id}.w{number}" if several else source.id
        if isinstance(window, str):
            yield _item("driving", source, identity, kept=False, reason=window)
            continue
        driving = window.driving(fps, detector.id)
        share = float((driving.detected & ~window.strays).mean())
        if share < settings.min_detected or not driving.detected[0] or window.strays[0]:
            taken = (
                f"; in {window.strays.sum()} the detector takes another face" if window.strays.any() else ""
            )
            reason = (
                f"face found in {driving.detected.sum()} of {len(driving)} frames ({share:.0%}{taken}); "
                f"{settings.min_detected:.0%} are needed, the first frame among them"
            )
            yield _item("driving", source, identity, kept=False, reason=reason)
            continue
        media.write_lossless(root / "driving" / f"{identity}.mkv", window.heads, fps)
        landmarks.write_driving(root / "driving" / f"{identity}.npz", driving)
        pose = None if driving.transforms is None else driving.transforms[0]
        face = Face(driving.landmarks[0], pose)
        _write_portrait(root, first_frame_id(identity), window.heads[0], face, settings.detector)
        motion = motion_of(driving)
        still = (
            [f"hardly moves ({motion:.3f} eye distances)"] if motion is not None and motion < HARDLY else []
        )
        sound = settings.sound and sounds.keep(
            source.file, root / sound_of(identity), driving, start=window.start / rate
        )
        silent = ["has no sound"] if settings.sound and not sound else []
        reason = "; ".join([*window.notes, *info.notes, *still, *silent])
        yield _item(
            "driving", source, identity, kept=True, reason=reason, content=content, motion=motion, sound=sound
        )
    if settings.windows > len(plan.sections):
        reason = f"room for {len(plan.sections)} of {settings.windows} windows"
        yield _item("driving", source, f"{source.id}.w{settings.windows}", kept=False, reason=reason)


def _write_portrait(root: Path, identity: str, head: Image, face: Face, detector: str) -> None:
    media.write_image(root / "portraits" / f"{identity}.png", head)
    landmarks.write_portrait(root / "portraits" / f"{identity}.npz", face, detector)
