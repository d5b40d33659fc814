"""Two detectors behind one interface: MediaPipe's bundled face mesh, and its FaceLandmarker `.task` file."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emojibench.dataset.clip import DrivingSequence, Image, Landmarks
from emojibench.errors import UserError
from emojibench.faces.topology import POINTS
from emojibench.registry import unknown

NAMES = ("auto", "bundled", "task")
TASK_WEIGHTS = "face-landmarker-task"
BLENDSHAPES = 52

_BUNDLED_MODELS = (
    "modules/face_detection/face_detection_short_range.tflite",
    "modules/face_landmark/face_landmark_with_attention.tflite",
)


class Face(NamedTuple):
    """What a detector reads off one picture."""

    landmarks: Landmarks
    """(478, 3)."""
    transform: NDArray[np.float64] | None = None
    """(4, 4) canonical face to camera, cm."""
    blendshapes: NDArray[np.float32] | None = None
    """(52,) in [0, 1]."""


class Detector(ABC):
    """Finds the most prominent face of a picture. Stateless: no frame's result depends on another.

    Open it in the process that uses it: MediaPipe's graphs survive neither `fork` nor pickling.
    """

    id: str
    """Name, MediaPipe's version and the first 8 hex digits of the models' sha256."""

    @abstractmethod
    def read(self, image: Image) -> Face | None:
        """Everything the detector knows of one uint8 RGB picture (H, W, 3); None without a face."""

    @abstractmethod
    def close(self) -> None:
        """Free the models."""

    def detect(self, image: Image) -> Landmarks | None:
        """(478, 3) normalised landmarks of one uint8 RGB picture (H, W, 3); None without a face."""
        face = self.read(image)
        return None if face is None else face.landmarks

    def detect_video(self, frames: Iterable[Image], *, fps: float) -> DrivingSequence:
        """Landmarks of every frame, NaN where there is no face; frames may stream.

        Head transforms and blendshapes come along where this detector gives them.

        Raises:
            UserError: no frames.
        """
        size = (0, 0)
        faces = []
        for frame in frames:
            size = (frame.shape[1], frame.shape[0])
            faces.append(self.read(frame))
        if not faces:
            raise UserError("there are no frames to find faces in")
        landmarks = np.full((len(faces), POINTS, 3), np.nan, np.float32)
        transforms = np.full((len(faces), 4, 4), np.nan)
        blendshapes = np.full((len(faces), BLENDSHAPES), np.nan, np.float32)
        for k, face in enumerate(faces):
            if face is None:
                continue
            landmarks[k] = face.landmarks
            if face.transform is not None and face.blendshapes is not None:
                transforms[k], blendshapes[k] = face.transform, face.blendshapes
        rich = any(face is not None and face.transform is not None for face in faces)
        return DrivingSequence(
            landmarks=landmarks,
            fps=fps,
            size=size,
            detector=self.id,
            transforms=transforms if rich else None,
            blendshapes=blendshapes if rich else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def detector_id(name: str = "auto") -> str:
    """Id of the detector that `open_detector(name)` opens, without opening it.

    Raises:
        UserError: unknown name, or an id that this machine's detectors do not have.
        UnavailableError: the `.task` file is needed and cannot be had.
    """
    return _identify(_choose(name))


def gives_transforms(identity: str) -> bool:
    """Whether the detector with this id gives head transforms and blendshapes beside landmarks."""
    return identity.startswith("mediapipe-facelandmarker-")


def open_detector(name: str = "auto") -> Detector:
    """Open a detector by name or by id.

    Args:
        name: `bundled` (face mesh inside the mediapipe wheel, up to 0.10.21), `task` (FaceLandmarker file
            from the weights registry), `auto` (bundled where the wheel carries it, else task), or a full id.

    Raises:
        UserError: unknown name, or an id that this machine's detectors do not have.
        UnavailableError: the `.task` file is needed and cannot be had.
    """
    kind = _choose(name)
    return _FaceMesh(_identify(kind)) if kind == "bundled" else _FaceLandmarker(_identify(kind), _task_file())


def _choose(name: str) -> str:
    if name == "auto":
        return "bundled" if _bundled_files() else "task"
    if name == "bundled" and not _bundled_files():
        raise UserError(
            f"mediapipe {version('mediapipe')} carries no face-mesh models; install mediapipe==0.10.21, or "
            "use the detector 'task'"
        )
    if name in NAMES:
        return name
    if not name.startswith("mediapipe-"):
        raise UserError(unknown("detector", name, NAMES))
    kind = "bundled" if name.startswith("mediapipe-facemesh-") else "task"
    here = _identify(_choose(kind))
    if here != name:
        raise UserError(
            f"detector {name} is not on this machine, which has {here}; install the mediapipe version in its "
            "name, or detect the landmarks again with another detector"
        )
    return kind


def _identify(kind: str) -> str:
    if kind == "bundled":
        return f"mediapipe-facemesh-{version('mediapipe')}-{_digest(_bundled_files())}"
    return f"mediapipe-facelandmarker-{version('mediapipe')}-{_digest([_task_file()])}"


def _bundled_files() -> list[Path]:
    """The bundled face mesh's models; empty where the wheel lacks any of them."""
    spec = find_spec("mediapipe")  # does not import it
    roots = spec.submodule_search_locations if spec else None
    files = [Path(root, model) for root in roots or () for model in _BUNDLED_MODELS]
    return files if files and all(file.is_file() for file in files) else []


def _task_file() -> Path:
    from emojibench.weights import find

    return find(TASK_WEIGHTS)


def _digest(files: list[Path]) -> str:
    joint = hashlib.sha256()
    for file in files:
        joint.update(file.read_bytes())
    return joint.hexdigest()[:8]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what C++ writes to file descriptor 2 while models load; no Python setting reaches it."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _array(points: Any) -> Landmarks:
    return np.array([(point.x, point.y, point.z) for point in points], np.float32)


_BLANK = np.zeros((64, 64, 3), np.uint8)


class _FaceMesh(Detector):
    def __init__(self, identity: str) -> None:
        from mediapipe.python.solutions.face_mesh import FaceMesh

        self.id = identity
        with _quiet():
            self._mesh = FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True)
            self._mesh.process(_BLANK)  # models load on first use
        self._met_a_face = False

    def read(self, image: Image) -> Face | None:
        if self._met_a_face:
            found = self._mesh.process(image).multi_face_landmarks
        else:  # the landmark model complains once, about rectangles, on the first face
            with _quiet():
                found = self._mesh.process(image).multi_face_landmarks
        if not found:
            return None
        self._met_a_face = True
        return Face(_array(found[0].landmark))

    def close(self) -> None:
        self._mesh.close()


class _FaceLandmarker(Detector):
    def __init__(self, identity: str, model: Path) -> None:
        from mediapipe import Image as Picture
        from mediapipe import ImageFormat
        from mediapipe.tasks.python import BaseOptions, vision

        self.id = identity
        self._wrap: Callable[[Image], Any] = lambda image: Picture(
            image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        with _quiet():
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
            self._landmarker.detect(self._wrap(_BLANK))

    def read(self, image: Image) -> Face | None:
        found = self._landmarker.detect(self._wrap(image))
        if not found.face_landmarks:
            return None
        return Face(
            landmarks=_array(found.face_landmarks[0]),
            transform=np.asarray(found.facial_transformation_matrixes[0], np.float64),
            blendshapes=np.array([shape.score for shape in found.face_blendshapes[0]], np.float32),
        )

    def close(self) -> None:
        self._landmarker.close()
