"""What all frame metrics share: checked pairs of videos, worker threads, and the shape of a paired metric."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from emojibench_metrics.interface import ClipArrays, Figure, FindWeights, Frames, Traits

Item = TypeVar("Item")
Result = TypeVar("Result")


def checked_video(frames: NDArray[Any], name: str) -> Frames:
    """`frames` as (T, H, W, 3) uint8; a single picture (H, W, 3) becomes one frame.

    Raises:
        ValueError: another type or shape, or no frames.
    """
    video = frames[None] if frames.ndim == 3 else frames
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3:
        raise ValueError(
            f"{name}: expected uint8 RGB of shape (T, H, W, 3) or (H, W, 3), "
            f"got {frames.dtype} {frames.shape}"
        )
    if 0 in video.shape:
        raise ValueError(f"{name}: no frames or no pixels in shape {frames.shape}")
    return video


def checked_pair(a: NDArray[Any], b: NDArray[Any]) -> tuple[Frames, Frames]:
    """Two videos of equal shape, see `checked_video`.

    Raises:
        ValueError: another type or shape, or shapes that differ.
    """
    first, second = checked_video(a, "first video"), checked_video(b, "second video")
    if first.shape != second.shape:
        raise ValueError(
            f"videos of different shape: {first.shape} and {second.shape}; resize or cut them alike"
        )
    return first, second


def workers() -> int:
    """Threads to use: OMP_NUM_THREADS where set (as numerical libraries do), else the cores we may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`[function(item) for item in items]` on worker threads; for code that releases the interpreter lock."""
    with ThreadPoolExecutor(workers()) as pool:
        return list(pool.map(function, items))


def batches(count: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover `range(count)`."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


class PairedMetric:
    """A per-clip metric of generated against true frames.

    Subclasses set `traits` and say what they compute in `per_frame`; the clip's value is the mean over
    frames.
    """

    kind: Literal["clip"] = "clip"
    traits: tuple[Traits, ...]

    def __init__(self, find_weights: FindWeights) -> None:
        """Nothing to load; metrics with weights override this."""

    def per_frame(self, generated: Frames, truth: Frames) -> dict[str, NDArray[np.float64]]:
        """(T,) values for each name in `traits`."""
        raise NotImplementedError

    def measure(self, clip: ClipArrays) -> dict[str, Figure]:
        """Mean over frames; undefined without ground truth.

        Raises:
            ValueError: generated and true frames differ in shape.
        """
        if clip.truth is None:
            return {traits.name: Figure(None, 0, "no ground truth") for traits in self.traits}
        values = self.per_frame(*checked_pair(clip.generated, clip.truth))
        return {name: Figure(float(v.mean()), len(v), frames=v) for name, v in values.items()}
