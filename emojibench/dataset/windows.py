"""Windows of a video: where its clips lie, and the head, cut out of their frames and followed through them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emojibench.dataset import crop
from emojibench.dataset.finding import Follower, largest, nearest, size_of
from emojibench.dataset.heads import cuts_hair, enlarged
from emojibench.face import Detector
from emojibench.face.detect import Face, sequence_of
from emojibench.face.driving import DrivingSequence
from emojibench.types import Image, Landmarks


@dataclass(frozen=True)
class WindowPlan:
    """Where clips may lie in a video."""

    stride: int
    """Every how many-th frame is taken."""
    length: int
    """T: frames of a clip."""
    sections: tuple[tuple[int, int], ...]
    """(first, end) for each clip, disjoint; the clip starts with the first face from `first` on."""

    @classmethod
    def of(cls, count: int, *, first: int, stride: int, length: int, windows: int, seed: str) -> "WindowPlan":
        """Spread windows over a video of `count` frames, from frame `first` on.

        One window has all of it. Several get sections of equal size, as many as hold a clip, and each a place in
        its section that `seed` draws.
        """
        room, needed = max(0, count - first), length * stride
        if windows == 1 or room < needed:
            return cls(stride, length, ((first, count),))
        edges = [
            first + room * k // min(windows, room // needed) for k in range(min(windows, room // needed) + 1)
        ]
        sections = tuple(
            (begin + _draw(f"{seed}:{k}", end - begin - needed + 1), end)
            for k, (begin, end) in enumerate(pairwise(edges))
        )
        return cls(stride, length, sections)


@dataclass
class Window:
    """T frames of a video, cut to the head."""

    heads: list[Image] = field(default_factory=list)
    """T of (size, size, 3)."""
    start: int = 0
    """Number of the first in the video."""
    faces: list[Face | None] = field(default_factory=list)
    """The followed face, read off each of them."""
    strays: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """(T,) where a detector that knows nothing of the other frames takes another face."""
    notes: list[str] = field(default_factory=list)

    def driving(self, fps: float, detector: str) -> DrivingSequence:
        """Its landmarks."""
        return sequence_of(self.faces, fps=fps, size=size_of(self.heads[0]), detector=detector)


@dataclass
class _Track:
    """A face, followed through the frames of one section."""

    start: int | None = None
    faces: list[Landmarks | None] = field(default_factory=list)
    most: int = 0
    size: tuple[int, int] = (0, 0)


def survey(frames: Iterator[Image]) -> tuple[int, str]:
    """Number of frames and sha256 of their pixels; decodes to the end, so that damage anywhere is noticed."""
    digest, count = hashlib.sha256(), 0
    for frame in frames:
        digest.update(repr(frame.shape).encode())
        digest.update(frame.tobytes())
        count += 1
    return count, digest.hexdigest()


def cut_windows(
    frames: Callable[[], Iterator[Image]], plan: WindowPlan, size: int, detector: Detector, *, every: int
) -> Iterator[tuple[int, Window | str]]:
    """The windows of a video, numbered from 1, or why there is none.

    Args:
        frames: decodes the video from its start; called twice.
        plan: where the windows lie.
        size: side of the heads, pixels.
        detector: finds faces.
        every: while there is no face, every how many-th frame is searched on enlarged parts as well.
    """
    video = enumerate(frames())
    tracks = [_track(video, section, plan, detector, every) for section in plan.sections]
    video = enumerate(frames())
    for number, (section, track) in enumerate(zip(plan.sections, tracks, strict=True), start=1):
        yield number, _reason(section, track, plan) or _cut(video, track, plan, size, detector)


def follow(
    detector: Detector, frames: Iterable[Image], guides: Iterable[Landmarks | None]
) -> tuple[list[Face | None], list[bool]]:
    """One face read off each frame: the nearest to its guide (478, 3), else to the last, at first the largest.

    Returns:
        The faces, and where the detector, asked for one face alone, takes another.
    """
    found: list[Face | None] = []
    strays: list[bool] = []
    last: Landmarks | None = None
    for frame, guide in zip(frames, guides, strict=False):
        faces = detector.read_all(frame)
        seen = [face.landmarks for face in faces]
        near = guide if guide is not None else last
        if near is None and seen:
            near = largest(seen, size_of(frame))
        chosen = None if near is None else nearest(seen, near, size_of(frame))
        found.append(None if chosen is None else faces[chosen])
        strays.append(bool(faces) and chosen != 0)
        last = near if chosen is None else seen[chosen]
    return found, strays


def _track(
    video: Iterator[tuple[int, Image]],
    section: tuple[int, int],
    plan: WindowPlan,
    detector: Detector,
    every: int,
) -> _Track:
    first, end = section
    follower, track = Follower(detector), _Track()
    for index, frame in video:
        if index < first:
            continue
        if track.start is None:
            face = follower.find(frame, thorough=(index - first) % max(1, every) == 0)
            if face is not None:
                track.start, track.size = index, size_of(frame)
                track.faces.append(face)
        elif (index - track.start) % plan.stride == 0:
            track.faces.append(follower.find(frame))
        if len(track.faces) == plan.length or index == end - 1:
            break
    track.most = follower.most
    return track


def _reason(section: tuple[int, int], track: _Track, plan: WindowPlan) -> str:
    """Why a section gives no window; empty if it does."""
    first, end = section
    if first >= end:
        return f"its {end} frames end before --start"
    if track.start is None:
        return (
            f"no face in any of its {end - first} frames{f' from {first} on' if first else ''}, nor on enlarged "
            "parts of some; crop closer to the head"
        )
    if len(track.faces) < plan.length:
        return (
            f"too short: {plan.length} frames are needed; one in {plan.stride} of its {end}, from the first face on "
            f"(frame {track.start}), makes {len(track.faces)}"
        )
    return ""


def _cut(
    video: Iterator[tuple[int, Image]], track: _Track, plan: WindowPlan, size: int, detector: Detector
) -> Window:
    assert track.start is not None
    seen = np.stack([face for face in track.faces if face is not None])
    square = crop.head_square(seen, track.size)
    window = Window(start=track.start)
    last = track.start + (plan.length - 1) * plan.stride
    for index, frame in video:
        if index == track.start:
            window.notes += cuts_hair(frame, square)
        if index >= track.start and (index - track.start) % plan.stride == 0:
            window.heads.append(crop.cut(frame, square, size))
        if index == last:
            break
    guides = (None if face is None else crop.to_square(face, square, track.size) for face in track.faces)
    window.faces, strays = follow(detector, window.heads, guides)
    window.strays = np.array(strays)
    step = f", one in {plan.stride}" if plan.stride > 1 else ""
    crowd = [f"{track.most} faces; one is followed, the largest at first"] if track.most > 1 else []
    window.notes = [f"frames {track.start} to {last}{step}", *crowd, *enlarged(square, size), *window.notes]
    return window


def _draw(seed: str, below: int) -> int:
    """An integer in [0, below) that depends on nothing but the seed."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) % below
