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
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.dataset.clip import DrivingSequence, Landmarks
from emojibench.errors import DatasetError
from emojibench.faces.detector import Face
from emojibench.faces.topology import POINTS
from emojibench.media import write_bytes

MANUAL = "manual"
"""Detector id of landmarks that somebody placed by hand."""
_REACH = (-1.5, 2.5)
"""Normalised landmarks outside of this are pixels or garbage: a face may leave the picture a little."""


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
    arrays = _load(path)
    landmarks = checked_landmarks(arrays["landmarks"], str(path), dimensions=2)
    detected = _checked_detected(arrays, landmarks[None], str(path))
    poses = {name: values[None] for name, values in arrays.items() if name == "transform"}
    transform = _checked_extra(poses, "transform", (1, 4, 4), detected, path)
    face = Face(landmarks, None if transform is None else transform[0].astype(np.float64))
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
    arrays = _load(path)
    landmarks = checked_landmarks(arrays["landmarks"], str(path), dimensions=3)
    if frames is not None and len(landmarks) != frames:
        raise DatasetError(f"{path}: {len(landmarks)} frames; the manifest promises {frames}")
    detected = _checked_detected(arrays, landmarks, str(path))
    try:
        fps = float(arrays["fps"])
        width, height = (int(side) for side in arrays["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: `fps` or `size` is missing or malformed: {error}") from error
    if not 0 < fps <= 1000 or width < 1 or height < 1:
        raise DatasetError(f"{path}: fps {fps} and size {width}x{height} must be positive (fps at most 1000)")
    transforms = _checked_extra(arrays, "transforms", (len(landmarks), 4, 4), detected, path)
    blendshapes = _checked_extra(arrays, "blendshapes", (len(landmarks), 52), detected, path)
    if blendshapes is not None and (np.nanmin(blendshapes) < 0 or np.nanmax(blendshapes) > 1):
        raise DatasetError(f"{path}: blendshapes must lie in [0, 1]")
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
    landmarks = points.astype(np.float32)
    rows = landmarks.reshape(-1, POINTS * 3)
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
    return landmarks


def _checked_detected(arrays: dict[str, NDArray[Any]], landmarks: Landmarks, where: str) -> NDArray[np.bool_]:
    claimed = np.atleast_1d(arrays["detected"])
    present: NDArray[np.bool_] = ~np.isnan(landmarks).any(axis=(1, 2))
    if claimed.shape != present.shape or claimed.dtype != np.bool_:
        raise DatasetError(f"{where}: `detected` must be {present.shape} booleans, not {claimed.shape}")
    wrong = claimed != present
    if wrong.any():
        frame = int(np.argmax(wrong))
        what = "a face is claimed, but its landmarks are NaN" if claimed[frame] else "no face, but landmarks"
        raise DatasetError(f"{where}: frame {frame}: {what}")
    return present


def _checked_extra(
    arrays: dict[str, NDArray[Any]],
    name: str,
    shape: tuple[int, ...],
    detected: NDArray[np.bool_],
    path: Path,
) -> NDArray[Any] | None:
    values = arrays.get(name)
    if values is None:
        return None
    if values.shape != shape or not np.issubdtype(values.dtype, np.floating):
        raise DatasetError(f"{path}: {name} are {values.dtype} {values.shape}; expected floats {shape}")
    if not np.isfinite(values[detected]).all():
        raise DatasetError(f"{path}: {name} are not finite in a frame with a face")
    return values


def _save(path: Path, **arrays: Any) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # Opened here, because numpy leaks the handle of a broken archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise DatasetError(f"{path}: missing") from None
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: not a readable landmark file (.npz): {error}") from error
    if absent := {"landmarks", "detected", "detector"} - set(arrays):
        raise DatasetError(f"{path}: lacks the arrays {', '.join(sorted(absent))}")
    return arrays
