"""Clips that need no dataset."""

from pathlib import Path

import numpy as np

from emojibench.dataset.clip import Clip
from emojibench.face.driving import DrivingSequence

BASELINE = Path(__file__).parent / "fake_baseline.py"
SIZE, FRAMES = 64, 6


def make_clip(number: int = 0, video: bool = True) -> Clip:
    random = np.random.default_rng(number)
    small = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    portrait = small.repeat(SIZE // 8, axis=0).repeat(SIZE // 8, axis=1)
    driving = random.integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    landmarks = random.random((FRAMES, 478, 3), np.float32)
    return Clip(
        clip_id=f"clip-{number}", split="cross", domain="real", subject="a", driving_subject="b", portrait=portrait,
        portrait_landmarks=landmarks[0], driving=DrivingSequence(landmarks, 25.0, (SIZE, SIZE), "none"),
        load_driving_frames=(lambda: driving) if video else None,
    )  # fmt: skip
