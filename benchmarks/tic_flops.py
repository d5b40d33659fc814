"""What a step skipped by the Taylor cache costs on the full-size architecture, and the speedups that follow.

    python benchmarks/tic_flops.py [--size 256 512] [--mini]

Counts FLOPs (two for each multiply-add) with torch's counter on the meta device: no weights, no arithmetic. The network
is Stable Diffusion 1.5's UNet with AnimateDiff v2 motion modules, 257 context tokens and self-attention over own
and reference tokens; one guidance row of 16 frames. Prints GFLOP for each frame and evaluation, the cost of a
skipped step for each scope, and the speedup of 30 steps for N = 2, 3, 5; last, whether order, mask or predictor
change any of it.
"""

import argparse

import torch
from diffusers import UNetMotionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from fye_faster.accel.tic import LandmarkMasks, TaylorCache, TaylorCacheConfig, uniform
from fye_faster.nets.animator import denoising_unet
from fye_faster.presets import MINI
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

STEPS, FRAMES, CONTEXT = 30, 16, 257
CONFIGURATIONS: dict[str, dict[str, object]] = {
    "attention": {"scope": "attention"},
    "transformer": {"scope": "transformer"},
    "deep, cut 0": {"scope": "deep", "cut": 0},
    "deep, cut 1": {"scope": "deep", "cut": 1},
    "deep, cut 2": {"scope": "deep", "cut": 2},
    "deep, cut 3": {"scope": "deep", "cut": 3},
    "head, features": {"scope": "head"},
    "head, output": {"scope": "head", "quantity": "output"},
}
VARIANTS: dict[str, dict[str, object]] = {
    "order 0": {"order": 0},
    "order 3": {"order": 3},
    "newton": {"predictor": "newton", "order": 3},
    "mask and G": {"mask": "expression", "boundary": None},
}


class JoinedSelfAttention(AttnProcessor2_0):
    """Self-attention whose keys and values come from own and as many reference tokens; only shapes matter."""

    def __call__(self, attn: Attention, hidden_states: Tensor, **_: object) -> Tensor:
        """(rows, N, C) to (rows, N, C)."""
        return super().__call__(attn, hidden_states, torch.cat([hidden_states, hidden_states], 1))


def full_size() -> nn.Module:
    with torch.device("meta"):
        unet = UNetMotionModel(
            block_out_channels=(320, 640, 1280, 1280),
            cross_attention_dim=768,
            num_attention_heads=8,
            motion_num_attention_heads=8,
            use_motion_mid_block=True,
        )
    for module in unet.modules():
        if isinstance(module, Transformer2DModel):
            for block in module.transformer_blocks:
                block.attn1.set_processor(JoinedSelfAttention())
    return unet.eval().requires_grad_(False)


Inputs = tuple[Tensor, Tensor | None]
"""Latents (1, C, F, h, w) and context tokens of a network."""


def full_size_inputs(size: int) -> Inputs:
    side = size // 8
    noisy = torch.empty(1, 4, FRAMES, side, side, device="meta")
    return noisy, torch.empty(FRAMES, CONTEXT, 768, device="meta")


def mini() -> nn.Module:
    with torch.device("meta"):
        return denoising_unet(MINI).eval().requires_grad_(False)


def mini_inputs() -> Inputs:
    """Latents and the features that are added after the first convolution; the portrait is forgotten."""
    channels = MINI.latent_channels + MINI.widths[0]
    return torch.empty(1, channels, FRAMES, MINI.latent_size, MINI.latent_size, device="meta"), None


def gigaflops(unet: nn.Module, inputs: Inputs) -> float:
    """For each frame of one evaluation."""
    noisy, context = inputs
    with FlopCounterMode(display=False) as counter:
        unet(noisy, torch.zeros(1, device="meta"), context)
    return counter.get_total_flops() / FRAMES / 1e9


def skipped(unet: nn.Module, inputs: Inputs, arguments: dict[str, object]) -> float:
    """GFLOP for each frame of a skipped step, after enough full ones for any order."""
    settings = {"mask": "none", "boundary": 0} | arguments
    cache = TaylorCache(TaylorCacheConfig(uniform(STEPS, 3), **settings))
    grid = tuple(inputs[0].shape[-2:])
    masks = None if settings["mask"] == "none" else LandmarkMasks(torch.ones(FRAMES, *grid), grid)
    with cache.attached(unet):
        cache.start(FRAMES, masks)
        for step in range(11):
            with cache.step(step, window=range(FRAMES), rows=("conditional",)):
                cost = gigaflops(unet, inputs)
    return cost


def report(title: str, unet: nn.Module, inputs: Inputs) -> None:
    full = gigaflops(unet, inputs)
    clip = full * 64 * 2 * STEPS / 1e3
    print(f"{title}: full step {full:.1f} GFLOP a frame; 64 frames, two rows, 30 steps {clip:.0f} TFLOP")
    print(f"{'scope':16s} {'skipped':>9s} {'N=2':>6s} {'N=3':>6s} {'N=5':>6s} {'limit':>6s}")
    for name, arguments in CONFIGURATIONS.items():
        residual = skipped(unet, inputs, arguments) / full
        counts = [len(uniform(STEPS, interval).full) for interval in (2, 3, 5)]
        speedups = [STEPS / (count + (STEPS - count) * residual) for count in counts]
        print(
            f"{name:16s} {residual:8.2%}",
            *(f"{speedup:6.2f}" for speedup in speedups),
            f"{1 / residual:6.3g}",
        )
    reference = skipped(unet, inputs, {})
    for name, arguments in VARIANTS.items():
        print(f"deep, {name}: skipped step {skipped(unet, inputs, arguments) / reference:.6f} of order 1")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs="*", default=[256, 512], help="pixels, a multiple of 64")
    parser.add_argument("--mini", action="store_true", help="the packaged preset as well")
    options = parser.parse_args()
    unet = full_size()
    for size in options.size:
        report(f"{size} px", unet, full_size_inputs(size))
    if options.mini:
        report("mini", mini(), mini_inputs())


if __name__ == "__main__":
    main()
