"""A trainer and data that train in milliseconds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fye_faster.models.checkpoint import Model
from fye_faster.presets import Preset
from fye_faster.train.critic import Perceptual
from fye_faster.train.data import TrainingSet
from fye_faster.train.mini import MiniTrainer
from fye_faster.train.recipe import Recipe
from torch import nn


def training_set() -> TrainingSet:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 9, 8, 8, 3), np.uint8)
    frames = np.stack([[cv2.resize(frame, (64, 64)) for frame in sequence] for sequence in coarse])
    landmarks = rng.uniform(0.3, 0.7, (3, 9, 478, 3)).astype(np.float32)
    return TrainingSet(frames, landmarks, 2, ((1, 2, 3, 4), (5, 6, 7, 8)), ((1, 4, 8),))


class Pixels:
    """Sees what a picture's pixels are, at five scales."""

    def between(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).square().mean((1, 2, 3))

    def features(self, pictures: torch.Tensor) -> Iterator[torch.Tensor]:
        shown = torch.cat([pictures, torch.ones_like(pictures[:, :1])], 1)
        for side in (2, 2, 4, 4, 8):
            yield nn.functional.normalize(nn.functional.avg_pool2d(shown, side), dim=1)


def trainer(
    preset: Preset,
    data: TrainingSet,
    out: Path | None,
    steps: tuple[int, int, int, int],
    perceptual: Perceptual | None = None,
) -> MiniTrainer:
    torch.manual_seed(0)
    recipe = Recipe(
        minutes=0, steps=steps, crops=2, crop=32, portraits=2, targets=2, clips=1, decoded=2, warm_up=2
    )
    return MiniTrainer(Model(preset), data, recipe, out, lambda _record: None, perceptual)


def killed_and_continued(make: Callable[[Path], Any], folder: Path, saves: int) -> tuple[Any, Any]:
    """The weights of a training in one go, and a trainer that took up the same one.

    Args:
        make: a trainer that writes to a folder.
        folder: for both.
        saves: the batch before which a checkpoint is written; the next one never comes.
    """

    class KilledError(Exception):
        pass

    whole, broken = make(folder / "whole").run(), make(folder / "broken")
    original, calls = broken.batches.draw, 0

    def dies_in_the_middle(phase: str, step: int) -> tuple[Any, ...]:
        nonlocal calls
        calls += 1
        if calls == saves:
            broken.save()
        if calls > saves:
            raise KilledError
        return original(phase, step)

    broken.batches.draw = dies_in_the_middle
    with pytest.raises(KilledError):
        broken.run()
    again = make(folder / "broken")
    assert again.resume()
    return whole, again
