"""One picture or video of a user's becomes files of a dataset, or is left out with the reason."""

from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from emojibench import media
from emojibench.dataset import crop, landmarks
from emojibench.dataset.cache import shared_detector
from emojibench.dataset.clip import Image, Landmarks
from emojibench.dataset.heads import NoFaceError, cut_head
from emojibench.dataset.sources import Source, manual_landmarks
from emojibench.errors import DatasetError, MediaError
from emojibench.faces.detector import Face


class Settings(BaseModel):
    """What decides how files become clips."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(256, ge=64, le=2048)
    """Side of the stored square frames, in pixels."""
    frames: int = Field(64, ge=2)
    """T: length of every driving sequence."""
    fps: float = Field(25.0, gt=0)
    """Wanted rate: every n-th frame is taken, n = max(1, round(own rate / wanted rate)); none is invented."""
    min_fps: float = Field(10.0, ge=0)
    """Videos that come out slower than this are left out."""
    min_detected: float = Field(0.9, gt=0, le=1)
    """Least share of frames with a face; the frames without one stay, with NaN landmarks."""
    pairs_per_portrait: int = Field(1, ge=0)
    """Cross clips per portrait."""
    seed: int = 0
    """Of the pairing."""
    detector: str
    """Id of the landmark detector."""


class Item(BaseModel):
    """What became of one file."""

    file: str
    kind: Literal["portrait", "driving"]
    kept: bool
    reason: str = ""
    """Why it was left out, or what to know about it."""
    id: str = ""
    subject: str = ""
    domain: str = ""


class _UnusableError(Exception):
    """Why a file is left out."""


def add_portrait(root: Path, settings: Settings, source: Source) -> Item:
    """Crop a picture to the head and store it under `root` with its landmarks."""
    try:
        note = source.problem or _store_portrait(root, settings, source)
    except (NoFaceError, MediaError, DatasetError) as why:
        return _item(source, "portrait", kept=False, reason=str(why))
    return _item(source, "portrait", kept=not source.problem, reason=note)


def add_driving(root: Path, settings: Settings, source: Source) -> Item:
    """Crop a video to the head; store T frames with their landmarks, and the first of them as a portrait."""
    try:
        note = source.problem or _store_driving(root, settings, source)
    except (_UnusableError, MediaError) as why:
        return _item(source, "driving", kept=False, reason=str(why))
    return _item(source, "driving", kept=not source.problem, reason=note)


def first_frame_id(driving_id: str) -> str:
    """Name of the portrait that is frame 0 of a driving video."""
    return f"{driving_id}.frame0"


def _item(source: Source, kind: Literal["portrait", "driving"], *, kept: bool, reason: str) -> Item:
    return Item(
        file=str(source.file),
        kind=kind,
        kept=kept,
        reason=reason,
        id=source.id,
        subject=source.subject,
        domain=source.domain,
    )


def _store_portrait(root: Path, settings: Settings, source: Source) -> str:
    by_hand = manual_landmarks(source.file)
    detector = shared_detector(settings.detector)
    head = cut_head(media.read_image(source.file), settings.size, detector, by_hand)
    made_by = settings.detector if by_hand is None else landmarks.MANUAL
    _write_portrait(root, source.id, head.image, head.face, made_by)
    small = f"enlarged: the head is {head.side} pixels wide" if head.side < settings.size else ""
    return "; ".join(filter(None, ["landmarks placed by hand" if by_hand is not None else "", small]))


def _store_driving(root: Path, settings: Settings, source: Source) -> str:
    info = media.video_info(source.file)
    if not info.fps:
        raise _UnusableError("the video does not state its frame rate")
    stride = max(1, round(info.fps / settings.fps))
    fps = info.fps / stride
    if fps < settings.min_fps:
        raise _UnusableError(f"{fps:.3g} frames per second; at least {settings.min_fps:.3g} are needed")
    start, faces, size = _first_faces(source.file, settings, stride)
    square = crop.head_square(faces, size)
    chosen = islice(media.iterate_video(source.file), start, start + settings.frames * stride, stride)
    heads = [crop.cut(frame, square, settings.size) for frame in chosen]
    driving = shared_detector(settings.detector).detect_video(heads, fps=fps)
    share = float(driving.detected.mean())
    if share < settings.min_detected or not driving.detected[0]:
        raise _UnusableError(
            f"face found in {driving.detected.sum()} of {len(driving)} frames ({share:.0%}); "
            f"{settings.min_detected:.0%} are needed, the first frame among them"
        )
    media.write_lossless(root / "driving" / f"{source.id}.mkv", heads, fps)
    landmarks.write_driving(root / "driving" / f"{source.id}.npz", driving)
    pose = None if driving.transforms is None else driving.transforms[0]
    face = Face(driving.landmarks[0], pose)
    _write_portrait(root, first_frame_id(source.id), heads[0], face, settings.detector)
    step = f", one in {stride}" if stride > 1 else ""
    return f"frames {start} to {start + (settings.frames - 1) * stride}{step}"


def _first_faces(file: Path, settings: Settings, stride: int) -> tuple[int, Landmarks, tuple[int, int]]:
    """Index of the first frame with a face, landmarks of the faces in the T frames from there, frame size.

    The video is decoded to its end, so that damage anywhere in it is noticed.
    """
    detector = shared_detector(settings.detector)
    start, looked_at, count = None, 0, 0
    size = (0, 0)
    faces: list[Landmarks] = []
    for index, frame in enumerate(media.iterate_video(file)):
        count += 1
        wanted = start is None or (index - start) % stride == 0
        if not wanted or looked_at == settings.frames:
            continue
        face = detector.detect(frame)
        if start is None and face is not None:
            start, size = index, (frame.shape[1], frame.shape[0])
        if start is not None:
            looked_at += 1
        if face is not None:
            faces.append(face)
    if start is None:
        raise _UnusableError(f"no face in any of its {count} frames")
    if looked_at < settings.frames:
        raise _UnusableError(
            f"too short: {settings.frames} frames are needed; one in {stride} of its {count}, from the first "
            f"face on (frame {start}), makes {looked_at}"
        )
    return start, np.stack(faces), size


def _write_portrait(root: Path, identity: str, head: Image, face: Face, detector: str) -> None:
    media.write_image(root / "portraits" / f"{identity}.png", head)
    landmarks.write_portrait(root / "portraits" / f"{identity}.npz", face, detector)
