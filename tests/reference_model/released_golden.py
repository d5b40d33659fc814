"""The tiny network of the golden outputs: its sizes, and weights and inputs made from their names."""

import math
from zlib import crc32

import numpy as np
import torch
from fye_faster.models.released import ReleasedPreset
from fye_faster.models.released_weights import public_names
from torch import Tensor, nn

GOLDEN = ReleasedPreset(
    name="golden",
    resolution=128,
    widths=(32, 64, 64, 64),
    landmark_widths=(16, 32, 96, 256),
    autoencoder_widths=(32, 32, 32, 32),
    clip_layers=1,
    window=4,
    overlap=1,
    steps=2,
    guidance=3.5,
)


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(crc32(name.encode())).standard_normal(shape)


def made_input(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(draw(name, shape).astype(np.float32))


def public_state(module: nn.Module, key: str) -> dict[str, Tensor]:
    """What the public file of a network of this size would hold."""
    return {
        public: made_weight(f"{key}.{public}", tuple(value.shape))
        for name, value in module.state_dict().items()
        for public in public_names(name)
    }


def made_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith(".pe"):
        return positions(*shape[1:])
    n = draw(name, shape)
    if len(shape) > 1:
        n /= math.sqrt(math.prod(shape[1:]))
    else:
        n = 0.1 * n + name.endswith("weight")
    return torch.from_numpy(n.astype(np.float32))


def positions(length: int, width: int) -> Tensor:
    """Sinusoidal positions (1, length, width): sine at even, cosine at odd channels."""
    angle = np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    return torch.from_numpy(np.stack([np.sin(angle), np.cos(angle)], 2).reshape(1, length, width)).float()
