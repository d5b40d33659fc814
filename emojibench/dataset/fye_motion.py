"""Importer for the motion files of the official Follow-Your-Emoji release.

Such a file is `np.save` of a list with one dict per frame, hence a pickle. Unpickling runs whatever the file
says, so this reader admits numpy arrays, scalars and dtypes and plain containers, and nothing else.
"""

import pickle
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emojibench.dataset.clip import DrivingSequence
from emojibench.dataset.landmarks import checked_landmarks
from emojibench.errors import DatasetError

DETECTOR = "fye-motion-file"
"""Detector id of imported motions: MediaPipe's FaceLandmarker, in a version that the files do not state."""


def read_fye_motion(path: str | Path, *, fps: float = 25.0) -> DrivingSequence:
    """Read an official motion file (`.npy`), or its pickle-free twin (`.npz`), as a driving sequence.

    Args:
        path: `.npy`: object array (T,) of dicts with `lmks` (478, 3), `trans_mat` (4, 4), `bs` (51), `width`
            and `height`; `.npz`: the same as arrays over time, with `size` = (width, height).
        fps: frames per second; the files do not say.

    The 51 blendshapes become columns 1 to 51; column 0, MediaPipe's `_neutral`, is not in the file: 0.

    Raises:
        DatasetError: not such a file, damaged, or a pickle of anything but numpy arrays and plain containers.
    """
    path = Path(path)
    columns = _from_npz(path) if path.suffix == ".npz" else _from_npy(path)
    try:
        landmarks = checked_landmarks(np.asarray(columns["lmks"]), str(path), dimensions=3)
        count = len(landmarks)
        transforms = np.asarray(columns["trans_mat"], np.float64).reshape(count, 4, 4)
        shapes = np.asarray(columns["bs"], np.float32).reshape(count, 51)
        width, height = (int(side) for side in np.asarray(columns["size"]).reshape(2))
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: not an official motion file: {error}") from error
    return DrivingSequence(
        landmarks=landmarks,
        fps=fps,
        size=(width, height),
        detector=DETECTOR,
        transforms=transforms,
        blendshapes=np.pad(shapes, ((0, 0), (1, 0))),
    )


def _from_npz(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key: file[key] for key in ("lmks", "trans_mat", "bs", "size")}
    except (OSError, KeyError, ValueError, AttributeError, EOFError) as error:
        raise DatasetError(f"{path}: not a readable motion file: {error}") from error


def _from_npy(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            frames = list(_read_objects(file))
        sizes = {(frame["width"], frame["height"]) for frame in frames}
        if len(sizes) != 1:
            raise ValueError(f"frames of {len(sizes)} sizes")
        return {
            "lmks": np.stack([np.asarray(frame["lmks"]) for frame in frames]),
            "trans_mat": np.stack([np.asarray(frame["trans_mat"]) for frame in frames]),
            "bs": np.stack([np.asarray(frame["bs"]) for frame in frames]),
            "size": sizes.pop(),
        }
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such motion file") from None
    # A damaged pickle can end in almost any error; all of them mean the same here.
    except Exception as error:
        raise DatasetError(f"{path}: not an official motion file: {error}") from error


def _read_objects(file: IO[bytes]) -> NDArray[np.object_]:
    """The object array of an .npy file, as `np.load(allow_pickle=True)` reads it, but safely."""
    layout: Any = np.lib.format
    header = {(1, 0): layout.read_array_header_1_0, (2, 0): layout.read_array_header_2_0}
    shape, _, dtype = header[layout.read_magic(file)](file)
    if not dtype.hasobject:
        raise ValueError(f"an array of {dtype}; expected one dict per frame")
    objects = _ArraysOnly(file).load()
    if not isinstance(objects, np.ndarray) or objects.shape != shape:
        raise ValueError("the pickle does not hold the array that the header promises")
    return objects


class _ArraysOnly(pickle.Unpickler):
    """Makes numpy arrays, scalars, dtypes and plain containers; can call nothing else."""

    # Taken from live objects, because numpy moved the functions between modules (core, _core).
    _ADMITTED: ClassVar[dict[str, Any]] = {
        "_reconstruct": np.empty(0).__reduce__()[0],
        "scalar": np.float64(0).__reduce__()[0],
        "ndarray": np.ndarray,
        "dtype": np.dtype,
    }
    _MODULES = frozenset({"numpy", "numpy.core.multiarray", "numpy._core.multiarray"})

    def find_class(self, module: str, name: str) -> Any:
        if module in self._MODULES and name in self._ADMITTED:
            return self._ADMITTED[name]
        raise pickle.UnpicklingError(
            f"the file asks for {module}.{name}; only numpy arrays and plain containers are read"
        )
