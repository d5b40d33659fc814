"""Landmark accuracy: does the face move where it was told to?

The paper prints "landmark accuracy" with higher better (1.07 to 38.26) but calls it a mean error of 2-D points
against the input landmarks (section 5.3.2); no error fits its ranking. This is the definition proposed for the
benchmark, named plainly, with the usual errors beside it.

Protocol. G[t, k]: target points, after motion alignment to the portrait (raw driving points would punish
differences of identity). P[t, k]: the same detector on the generated frames. Both 2-D, in pixels of the
generated frames.
Points: the 126 expression-aware ones of 478 (brows, eyes, irises, nose, mouth; contour excluded);
`landmark_accuracy_478` repeats the headline with all points.

- d[t]: distance of the outer eye corners (33, 263) of G. In profile, where it is below 0.15 of the diagonal
  of G's bounding box, that 0.15 of the diagonal is used and the frame counted (`landmark_profile`).
- NME[t] = mean_k |P - G| / d[t].
- `landmark_accuracy` = 100 mean_t clip(1 - NME[t] / 0.08, 0, 1): the area under the cumulative error curve up
  to 0.08. A frame without a detected face scores 0.
- `la_pck` = 100 x share of points nearer than tau d[t], mean over tau = 0.01, 0.02 .. 0.10; missing frames
  count 0.
- `la_oks_ap` = 100 x share of frames whose object key-point similarity (kappa 0.05, area of G's box) exceeds
  a threshold, mean over .50, .55 .. .95; missing frames count 0.
- `nme` (eye distances) and `akd_px` (pixels): mean errors over detected frames.
- `landmark_failure`: share of frames with NME > 0.08 or no face. `landmark_detection`: share with a face.

Frames whose target is undefined are left out; a figure's n counts the frames that remain (detected ones for
`nme` and `akd_px`, whose `total` counts them all). The definition is not symmetric: length unit, box and
excluded frames are the target's.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emojibench.face.points import EXPRESSION, OUTER_EYE_CORNERS, POINTS
from emojibench_metrics.interface import ClipArrays, Figure, FindWeights, Need, Traits

ALPHA = 0.08
"""Error, in eye distances, at which a frame scores nothing."""
PROFILE = 0.15
"""Smallest unit of length, in diagonals of the target's box."""
KAPPA = 0.05
"""Fall-off of the object key-point similarity."""

_NEEDS: frozenset[Need] = frozenset({"target_landmarks", "generated_landmarks"})
_SOURCE = (
    "EmojiBench++ definition, metrics/emojibench_metrics/landmarks.py: 126 expression points, eye distance, "
)


def _traits(
    name: str,
    better: Literal["higher", "lower", "none"],
    unit: str,
    highest: float,
    source: str,
    decimals: int = 2,
) -> Traits:
    return Traits(name, better, unit, (0.0, highest), _SOURCE + source, _NEEDS, decimals=decimals)


TRAITS = (
    _traits("landmark_accuracy", "higher", "of 100", 100.0, "area under the error curve up to 0.08"),
    _traits("landmark_accuracy_478", "higher", "of 100", 100.0, "as landmark_accuracy, but all 478 points"),
    _traits("la_pck", "higher", "%", 100.0, "hits within 0.01..0.10"),
    _traits("la_oks_ap", "higher", "%", 100.0, "COCO-style AP of OKS, kappa 0.05"),
    _traits("nme", "lower", "eye distances", float("inf"), "mean error of detected frames", 4),
    _traits("akd_px", "lower", "px", float("inf"), "mean Euclidean error of detected frames"),
    _traits("landmark_failure", "lower", "share", 1.0, "NME > 0.08 or no face", 3),
    _traits("landmark_detection", "higher", "share", 1.0, "frames with a detected face", 3),
    _traits(
        "landmark_profile", "none", "share", 1.0, "frames measured by 0.15 of the box diagonal instead", 3
    ),
)


