"""What training sees: sequences of one identity each, and how batches are drawn from them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emojibench.face.points import NOSE_TIP, OUTER_EYE_CORNERS
from emojibench.face.warp import Warp

Indices = NDArray[np.int64]
Cut = tuple[slice, slice]


@dataclass(frozen=True)
class Pairs:
    """N pairs of a portrait and a frame to make of it: indices (N,) into a `TrainingSet`."""

    sequences: Indices
    references: Indices
    frames: Indices


@dataclass(frozen=True)
class TrainingSet:
    """S sequences of F frames each: one identity, one motion."""

    frames: NDArray[np.uint8]
    """(S, F, H, W, 3) RGB at the preset's resolution; a memory map will do."""
    landmarks: NDArray[np.float32]
    """(S, F, 478, 3), no NaN."""
    portraits: int
    """R, frames of each sequence that serve as portraits: the first ones."""
    windows: tuple[tuple[int, ...], ...]
    """Frames that phase 2 generates together: consecutive ones."""
    keyframes: tuple[tuple[int, ...], ...]
    """The same, far apart: first stage of the progressive strategy."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 5 or self.frames.dtype != np.uint8 or self.frames.shape[-1] != 3:
            raise ValueError(
                f"frames: expected uint8 (S, F, H, W, 3), got {self.frames.dtype} {self.frames.shape}"
            )
        if self.landmarks.shape != (*self.frames.shape[:2], 478, 3):
            raise ValueError(
                f"landmarks: expected {(*self.frames.shape[:2], 478, 3)}, got {self.landmarks.shape}"
            )
        if not 1 <= self.portraits <= self.frames.shape[1]:
            raise ValueError(f"portraits: expected 1 to {self.frames.shape[1]}, got {self.portraits}")
        if not np.isfinite(self.landmarks).all():
            raise ValueError("landmarks: expected finite values; drop sequences with undetected faces first")

    def __getitem__(self, part: slice) -> "TrainingSet":
        """Some of the sequences."""
        return replace(self, frames=self.frames[part], landmarks=self.landmarks[part])

    def warped(self, sequence: int, portrait: int, frames: Iterable[int]) -> NDArray[np.uint8]:
        """A frame of a sequence warped to the landmarks of N others, (N, H, W, 3).

        Computed each time: ten milliseconds a frame at 256 x 256, where keeping it would take ten megabytes a sequence.
        """
        points = self.landmarks[sequence]
        warp = Warp(np.asarray(self.frames[sequence, portrait]), points[portrait])
        return np.stack([warp(points[frame]) for frame in frames])

    def turn(self, sequence: int, portrait: int, frames: Indices) -> float:
        """How far a head is turned from its portrait's pose, the mean over F frames (F,).

        Measured by where the nose's tip is between the outer eye corners, in eye distances: 0.1 is some 10 degrees.
        """
        points = self.landmarks[sequence, [portrait, *frames], :, :2]
        right, left = (points[:, corner] for corner in OUTER_EYE_CORNERS)
        across = left - right
        away = ((points[:, NOSE_TIP] - (right + left) / 2) * across).sum(1) / (across**2).sum(1)
        return float(np.abs(away[1:] - away[0]).mean())

    def pairs(self, rng: np.random.Generator, portraits: int, targets: int = 1) -> Pairs:
        """Random portraits, and `targets` random frames of each."""
        sequences = np.repeat(rng.integers(0, len(self.frames), portraits), targets)
        references = np.repeat(rng.integers(0, self.portraits, portraits), targets)
        return Pairs(sequences, references, rng.integers(0, self.frames.shape[1], len(sequences)))

    def some_frames(self, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
        """Random frames (count, H, W, 3)."""
        pairs = self.pairs(rng, count)
        return np.stack([self.frames[s, f] for s, f in zip(pairs.sequences, pairs.frames, strict=True)])
