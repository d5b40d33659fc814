"""A trainer and data that train in milliseconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fye_faster.models.checkpoint import Model
from fye_faster.presets import Preset
from fye_faster.train.batches import ClipBatch
from fye_faster.train.data import TrainingSet
from fye_faster.train.mini import MiniTrainer
from fye_faster.train.recipe import Recipe


def training_set() -> TrainingSet:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 9, 8, 8, 3), np.uint8)
    frames = np.stack([[cv2.resize(frame, (64, 64)) for frame in sequence] for sequence in coarse])
    landmarks = rng.uniform(0.3, 0.7, (3, 9, 478, 3)).astype(np.float32)
    return TrainingSet(frames, landmarks, 2, ((1, 2, 3, 4), (5, 6, 7, 8)), ((1, 4, 8),))


def trainer(
    preset: Preset, data: TrainingSet, out: Path | None, steps: tuple[int, int, int, int]
) -> MiniTrainer:
    torch.manual_seed(0)
    recipe = Recipe(
        minutes=0, steps=steps, crops=2, crop=32, portraits=2, targets=2, clips=1, decoded=2, warm_up=2
    )
    return MiniTrainer(Model(preset), data, recipe, out, lambda _record: None)


def killed_and_continued(make: Callable[[Path], Any], folder: Path, saves: int) -> tuple[Any, Any]:
    """The weights of a training in one go, and a trainer that took up the same one.

    Args:
        make: a trainer that writes to a folder.
        folder: for both.
        saves: the draw of frames before which a checkpoint is written; the next draw never comes.
    """

    class KilledError(Exception):
        pass

    whole, broken = make(folder / "whole").run(), make(folder / "broken")
    original, calls = broken.batches.frames, 0

    def dies_in_the_middle(portraits: int, targets: int) -> ClipBatch:
        nonlocal calls
        calls += 1
        if calls == saves:
            broken.save()
        if calls > saves:
            raise KilledError
        return original(portraits, targets)

    broken.batches.frames = dies_in_the_middle
    with pytest.raises(KilledError):
        broken.run()
    again = make(folder / "broken")
    assert again.resume()
    return whole, again
