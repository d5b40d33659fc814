"""What drives a portrait: facial landmarks, and what the detector says beside them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emojibench.types import Landmarks


@dataclass(frozen=True, repr=False)
class DrivingSequence:
    """T frames of facial landmarks that drive a portrait."""

    landmarks: Landmarks
    """(T, 478, 3); NaN where no face was found."""
    fps: float
    """Frames per second."""
    size: tuple[int, int]
    """(width, height) in pixels of the frames that the landmarks were detected on."""
    detector: str
    """Id of the detector that made the landmarks (`emojibench.face.Detector.id`)."""
    transforms: NDArray[np.float64] | None = None
    """(T, 4, 4) rigid head poses, canonical face to camera, cm; only the `.task` detector gives them."""
    blendshapes: NDArray[np.float32] | None = None
    """(T, 52) expression coefficients in [0, 1]; only the `.task` detector gives them."""

    @property
    def detected(self) -> NDArray[np.bool_]:
        """(T,) True where a face was found."""
        return np.asarray(~np.isnan(self.landmarks).any(axis=(1, 2)))

    def __len__(self) -> int:
        return len(self.landmarks)

    def __repr__(self) -> str:
        width, height = self.size
        return (
            f"DrivingSequence({len(self)} frames of {width}x{height} at {self.fps:g} fps, "
            f"face in {self.detected.sum()}, {self.detector})"
        )
