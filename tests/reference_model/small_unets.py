"""UNets that run in milliseconds, and the Taylor cache around them."""

from collections.abc import Sequence

import torch
from diffusers import UNet2DConditionModel, UNetMotionModel
from fye_faster.accel.tic import (
    TaylorCache,
    TaylorCacheConfig,
    uniform,
)
from torch import Tensor, nn

BOTH = ("unconditional", "conditional")


SCOPES = [
    ("attention", None),
    ("transformer", "residual"),
    ("transformer", "features"),
    ("deep", None),
    ("head", "features"),
    ("head", "output"),
]


COMMON = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 12,
}


def build_motion_unet() -> nn.Module:
    torch.manual_seed(0)
    unet = UNetMotionModel(
        **COMMON,
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
        up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
        num_attention_heads=2,
        motion_num_attention_heads=2,
        motion_max_seq_length=8,
        use_motion_mid_block=True,
    )
    return unet.eval().requires_grad_(False)


def build_image_unet() -> nn.Module:
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        **COMMON,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
    )
    return unet.eval().requires_grad_(False)


def latents(step: int, frames: int = 3, rows: int = 2, side: int = 8) -> Tensor:
    """A batch that drifts with the step: (rows, 4, frames, side, side)."""
    generator = torch.Generator().manual_seed(7)
    base, drift = torch.randn(2, rows, 4, frames, side, side, generator=generator)
    return base + 0.1 * step * drift


def call(unet: nn.Module, step: int, frames: int = 3, rows: int = 2, seed: int = 0, side: int = 8) -> Tensor:
    """One evaluation: (rows frames, 4, side, side), or (rows, 4, frames, side, side) with motion modules."""
    noisy, t = latents(step, frames, rows, side) + seed, torch.tensor(900 - 50 * step)
    text = torch.randn(rows, 5, 12, generator=torch.Generator().manual_seed(8))
    # UNetMotionModel repeats the timestep for each frame but wants the text for each.
    text = text.repeat_interleave(frames, 0)
    if isinstance(unet, UNet2DConditionModel):
        return unet(noisy.transpose(1, 2).flatten(0, 1), t, text).sample
    return unet(noisy, t, text).sample


def run(cache: TaylorCache, unet: nn.Module, steps: Sequence[int], **arguments: int) -> list[Tensor]:
    frames = arguments.get("frames", 3)
    outputs = []
    for step in steps:
        with cache.step(step, window=range(frames), rows=BOTH, signal=latents(step)):
            outputs.append(call(unet, step, **arguments))
    return outputs


def config(scope: str, quantity: str | None = None, *, steps: int = 6, interval: int = 3, **more: object):
    more = {"mask": "none", "boundary": 0} | more
    return TaylorCacheConfig(uniform(steps, interval), scope=scope, quantity=quantity, **more)


def forwards(unet: nn.Module) -> dict[str, object]:
    return {name: module.__dict__.get("forward") for name, module in unet.named_modules()}
