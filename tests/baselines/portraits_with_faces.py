"""Portraits with landmarks for the embedded methods: rendered, then read by the benchmark's detector."""

from dataclasses import dataclass

import numpy as np

from emojibench.dataset.clip import Clip
from emojibench.face.driving import DrivingSequence
from emojibench.types import Image, Landmarks

FPS = 25.0


@dataclass(frozen=True)
class Portrait:
    domain: str
    image: Image
    landmarks: Landmarks


def make_clip(portrait: Portrait, driving: Landmarks, *, face_on_portrait: bool = True) -> Clip:
    """A self clip: the driving landmarks are the targets."""
    height, width = portrait.image.shape[:2]
    return Clip(
        clip_id="self-0000",
        split="self",
        domain=portrait.domain,
        subject="a",
        driving_subject="a",
        portrait=portrait.image,
        portrait_landmarks=portrait.landmarks if face_on_portrait else None,
        driving=DrivingSequence(np.asarray(driving, np.float32), FPS, (width, height), "test"),
    )
