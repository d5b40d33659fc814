"""Motion alignment (paper, 4 and 4.1): the driving person's expression and head pose on the portrait's own face.

`align` needs plain 478-point landmarks. A face is treated as a rigid head under scaled orthography: a similarity
transform fitted on points that hardly move with the expression gives its pose, and what remains after undoing the
pose is the expression. `align_with_transforms` is the released computation, for landmarks that come with head
transforms and blendshapes.

Conventions of the released code, kept by both, where the paper has one matrix that warps all landmarks: expression
offsets are relative to the driving's most neutral frame; the driving's rotation is taken absolutely (the portrait's
own head pose is not kept); translation is relative, t_i - t_0 + t_r; irises keep their relative place in the box of
the eyelid points.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.face.geometry import canonical_faces, project
from emojibench.face.points import (
    EXPRESSIVE,
    EYE_CORNERS,
    INNER_LIP_MIDDLES,
    LEFT_EYE,
    LEFT_EYELIDS,
    LEFT_IRIS,
    OUTER_EYE_CORNERS,
    POINTS,
    RIGHT_EYE,
    RIGHT_EYELIDS,
    RIGHT_IRIS,
    STABLE,
    VERTICES,
)  # fmt: skip

Array = NDArray[np.float64]

_STABLE = np.array(STABLE)
PIVOT = np.array(EYE_CORNERS)
"""Corners of the eyes: their mean is the point whose movement counts as the head's translation.

The released convention is the origin of MediaPipe's face geometry, inside the head. Plain landmarks tell a point
at that depth poorly: against rendered truth it came out 3.0 px off, this one 1.2 px.
"""

EYES = tuple(
    (np.array(lids), np.array(iris)) for lids, iris in ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS))
)


@dataclass(frozen=True)
class Pose:
    """Similarity transforms x -> scale * rotation @ x + translation, one for each of T frames."""

    scale: Array
    """(T,) positive."""
    rotation: Array
    """(T, 3, 3) with determinant 1."""
    translation: Array
    """(T, 3) pixels."""

    def apply(self, points: Array) -> Array:
        """Transform (T, N, 3) or (N, 3) points; returns (T, N, 3)."""
        turned = points @ self.rotation.transpose(0, 2, 1)
        return np.asarray(self.scale[:, None, None] * turned + self.translation[:, None])

    def undo(self, points: Array) -> Array:
        """Inverse transform of (T, N, 3) points."""
        return (points - self.translation[:, None]) @ self.rotation / self.scale[:, None, None]


def fit_pose(source: Array, target: Array) -> Pose:
    """Least-squares similarity from `source` (N, 3) to each frame of `target` (T, N, 3).

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    source_mean, target_mean = source.mean(0), target.mean(1)
    source_centred, target_centred = source - source_mean, target - target_mean[:, None]
    u, singular, vt = np.linalg.svd(target_centred.transpose(0, 2, 1) @ source_centred)
    signs = np.ones_like(singular)
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * signs[:, None]) @ vt
    scale = (singular * signs).sum(1) / (source_centred**2).sum()
    translation = target_mean - scale[:, None] * (rotation @ source_mean)
    return Pose(scale, rotation, translation)


def neutral_frame(shapes: Array) -> int:
    """Index of the most neutral of T shapes (T, 478, 3) whose pose has been removed.

    Mouth closed, eyes open, and otherwise near the sequence's usual shape. The released code takes the
    smallest sum of blendshapes instead, which plain landmarks do not offer.
    """
    size = _distance(shapes, OUTER_EYE_CORNERS).mean()
    usual = np.median(shapes[:, EXPRESSIVE], axis=0)
    unusual = np.linalg.norm(shapes[:, EXPRESSIVE] - usual, axis=2).mean(1)
    lips = _distance(shapes, INNER_LIP_MIDDLES)
    lids = (_distance(shapes, RIGHT_EYELIDS) + _distance(shapes, LEFT_EYELIDS)) / 2
    closing = np.maximum(np.median(lids) - lids, 0)
    return int(np.argmin((unusual + lips + closing) / size))


def _distance(shapes: Array, pair: tuple[int, int]) -> Array:
    """Of two points, in each of (T, N, 3) shapes."""
    return np.asarray(np.linalg.norm(shapes[:, pair[0]] - shapes[:, pair[1]], axis=1))