@dataclass(frozen=True)
class LandmarkScores:
    """Landmark metrics of one clip; see the module's protocol."""

    accuracy: float
    """0..100."""
    pck: float
    """0..100."""
    oks_ap: float
    """0..100."""
    nme: float | None
    """Eye distances; None where no frame was detected."""
    akd_px: float | None
    """Pixels; None where no frame was detected."""
    failure: float
    """0..1."""
    detection: float
    """0..1."""
    profile: float
    """0..1."""
    frames: int
    """Frames with a target."""
    detected: int
    """Frames with a target and a detected face."""


def eye_distance(
    target: NDArray[np.float64], eyes: tuple[int, int], points: tuple[int, ...] = ()
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(T,) unit of length of each target frame (T, K, 2), and (T,) whether the profile rule made it.

    Args:
        target: points in pixels.
        eyes: the outer corners among the K points.
        points: those of the K points whose bounding box counts; all where empty.
    """
    distance = np.linalg.norm(target[:, eyes[0]] - target[:, eyes[1]], axis=-1)
    box = np.ptp(target[:, points] if points else target, axis=1)
    least = PROFILE * np.linalg.norm(box, axis=-1)
    return np.maximum(distance, least), distance < least


def landmark_scores(
    target: NDArray[Any],
    generated: NDArray[Any],
    *,
    eyes: tuple[int, int] = OUTER_EYE_CORNERS,
    points: tuple[int, ...] = (),
) -> LandmarkScores | None:
    """Landmark metrics of one clip.

    Args:
        target: (T, K, 2) pixels; a frame with NaN has no target.
        generated: (T, K, 2) pixels; a frame with NaN has no detected face.
        eyes: the outer eye corners among the K points.
        points: the points compared; all K where empty.

    Returns:
        The scores, or None where no frame has a target.

    Raises:
        ValueError: shapes that differ or are not (T, K, 2), or a target whose points all coincide.
    """
    target, generated = _checked(target, generated)
    wanted = np.isfinite(target).all(axis=(1, 2))
    if not wanted.any():
        return None
    target, pixels, unit, profile = _distances(target[wanted], generated[wanted], eyes, points)
    detected = np.isfinite(pixels).all(axis=1)
    nme = (pixels / unit[:, None]).mean(axis=1)

    radii = np.arange(1, 11) / 100
    hits = (pixels / unit[:, None])[..., None] < radii
    area = np.ptp(target, axis=1).prod(axis=-1)
    similarity = np.exp(-(pixels**2) / (2 * area[:, None] * KAPPA**2)).mean(axis=1)
    thresholds = np.arange(50, 100, 5) / 100
    return LandmarkScores(
        accuracy=100 * float(np.clip(1 - nme / ALPHA, 0, 1).mean()),
        pck=100 * float(hits.mean()),
        oks_ap=100 * float((similarity[:, None] > thresholds).mean()),
        nme=float(nme[detected].mean()) if detected.any() else None,
        akd_px=float(pixels[detected].mean()) if detected.any() else None,
        failure=float((nme > ALPHA).mean()),
        detection=float(detected.mean()),
        profile=float(profile.mean()),
        frames=len(target),
        detected=int(detected.sum()),
    )


def errors_per_frame(
    target: NDArray[Any],
    generated: NDArray[Any],
    *,
    eyes: tuple[int, int] = OUTER_EYE_CORNERS,
    points: tuple[int, ...] = (),
) -> NDArray[np.float64]:
    """(T,) NME of each frame, in eye distances; NaN without a target, infinite without a detected face.

    Args and errors: as `landmark_scores`, whose `nme` is the mean of the finite ones.
    """
    target, generated = _checked(target, generated)
    wanted = np.isfinite(target).all(axis=(1, 2))
    errors = np.full(len(target), np.nan)
    if wanted.any():
        _, pixels, unit, _ = _distances(target[wanted], generated[wanted], eyes, points)
        errors[wanted] = (pixels / unit[:, None]).mean(axis=1)
    return errors


def _checked(
    target: NDArray[Any], generated: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    target, generated = np.asarray(target, np.float64), np.asarray(generated, np.float64)
    if target.shape != generated.shape or target.ndim != 3 or target.shape[-1] != 2:
        raise ValueError(f"expected two (T, K, 2) arrays, got {target.shape} and {generated.shape}")
    return target, generated


def _distances(
    target: NDArray[np.float64],
    generated: NDArray[np.float64],
    eyes: tuple[int, int],
    points: tuple[int, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Of frames with a target: its chosen points, (T, K) distances in pixels (infinite without a detected face),
    (T,) units of length, and (T,) whether the profile rule made them."""
    unit, profile = eye_distance(target, eyes, points)
    if (unit == 0).any():
        raise ValueError("a target frame whose points all coincide has no unit of length")
    detected = np.isfinite(generated).all(axis=(1, 2))
    if points:
        target, generated = target[:, points], generated[:, points]
    pixels = np.linalg.norm(generated - target, axis=-1)
    pixels[~detected] = np.inf
    return target, pixels, unit, profile


def pixel_points(landmarks: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    """(T, K, 2) pixels of normalised landmarks (T, K, 2 or 3) on frames of `size` (width, height)."""
    return np.asarray(landmarks[..., :2], np.float64) * np.array(size, np.float64)


def clip_points(clip: ClipArrays) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Target and generated points (T, 478, 2) in pixels of the generated frames; None where either is absent.

    Raises:
        ValueError: landmarks that do not belong to the generated frames.
    """
    if clip.target_landmarks is None or clip.generated_landmarks is None:
        return None
    frames, height, width = clip.generated.shape[:3]
    for name, points in (("target", clip.target_landmarks), ("generated", clip.generated_landmarks)):
        if points.shape != (frames, POINTS, 3):
            raise ValueError(f"{name} landmarks: expected shape {(frames, POINTS, 3)}, got {points.shape}")
    size = (width, height)
    return pixel_points(clip.target_landmarks, size), pixel_points(clip.generated_landmarks, size)


class LandmarkAccuracy:
    """Landmarks of the generated frames against the target's: accuracy, errors, detection."""

    kind: Literal["clip"] = "clip"
    traits = TRAITS

    def __init__(self, find_weights: FindWeights) -> None:
        """Nothing to load."""

    def measure(self, clip: ClipArrays) -> dict[str, Figure]:
        """All columns; undefined without landmarks or without any target frame.

        Raises:
            ValueError: landmarks that do not belong to the generated frames.
        """
        pair = clip_points(clip)
        if pair is None:
            return self._undefined("no target or generated landmarks")
        scores = landmark_scores(*pair, points=EXPRESSION)
        everywhere = landmark_scores(*pair, points=tuple(range(POINTS)))
        if scores is None or everywhere is None:
            return self._undefined("no frame has target landmarks")
        every, seen = scores.frames, scores.detected
        errors = errors_per_frame(*pair, points=EXPRESSION)
        accuracies = np.asarray(100 * np.clip(1 - errors / ALPHA, 0, 1), np.float64)
        blind = "" if seen else "no face detected in any generated frame"
        return {
            "landmark_accuracy": Figure(scores.accuracy, every, frames=accuracies),
            "landmark_accuracy_478": Figure(everywhere.accuracy, every),
            "la_pck": Figure(scores.pck, every),
            "la_oks_ap": Figure(scores.oks_ap, every),
            "nme": Figure(scores.nme, seen, blind, every, np.where(np.isfinite(errors), errors, np.nan)),
            "akd_px": Figure(scores.akd_px, seen, blind, every),
            "landmark_failure": Figure(scores.failure, every),
            "landmark_detection": Figure(scores.detection, every),
            "landmark_profile": Figure(scores.profile, every),
        }

    def _undefined(self, reason: str) -> dict[str, Figure]:
        return {traits.name: Figure(None, 0, reason) for traits in self.traits}
