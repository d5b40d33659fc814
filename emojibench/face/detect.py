"""Two detectors behind one interface: MediaPipe's bundled face mesh, and its FaceLandmarker `.task` file."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emojibench.errors import UserError
from emojibench.extras import installed, require
from emojibench.face.driving import DrivingSequence
from emojibench.face.points import POINTS
from emojibench.registry import unknown
from emojibench.types import Image, Landmarks

NAMES = ("auto", "bundled", "task")
TASK_WEIGHTS = "face-landmarker-task"
BLENDSHAPES = 52
MOST_FACES = 8
"""Faces that are looked for in one picture, where all are asked for."""

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
    def read_all(self, image: Image) -> list[Face]:
        """Every face of a picture, the most prominent first, at most `MOST_FACES`."""

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
        faces: list[Face | None] = []
        before: object = None
        for frame in frames:
            size = (frame.shape[1], frame.shape[0])
            content = frame.shape, frame.tobytes()
            # A frame that repeats the one before, as in a still picture, is not looked at again.
            faces.append(faces[-1] if content == before else self.read(frame))
            before = content
        if not faces:
            raise UserError("there are no frames to find faces in")
        return sequence_of(faces, fps=fps, size=size, detector=self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sequence_of(
    faces: Sequence[Face | None], *, fps: float, size: tuple[int, int], detector: str
) -> DrivingSequence:
    """A driving sequence of the faces read off T frames of `size` = (width, height); None becomes NaN."""
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
        detector=detector,
        transforms=transforms if rich else None,
        blendshapes=blendshapes if rich else None,
    )


def detector_id(name: str = "auto") -> str:
    """Id of the detector that `open_detector(name)` opens, without opening it.

    Raises:
        UserError: unknown name, or an id that this machine's detectors do not have.
        UnavailableError: MediaPipe is not installed, or the `.task` file is needed and cannot be had.
    """
    return _identify(_choose(name))


def has_detector() -> bool:
    """Whether MediaPipe, which all detectors need, is installed."""
    return installed("mediapipe")


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
        UnavailableError: MediaPipe is not installed, or the `.task` file is needed and cannot be had.
    """
    kind = _choose(name)
    return _FaceMesh(_identify(kind)) if kind == "bundled" else _FaceLandmarker(_identify(kind), _task_file())


def _choose(name: str) -> str:
    require("mediapipe", what="finding landmarks")
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
def quiet() -> Iterator[None]:
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


class _MediaPipe(Detector):
    """Opens a network for one face; another one for all faces when these are asked for, which is seldom."""

    def __init__(self, identity: str) -> None:
        self.id = identity
        self._one = self._open(1)
        self._all: Any = None

    def read(self, image: Image) -> Face | None:
        return next(iter(self._faces(self._one, image)), None)

    def read_all(self, image: Image) -> list[Face]:
        self._all = self._all or self._open(MOST_FACES)
        return self._faces(self._all, image)

    def close(self) -> None:
        for network in filter(None, (self._one, self._all)):
            network.close()

    @abstractmethod
    def _open(self, faces: int) -> Any:
        """A network that finds at most so many faces."""

    @abstractmethod
    def _faces(self, network: Any, image: Image) -> list[Face]:
        """All faces that a network finds."""


class _FaceMesh(_MediaPipe):
    _met_a_face = False

    def _open(self, faces: int) -> Any:
        from mediapipe.python.solutions.face_mesh import FaceMesh

        with quiet():
            mesh = FaceMesh(static_image_mode=True, max_num_faces=faces, refine_landmarks=True)
            mesh.process(_BLANK)  # models load on first use
        return mesh

    def _faces(self, mesh: Any, image: Image) -> list[Face]:
        # The landmark model complains once, about rectangles, on the first face.
        with nullcontext() if self._met_a_face else quiet():
            found = mesh.process(image).multi_face_landmarks or []
        self._met_a_face = self._met_a_face or bool(found)
        return [Face(_array(face.landmark)) for face in found]


class _FaceLandmarker(_MediaPipe):
    def __init__(self, identity: str, model: Path) -> None:
        from mediapipe import Image as Picture
        from mediapipe import ImageFormat

        self._model = model
        self._wrap: Callable[[Image], Any] = lambda image: Picture(
            image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        super().__init__(identity)

    def _open(self, faces: int) -> Any:
        from mediapipe.tasks.python import BaseOptions, vision

        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(self._model)),
            num_faces=faces,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        with quiet():
            landmarker = vision.FaceLandmarker.create_from_options(options)
            landmarker.detect(self._wrap(_BLANK))
        return landmarker

    def _faces(self, landmarker: Any, image: Image) -> list[Face]:
        found = landmarker.detect(self._wrap(image))
        each = zip(
            found.face_landmarks,
            found.facial_transformation_matrixes,
            found.face_blendshapes,
            strict=True,
        )
        return [
            Face(
                landmarks=_array(points),
                transform=np.asarray(transform, np.float64),
                blendshapes=np.array([shape.score for shape in shapes], np.float32),
            )
            for points, transform, shapes in each
        ]
