"""A configuration that runs in milliseconds, and a made-up face."""

from pathlib import Path

import numpy as np
from fye_faster.presets import Preset

SHARED = Path(__file__).parents[2].parent / "shared"

TINY = Preset(
    name="tiny",
    resolution=64,
    latent_channels=4,
    downscale=8,
    autoencoder_widths=(8, 8),
    decoder_widths=(8, 8, 8),
    widths=(16, 16, 32),
    attention=(False, True, True),
    heads=(2, 2, 2),
    layers=1,
    norm_groups=8,
    landmark_widths=(8,),
    landmark_groups=("eyes", "brows", "nose", "lips", "pupils"),
    warp=True,
    queries=3,
    context_dim=32,
    qformer_layers=2,
    motion_length=8,
    window=4,
    residual=0.5,
    shared_noise=0.5,
    temperature=1.0,
    steps=2,
    guidance=3.5,
    guided=1.0,
    guidance_rescale=0.0,
)


def head(seed: int = 0) -> np.ndarray:
    """(478, 3) made-up but fixed facial points in pixels around (100, 120): closed lips, open eyes."""
    rng = np.random.default_rng(seed)
    points = rng.normal(0, (20, 25, 12), (478, 3)) + np.array((100, 120, 0))
    points[13] = points[14] = (100, 140, 20)
    return points