def align(
    portrait_landmarks: NDArray[np.floating[Any]],
    driving_landmarks: NDArray[np.floating[Any]],
    *,
    portrait_size: tuple[int, int],
    driving_size: tuple[int, int],
) -> NDArray[np.float32]:
    """Where the portrait's 478 points should be in each frame of the driving sequence.

    Args:
        portrait_landmarks: (478, 3), x and y as fractions of width and height, z in units of x.
        driving_landmarks: (T, 478, 3), the same of the driving frames; NaN where no face was found.
        portrait_size: (width, height) of the portrait, pixels.
        driving_size: (width, height) of the driving frames, pixels.

    Returns:
        (T, 478, 3) float32, normalised by the portrait's size; frames without a driving face stay NaN.

    Raises:
        ValueError: wrong shapes or sizes, a portrait without landmarks, no driving frame with a face.
    """
    portrait, driving, detected = _checked(
        portrait_landmarks, driving_landmarks, portrait_size=portrait_size, driving_size=driving_size
    )
    frames = driving[detected]

    # Expression: what is left of each frame in the head frame of the first one, relative to the neutral.
    pose = fit_pose(frames[0, _STABLE], frames[:, _STABLE])
    shapes = pose.undo(frames)
    neutral = shapes[neutral_frame(shapes)]
    to_driving = fit_pose(portrait[_STABLE], neutral[None, _STABLE])
    size, turn = to_driving.scale[0], to_driving.rotation[0]
    offsets = (shapes - neutral) @ turn / size

    # Pose: portrait head -> first driving frame (rotation only) -> frame i (rotation, scale, movement).
    pivot = portrait[PIVOT].mean(0)
    driving_pivot = pose.apply(neutral[PIVOT].mean(0)[None])[:, 0]
    travel = (driving_pivot - driving_pivot[0]) / size
    moved = Pose(pose.scale, pose.rotation @ turn, pivot + travel).apply(portrait - pivot + offsets)
    _place_irises(moved, frames)

    return _normalised(moved, detected, len(driving), portrait_size)


def align_with_transforms(
    portrait_landmarks: NDArray[np.floating[Any]],
    driving_landmarks: NDArray[np.floating[Any]],
    *,
    portrait_transform: NDArray[np.floating[Any]],
    driving_transforms: NDArray[np.floating[Any]],
    driving_blendshapes: NDArray[np.floating[Any]],
    portrait_size: tuple[int, int],
    driving_size: tuple[int, int],
) -> NDArray[np.float32]:
    """As `align`, by the released computation: on faces in centimetres, through a perspective camera.

    The released code drops the first frame of the result; here all are kept.

    Args:
        portrait_landmarks: (478, 3), x and y as fractions of width and height, z in units of x.
        driving_landmarks: (T, 478, 3), the same of the driving frames; NaN where no face was found.
        portrait_transform: (4, 4) rigid, MediaPipe's canonical face to camera, cm.
        driving_transforms: (T, 4, 4), the same of the driving frames; read where there is a face.
        driving_blendshapes: (T, 52) expression coefficients, MediaPipe's `_neutral` first; read where there is a
            face. The frame with the smallest sum of the other 51 is the neutral one.
        portrait_size: (width, height) of the portrait, pixels.
        driving_size: (width, height) of the driving frames, pixels.

    Returns:
        (T, 478, 3) float32, normalised by the portrait's size; frames without a driving face stay NaN. Depth is
        known relative to the face only, so the mean of z is the portrait's throughout.

    Raises:
        ValueError: wrong shapes or sizes, a portrait without landmarks, no driving frame with a face, a transform
            that does not belong to its landmarks, blendshapes that are not finite.
    """
    portrait, driving, detected = _checked(
        portrait_landmarks, driving_landmarks, portrait_size=portrait_size, driving_size=driving_size
    )
    frames, count = driving[detected], len(driving)
    transform = _shaped(portrait_transform, (4, 4), "portrait_transform")
    transforms = _shaped(driving_transforms, (count, 4, 4), "driving_transforms")[detected]
    blendshapes = _shaped(driving_blendshapes, (count, 52), "driving_blendshapes")[detected]
    if not np.isfinite(blendshapes).all():
        raise ValueError("driving_blendshapes: expected finite values where there is a face")
    own = _canonical(portrait[None], transform[None], portrait_size, "portrait_transform")[0]
    shapes = _canonical(frames, transforms, driving_size, "driving_transforms")

    neutral = shapes[blendshapes[:, 1:].sum(1).argmin()]
    translations = transforms[:, :3, 3]
    travel = translations - translations[0] + transform[:3, 3]
    moved = (shapes - neutral + own) @ transforms[:, :3, :3].transpose(0, 2, 1) + travel[:, None]

    width, height = portrait_size
    points = np.zeros((len(frames), POINTS, 3))
    points[:, :VERTICES] = project(moved, portrait_size) * (width, height, width)
    points[:, :VERTICES, 2] += portrait[:VERTICES, 2].mean()
    _place_irises(points, frames)
    return _normalised(points, detected, count, portrait_size)


