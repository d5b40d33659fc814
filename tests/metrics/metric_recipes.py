"""Seeded pictures, videos, weights and landmark sequences that golden values refer to."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHARED = Path(__file__).parents[2] / "../shared"


def shared(path: str) -> Path:
    """A file of the `shared` folder beside the repository; the test is skipped where it is absent."""
    file = SHARED / path
    if not file.exists():
        pytest.skip(f"needs {path} in the folder 'shared' beside the repository")
    return file


def golden(name: str) -> Any:
    return json.loads(shared(f"golden/{name}.json").read_text())


def picture_file(name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    import cv2

    return np.ascontiguousarray(cv2.imread(str(shared(f"golden/images/{name}")))[..., ::-1])


def find_in(files: dict[str, str]) -> Callable[[str], Path]:
    """A `find_weights` that knows the given files of the `shared` folder."""
    return lambda name: shared(files[name])


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def video(seed: int, count: int, frames: int, height: int, width: int) -> np.ndarray:
    """(N, T, H, W, 3) uint8: drifting coloured waves with noise."""
    r = _generator(seed)
    fx, fy = r.uniform(0.5, 3, (count, 3)), r.uniform(0.5, 3, (count, 3))
    ft, phase = r.uniform(-1, 1, (count, 3)), r.uniform(0, 2 * np.pi, (count, 3))
    t, y, x = (axis[None, ..., None] for axis in np.mgrid[:frames, :height, :width])
    fx, fy, ft, phase = (a[:, None, None, None, :] for a in (fx, fy, ft, phase))
    wave = np.sin(2 * np.pi * (fx * x / width + fy * y / height + ft * t / frames) + phase)
    values = 0.5 + 0.4 * wave + 0.05 * r.standard_normal((count, frames, height, width, 3))
    return np.clip(np.floor(255 * values + 0.5), 0, 255).astype(np.uint8)


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8."""
    return video(seed, 1, 1, height, width)[0, 0]


def noisy(seed: int, image: np.ndarray) -> np.ndarray:
    noise = _generator(seed + 1000).integers(-20, 21, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def fill(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Tensors that follow from their names alone."""
    import torch

    return {name: torch.from_numpy(_filled(name, shape)) for name, shape in shapes.items()}


def _filled(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    r = _generator(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        values = 0.5 + r.random(shape)
    elif name.endswith(("running_mean", "bias")):
        values = 0.1 * r.standard_normal(shape)
    elif len(shape) >= 2:
        values = r.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    else:
        values = 1 + 0.1 * r.standard_normal(shape)
    return np.asarray(values, np.float32)


def shapes(module: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def landmark_case(
    seed: int, frames: int, points: int, sigma: float, drop: float
) -> tuple[np.ndarray, np.ndarray]:
    """Target and generated points (T, K, 2) in pixels; points 0 and 1 are the outer eye corners."""
    r = _generator(seed)
    base = r.uniform(60, 196, (points, 2))
    base[0], base[1] = (90, 110), (166, 110)
    target = base[None] + r.normal(0, 3, (frames, 1, 2))
    error = r.normal(0, 1, (frames, points, 2)) * sigma * r.uniform(0.3, 1.7, (frames, 1, 1))
    generated = target + error
    generated[r.random(frames) < drop] = np.nan
    return target, generated


def face_motion(frames: int = 24, seed: int = 0) -> np.ndarray:
    """(T, 478, 3) normalised landmarks of a swaying, nodding, talking point cloud with eyes in place."""
    r = _generator(seed)
    base = r.uniform(0.3, 0.7, (478, 3)) * [1, 1, 0.1]
    base[33, :2], base[263, :2] = (0.38, 0.45), (0.62, 0.45)
    t = np.arange(frames)[:, None]
    sway = 0.04 * np.sin(2 * np.pi * t / 16)
    nod = 0.03 * np.sin(2 * np.pi * t / 12)
    opening = 0.05 * np.clip(np.sin(2 * np.pi * t / 8), 0, None) * (base[None, :, 1] > 0.6)
    motion = base[None] + np.stack([sway + 0 * opening, nod + opening, 0 * opening], axis=-1)
    return motion.astype(np.float32)
