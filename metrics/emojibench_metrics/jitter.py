"""Temporal jitter: acceleration of the generated landmarks against the target's own.

Protocol: a[t, k] = x[t+1, k] - 2 x[t, k] + x[t-1, k] of the 126 expression points (contour excluded), in
pixels of the generated frames, divided by the target's outer-eye distance at t (profile rule as in
`landmarks`). Only frames whose two neighbours also have both a target and a detected face count. Unit: eye
distances per frame squared.

- `jitter` = mean max(0, |a generated| - |a target|): shaking beyond what the motion itself has. Not symmetric
  on purpose: a generated face that shakes is punished, a target that moves abruptly is not; a frozen face
  scores 0.
- `acceleration_error` = mean |a generated - a target|: the "acceleration error" of video pose estimation
  (Kanazawa et al., CVPR 2019), which frozen, lagging and over-smoothed faces fail as well. Only its unit is
  the target's.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emojibench.face.points import EXPRESSION, OUTER_EYE_CORNERS
from emojibench_metrics.interface import ClipArrays, Figure, FindWeights, Need, Traits
from emojibench_metrics.landmarks import clip_points, eye_distance

_NEEDS: frozenset[Need] = frozenset({"target_landmarks", "generated_landmarks"})

TRAITS = (
    Traits(
        name="jitter",
        better="lower",
        unit="eye distances / frame²",
        valid_range=(0.0, float("inf")),
        source="EmojiBench++ definition, metrics/emojibench_metrics/jitter.py: acceleration beyond the target's own",
        needs=_NEEDS,
        minimum_frames=3,
        decimals=4,
    ),
    Traits(
        name="acceleration_error",
        better="lower",
        unit="eye distances / frame²",
        valid_range=(0.0, float("inf")),
        source="acceleration error, Kanazawa et al., CVPR 2019, on 126 face points in eye distances",
        needs=_NEEDS,
        minimum_frames=3,
        decimals=4,
    ),
)


def jitter(
    target: NDArray[Any],
    generated: NDArray[Any],
    *,
    eyes: tuple[int, int] = OUTER_EYE_CORNERS,
    points: tuple[int, ...] = (),
) -> tuple[float, float, int] | None:
    """Jitter and acceleration error of one clip.

    Args:
        target: (T, K, 2) pixels; a frame with NaN has no target.
        generated: (T, K, 2) pixels; a frame with NaN has no detected face.
        eyes: the outer eye corners among the K points.
        points: the points compared; all K where empty.

    Returns:
        Jitter, acceleration error (both in eye distances / frame²) and the number of frames they rest on;
        None where no three consecutive frames have both.

    Raises:
        ValueError: shapes that differ or are not (T, K, 2), or a target whose points all coincide.
    """
    centres, wanted, got = _accelerations(target, generated, eyes, points)
    if not len(centres):
        return None
    excess = np.linalg.norm(got, axis=-1) - np.linalg.norm(wanted, axis=-1)
    error = np.linalg.norm(got - wanted, axis=-1)
    return float(np.maximum(excess, 0).mean()), float(error.mean()), len(centres)


def errors_per_frame(
    target: NDArray[Any],
    generated: NDArray[Any],
    *,
    eyes: tuple[int, int] = OUTER_EYE_CORNERS,
    points: tuple[int, ...] = (),
) -> NDArray[np.float64]:
    """(T,) acceleration error of each frame; NaN where it or a neighbour lacks target or face.

    Args and errors: as `jitter`, whose acceleration error is the mean of the others.
    """
    centres, wanted, got = _accelerations(target, generated, eyes, points)
    errors = np.full(len(target), np.nan)
    errors[centres] = np.linalg.norm(got - wanted, axis=-1).mean(axis=1)
    return errors


def _accelerations(
    target: NDArray[Any], generated: NDArray[Any], eyes: tuple[int, int], points: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """(n,) measurable frames, and the accelerations (n, K, 2) of target and generated points there."""
    target, generated = np.asarray(target, np.float64), np.asarray(generated, np.float64)
    if target.shape != generated.shape or target.ndim != 3 or target.shape[-1] != 2:
        raise ValueError(f"expected two (T, K, 2) arrays, got {target.shape} and {generated.shape}")
    centres = _centres(_seen(target) & _seen(generated))
    unit, _ = eye_distance(target[centres], eyes, points)
    if (unit == 0).any():
        raise ValueError("a target frame whose points all coincide has no unit of length")
    if points:
        target, generated = target[:, points], generated[:, points]
    wanted = _acceleration(target, centres) / unit[:, None, None]
    return centres, wanted, _acceleration(generated, centres) / unit[:, None, None]


def _seen(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(points).all(axis=(1, 2)))


def _centres(seen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Frames that are seen, as both their neighbours are."""
    return np.flatnonzero(seen[:-2] & seen[1:-1] & seen[2:]) + 1


def _acceleration(x: NDArray[np.float64], centres: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.asarray(x[centres + 1] - 2 * x[centres] + x[centres - 1])


class Jitter:
    """Shaking of the generated face beyond the target's own motion."""

    kind: Literal["clip"] = "clip"
    traits = TRAITS

    def __init__(self, find_weights: FindWeights) -> None:
        """Nothing to load."""

    def measure(self, clip: ClipArrays) -> dict[str, Figure]:
        """Both columns; undefined without three consecutive frames that have target and face.

        Raises:
            ValueError: landmarks that do not belong to the generated frames.
        """
        pair = clip_points(clip)
        if pair is None:
            return self._undefined("no target or generated landmarks")
        total = len(_centres(_seen(pair[0]))) or None
        measured = jitter(*pair, points=EXPRESSION)
        if measured is None:
            reason = "no three consecutive frames have target landmarks and a detected face"
            return self._undefined(reason, total)
        beyond, error, frames = measured
        return {
            "jitter": Figure(beyond, frames, total=total),
            "acceleration_error": Figure(
                error, frames, total=total, frames=errors_per_frame(*pair, points=EXPRESSION)
            ),
        }

    def _undefined(self, reason: str, total: int | None = None) -> dict[str, Figure]:
        return {traits.name: Figure(None, 0, reason, total) for traits in self.traits}
