"""The motion files of the official Follow-Your-Emoji release, in and out.

Such a file is `np.save` of a list with one dict per frame, hence a pickle; `numpy_pickle` reads it without unpickling.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.dataset.landmarks import checked_driving
from emojibench.dataset.numpy_pickle import read_frames, write_frames
from emojibench.errors import DatasetError, UserError
from emojibench.face.driving import DrivingSequence
from emojibench.face.points import POINTS
from emojibench.files.arrays import LIMIT, ArraySpec, read_npz
from emojibench.files.reading import read_bytes
from emojibench.media import write_bytes

DETECTOR = "fye-motion-file"
"""Detector id of imported motions: MediaPipe's FaceLandmarker, in a version that the files do not state."""
_SHAPES = {"lmks": (POINTS, 3), "trans_mat": (4, 4), "bs": (51,)}
"""Of one frame."""
_TWIN = {
    "lmks": ArraySpec("f", ("T", POINTS, 3)),
    "trans_mat": ArraySpec("f", ("T", 4, 4)),
    "bs": ArraySpec("f", ("T", 51)),
    "size": ArraySpec("iu", (2,)),
}


def read_fye_motion(path: str | Path, *, fps: float = 25.0) -> DrivingSequence:
    """Read an official motion file (`.npy`), or its pickle-free twin (`.npz`), as a driving sequence.

    Args:
        path: `.npy`: object array (T,) of dicts with `lmks` (478, 3), `trans_mat` (4, 4), `bs` (51), `width`
            and `height`; `.npz`: the same as arrays over time, with `size` = (width, height).
        fps: frames per second; the files do not say.

    The 51 blendshapes become columns 1 to 51; column 0, MediaPipe's `_neutral`, is not in the file: 0.

    Raises:
        DatasetError: not such a file, damaged, values that are not finite or out of range, a pickle of anything but
            numpy arrays and plain containers.
    """
    path = Path(path)
    columns = read_npz(path, _TWIN, error=DatasetError) if path.suffix == ".npz" else _from_npy(path)
    landmarks = columns["lmks"]
    arrays = {
        "landmarks": landmarks,
        "detected": ~np.isnan(landmarks).any(axis=(1, 2)),
        "detector": np.str_(DETECTOR),
        "fps": np.float64(fps),
        "size": columns["size"],
        "transforms": columns["trans_mat"],
        "blendshapes": np.pad(columns["bs"], ((0, 0), (1, 0))),
    }
    return checked_driving(arrays, str(path))


def write_fye_motion(path: Path, driving: DrivingSequence) -> None:
    """Write a driving sequence as an official motion file (`.npy`), which numpy 1 and 2 load alike.

    The dict of a frame has what the official code reads: `lmks` (478, 3), `lmks3d` (468, 3; the face in centimetres,
    head pose undone), `trans_mat` (4, 4) and `bs` (51), and `width` and `height`. The list of triangles, `faces`, which
    official files carry and nothing reads, is left out.

    Raises:
        DatasetError: the landmarks came without head poses and blendshapes, or a frame has no face: the format
            knows no such frames.
        WriteError: the file cannot be written.
    """
    if driving.transforms is None or driving.blendshapes is None:
        raise DatasetError(
            f"the landmarks of {driving.detector} come without head poses and blendshapes; use --detector task"
        )
    if not driving.detected.all():
        missing = len(driving) - int(driving.detected.sum())
        raise DatasetError(
            f"{missing} of {len(driving)} frames have no face; the format knows no such frames"
        )
    from emojibench.face.geometry import canonical_faces

    landmarks = driving.landmarks.astype(np.float64)
    try:
        faces = canonical_faces(landmarks, driving.transforms, driving.size)
    except ValueError as error:
        raise DatasetError(str(error)) from error
    width, height = driving.size
    frames = [
        {
            "lmks": points,
            "lmks3d": face,
            "trans_mat": transform,
            "bs": shapes.tolist(),
            "width": int(width),
            "height": int(height),
        }
        for points, face, transform, shapes in zip(
            landmarks, faces, driving.transforms, driving.blendshapes[:, 1:], strict=True
        )
    ]
    write_bytes(path, write_frames(frames))


def _from_npy(path: Path) -> dict[str, NDArray[Any]]:
    try:
        data = read_bytes(path, limit=LIMIT, advice="cut it into shorter ones")
    except UserError as error:
        raise DatasetError(str(error)) from error
    try:
        frames = read_frames(data)
        if not frames:
            raise ValueError("no frames")
        sizes = {(frame["width"], frame["height"]) for frame in frames}
        if len(sizes) != 1:
            raise ValueError(f"frames of {len(sizes)} sizes")
        size = sizes.pop()
        if not all(isinstance(side, int) for side in size):
            raise ValueError(f"`width` and `height` are {size}; expected whole numbers")
        stacked = {name: np.stack([_array(frame[name], name) for frame in frames]) for name in _SHAPES}
    except KeyError as error:
        raise DatasetError(f"{path}: not an official motion file: a frame has no {error}") from error
    # numpy's reader of headers stumbles in many ways over a damaged one; all of them mean the same here.
    except Exception as error:
        raise DatasetError(f"{path}: not an official motion file: {error}") from error
    return stacked | {"size": np.array(size)}


def _array(value: object, name: str) -> NDArray[Any]:
    """One value of a frame: an array, or a flat list of numbers."""
    shape = _SHAPES[name]
    if (
        isinstance(value, list)
        and len(value) == math.prod(shape)
        and all(type(v) in (float, int) for v in value)
    ):
        value = np.array(value, np.float64)
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind != "f":
        what = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"`{name}` is {what}; expected floats {shape}")
    return value
