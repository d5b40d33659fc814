"""Landmark files: one NPZ per portrait or driving sequence, read back with every claim checked.

| array | shape | meaning |
| --- | --- | --- |
| `landmarks` | (478, 3) or (T, 478, 3) float32 | normalised; NaN where no face was found |
| `detected` | () or (T,) bool | where a face was found |
| `detector` | text | id of the detector, or `manual` for landmarks supplied by hand |
| `fps`, `size` | float; (width, height) | of the frames; driving only |
| `transforms`, `blendshapes` | (T, 4, 4) float64; (T, 52) float32 | optional; driving only |
| `transform` | (4, 4) float64 | optional; portrait only |
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.errors import DatasetError
from emojibench.face.detect import Face
from emojibench.face.driving import DrivingSequence
from emojibench.face.points import POINTS
from emojibench.files.arrays import ArraySpec, read_npz
from emojibench.media import write_bytes
from emojibench.types import Landmarks

MANUAL = "manual"
"""Detector id of landmarks that somebody placed by hand."""
_REACH = (-1.5, 2.5)
"""Normalised landmarks outside of this are pixels or garbage: a face may leave the picture a little."""

_LONGEST_SIDE = 1 << 16
"""Pixels; larger ones are damage."""
_LARGEST = 1e6
"""Of a head transform, in centimetres; larger ones are damage."""
_PORTRAIT = {
    "landmarks": ArraySpec("f", (POINTS, 3)),
    "detected": ArraySpec("b", ()),
    "detector": ArraySpec("U", ()),
    "transform": ArraySpec("f", (4, 4), optional=True),
}
_DRIVING = {
    "landmarks": ArraySpec("f", ("T", POINTS, 3)),
    "detected": ArraySpec("b", ("T",)),
    "detector": ArraySpec("U", ()),
    "fps": ArraySpec("fiu", ()),
    "size": ArraySpec("iu", (2,)),
    "transforms": ArraySpec("f", ("T", 4, 4), optional=True),
    "blendshapes": ArraySpec("f", ("T", 52), optional=True),
}


def write_portrait(path: Path, face: Face | None, detector: str) -> None:
    """Write landmarks and, where known, head transform of a portrait, or that it has no face (None)."""
    points = np.full((POINTS, 3), np.nan) if face is None else face.landmarks
    arrays: dict[str, Any] = {
        "landmarks": np.float32(points),
        "detected": np.bool_(face is not None),
        "detector": np.str_(detector),
    }
    if face is not None and face.transform is not None:
        arrays["transform"] = np.float64(face.transform)
    _save(path, **arrays)


def read_portrait(path: Path) -> tuple[Face | None, str]:
    """Landmarks and, where known, head transform of a portrait, or None without a face; and the detector's id.

    Raises:
        DatasetError: missing, malformed, NaN where a face is claimed, out of range.
    """
    arrays = read_npz(path, _PORTRAIT, error=DatasetError)
    landmarks = checked_landmarks(arrays["landmarks"], str(path), dimensions=2)
    detected = _checked_detected(arrays["detected"], landmarks[None], str(path))
    transform = arrays.get("transform")
    if transform is not None:
        _check_finite(transform[None], "transform", detected, str(path))
    face = Face(landmarks, None if transform is None else transform.astype(np.float64))
    return (face if detected[0] else None), str(arrays["detector"])


def write_driving(path: Path, driving: DrivingSequence) -> None:
    """Write a driving sequence."""
    arrays: dict[str, Any] = {
        "landmarks": np.float32(driving.landmarks),
        "detected": driving.detected,
        "detector": np.str_(driving.detector),
        "fps": np.float64(driving.fps),
        "size": np.array(driving.size, np.int64),
    }
    if driving.transforms is not None:
        arrays["transforms"] = np.float64(driving.transforms)
    if driving.blendshapes is not None:
        arrays["blendshapes"] = np.float32(driving.blendshapes)
    _save(path, **arrays)


def read_driving(path: Path, *, frames: int | None = None) -> DrivingSequence:
    """Read a driving sequence; `frames` is the length that the manifest promises.

    Raises:
        DatasetError: missing, malformed, NaN where a face is claimed, out of range, wrong length.
    """
    lengths, advice = {}, "make the file anew"
    if frames is not None:
        lengths, advice = {"T": frames}, f"the manifest promises {frames} frames: build the dataset again"
    arrays = read_npz(path, _DRIVING, lengths=lengths, error=DatasetError, advice=advice)
    return checked_driving(arrays, str(path))


def checked_driving(arrays: Mapping[str, NDArray[Any]], where: str) -> DrivingSequence:
    """The driving sequence that arrays of the right shapes make; `where` opens the messages.

    Raises:
        DatasetError: NaN where a face is claimed, values out of range.
    """
    landmarks = checked_landmarks(arrays["landmarks"], where, dimensions=3)
    detected = _checked_detected(arrays["detected"], landmarks, where)
    fps = float(arrays["fps"])
    width, height = (int(side) for side in arrays["size"])
    if not 0 < fps <= 1000:
        raise DatasetError(f"{where}: fps {fps} must be positive and at most 1000")
    if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
        raise DatasetError(f"{where}: size {width}x{height} must be 1 to {_LONGEST_SIDE} pixels each way")
    transforms, blendshapes = arrays.get("transforms"), arrays.get("blendshapes")
    if transforms is not None:
        _check_finite(transforms, "transforms", detected, where)
    if blendshapes is not None:
        _check_finite(blendshapes, "blendshapes", detected, where)
        if ((blendshapes < 0) | (blendshapes > 1)).any():
            raise DatasetError(f"{where}: blendshapes must lie in [0, 1]")
    return DrivingSequence(
        landmarks=landmarks,
        fps=fps,
        size=(width, height),
        detector=str(arrays["detector"]),
        transforms=None if transforms is None else transforms.astype(np.float64),
        blendshapes=None if blendshapes is None else blendshapes.astype(np.float32),
    )


def checked_landmarks(points: NDArray[Any], where: str, *, dimensions: int) -> Landmarks:
    """Landmarks as float32 if shape, type and range are right; `where` opens the message.

    Raises:
        DatasetError: wrong shape, not numbers, a frame that is partly NaN, or points far out of the picture.
    """
    shape = "(478, 3)" if dimensions == 2 else "(T, 478, 3)"
    if points.ndim != dimensions or points.shape[-2:] != (POINTS, 3) or not len(points):
        raise DatasetError(f"{where}: landmarks have the shape {points.shape}; expected {shape}")
    if not np.issubdtype(points.dtype, np.floating):
        raise DatasetError(f"{where}: landmarks are {points.dtype}; expected floats, normalised to [0, 1]")
    rows = points.reshape(-1, POINTS * 3)
    partly = np.isnan(rows).any(axis=1) & ~np.isnan(rows).all(axis=1)
    if partly.any():
        raise DatasetError(
            f"{where}: frame {int(np.argmax(partly))} has NaN for some of its points; a frame without a face "
            "is NaN throughout, any other has none"
        )
    seen = rows[~np.isnan(rows).any(axis=1)]
    if seen.size and (seen.min() < _REACH[0] or seen.max() > _REACH[1]):
        raise DatasetError(
            f"{where}: landmarks run from {seen.min():.3g} to {seen.max():.3g}; expected fractions of width "
            f"and height (about 0 to 1, at most {_REACH[0]} to {_REACH[1]}), not pixels"
        )
    return points.astype(np.float32)


def _checked_detected(claimed: NDArray[Any], landmarks: Landmarks, where: str) -> NDArray[np.bool_]:
    present: NDArray[np.bool_] = ~np.isnan(landmarks).any(axis=(1, 2))
    wrong = np.atleast_1d(claimed) != present
    if wrong.any():
        frame = int(np.argmax(wrong))
        what = "no face, but landmarks" if present[frame] else "a face is claimed, but its landmarks are NaN"
        raise DatasetError(f"{where}: frame {frame}: {what}")
    return present


def _check_finite(values: NDArray[Any], name: str, detected: NDArray[np.bool_], where: str) -> None:
    if not np.isfinite(values[detected]).all():
        raise DatasetError(f"{where}: {name} are not finite in a frame with a face")
    if (np.abs(values) > _LARGEST).any():
        raise DatasetError(f"{where}: {name} go beyond {_LARGEST:.0e}; no head is there")


def _save(path: Path, **arrays: Any) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())
