"""A trainer and data that train in milliseconds."""

from pathlib import Path

import numpy as np
import torch
from fye_faster.models.checkpoint import Model
from fye_faster.presets import Preset
from fye_faster.train.data import TrainingSet
from fye_faster.train.mini import MiniTrainer
from fye_faster.train.recipe import Recipe


def training_set() -> TrainingSet:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 9, 64, 64, 3), np.uint8)
    landmarks = rng.uniform(0.3, 0.7, (3, 9, 478, 3)).astype(np.float32)
    warped = rng.integers(0, 256, (3, 2, 9, 64, 64, 3), np.uint8)
    return TrainingSet(frames, landmarks, warped, ((1, 2, 3, 4), (5, 6, 7, 8)), ((1, 4, 8),))


def trainer(
    preset: Preset, data: TrainingSet, out: Path | None, steps: tuple[int, int, int, int]
) -> MiniTrainer:
    torch.manual_seed(0)
    recipe = Recipe(
        minutes=0, steps=steps, crops=2, crop=32, portraits=2, targets=2, clips=1, decoded=2, warm_up=2
    )
    return MiniTrainer(Model(preset), data, recipe, out, lambda _record: None)