def _canonical(pixels: Array, transforms: Array, size: tuple[int, int], name: str) -> Array:
    """`canonical_faces` of (T, 478, 3) isotropic pixels; its error opens with the argument's name."""
    width, height = size
    try:
        return canonical_faces(pixels / (width, height, width), transforms, size)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _checked(
    portrait_landmarks: NDArray[np.floating[Any]],
    driving_landmarks: NDArray[np.floating[Any]],
    *,
    portrait_size: tuple[int, int],
    driving_size: tuple[int, int],
) -> tuple[Array, Array, NDArray[np.intp]]:
    """Portrait (478, 3) and driving (T, 478, 3) in isotropic pixels, and the indices of frames with a face."""
    portrait = _pixels(np.asarray(portrait_landmarks, np.float64)[None], portrait_size, "portrait")[0]
    driving = _pixels(np.asarray(driving_landmarks, np.float64), driving_size, "driving")
    if np.isnan(portrait).any():
        raise ValueError(
            "portrait_landmarks: expected 478 finite points, got NaN (no face); supply landmarks"
        )
    detected = np.flatnonzero(~np.isnan(driving).any(axis=(1, 2)))
    if len(detected) == 0:
        raise ValueError(f"driving_landmarks: none of the {len(driving)} frames has a face")
    return portrait, driving, detected


def _shaped(values: NDArray[np.floating[Any]], shape: tuple[int, ...], name: str) -> Array:
    if values.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {values.shape}")
    return np.asarray(values, np.float64)


def _normalised(
    points: Array, detected: NDArray[np.intp], count: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """(count, 478, 3) fractions of `size`: `points` in pixels in the frames `detected`, NaN elsewhere."""
    width, height = size
    aligned = np.full((count, POINTS, 3), np.nan, np.float32)
    aligned[detected] = points / (width, height, width)
    return aligned


def _place_irises(points: Array, driving: Array) -> None:
    """Move the irises of `points` (T, 478, 3), in place, to their place in the eyelid boxes of `driving`."""
    for lids, iris in EYES:
        low, extent = _box(driving[:, lids])
        relative = (driving[:, iris] - low) / extent
        low, extent = _box(points[:, lids])
        points[:, iris] = low + relative * extent


def _box(points: Array) -> tuple[Array, Array]:
    """Lower corner and extent, (T, 1, 3) each, of (T, N, 3); a closed eye keeps a hair's breadth."""
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    extent = high - low
    return low, np.maximum(extent, 1e-3 * extent.max(axis=2, keepdims=True) + 1e-9)


def _pixels(landmarks: Array, size: tuple[int, int], name: str) -> Array:
    """(T, 478, 3) in isotropic pixels."""
    if landmarks.ndim != 3 or landmarks.shape[1:] != (POINTS, 3) or len(landmarks) == 0:
        shape = landmarks.shape[1:] if name == "portrait" else landmarks.shape
        wanted = "(478, 3)" if name == "portrait" else "(T, 478, 3) with T >= 1"
        raise ValueError(f"{name}_landmarks: expected shape {wanted}, got {shape}")
    width, height = size
    if width <= 0 or height <= 0:
        raise ValueError(f"{name}_size: expected positive (width, height), got {size}")
    return landmarks * (width, height, width)
