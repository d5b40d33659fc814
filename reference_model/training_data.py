"""What training sees: sequences of one identity each, and how batches are drawn from them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference_model.landmarks import expression_mask
from reference_model.pipeline import to_tensor

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
    moved: NDArray[np.uint8]
    """(S, R, F, H, W, 3): frame r of the sequence, r < R, warped to the landmarks of frame f. The first R frames are
    those that serve as portraits."""
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
        wanted = (len(self.frames), self.moved.shape[1], *self.frames.shape[1:])
        if self.moved.shape != wanted or self.moved.dtype != np.uint8:
            raise ValueError(
                f"moved: expected uint8 (S, R, F, H, W, 3), got {self.moved.dtype} {self.moved.shape}"
            )
        if not np.isfinite(self.landmarks).all():
            raise ValueError("landmarks: expected finite values; drop sequences with undetected faces first")

    def pairs(self, rng: np.random.Generator, portraits: int, targets: int = 1) -> Pairs:
        """Random portraits, and `targets` random frames of each."""
        sequences = np.repeat(rng.integers(0, len(self.frames), portraits), targets)
        references = np.repeat(rng.integers(0, self.moved.shape[1], portraits), targets)
        return Pairs(sequences, references, rng.integers(0, self.frames.shape[1], len(sequences)))

    def pictures(self, pairs: Pairs, cuts: list[Cut]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cut out of each pair: the frame, the portrait moved to it, the portrait, and weights for `picture_loss`.

        Returns:
            Three times (N, 3, h, w) in [-1, 1], then (N, 1, h, w), 3 on eyes, brows and mouth, 1 elsewhere.
        """
        rows = list(zip(pairs.sequences, pairs.references, pairs.frames, cuts, strict=True))
        target = np.stack([self.frames[s, f][cut] for s, _, f, cut in rows])
        moved = np.stack([self.moved[s, r, f][cut] for s, r, f, cut in rows])
        still = np.stack([self.frames[s, r][cut] for s, r, _, cut in rows])
        height, width = self.frames.shape[2:4]
        masks = expression_mask(self.landmarks[pairs.sequences, pairs.frames], (width, height))
        important = np.stack([mask[cut] for mask, cut in zip(masks, cuts, strict=True)])
        weights = 1 + 2 * torch.from_numpy(important).float()[:, None]
        return to_tensor(target), to_tensor(moved), to_tensor(still), weights

    def some_frames(self, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
        """Random frames (count, H, W, 3)."""
        pairs = self.pairs(rng, count)
        return np.stack([self.frames[s, f] for s, f in zip(pairs.sequences, pairs.frames, strict=True)])
