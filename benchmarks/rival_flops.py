"""Counted FLOPs of denoising one clip with the methods that sample the reference model.

    python benchmarks/rival_flops.py [--frames 64] ["fye+tic interval=5" ...]

Counts what the denoiser of preset `mini` really executes (torch's counter, two FLOPs for each multiply-add), on the
meta device: no arithmetic is done. All windows and guidance rows as in a benchmark run; condition maps, autoencoder
and appearance net are not part of it. Each argument is a method with its options; without any, a list of them. An
adaptive schedule depends on values and cannot be counted this way.
"""

import argparse
from collections import Counter
from unittest.mock import patch

import torch
from torch.utils.flop_counter import FlopCounterMode

from baselines._reference_model import ReferenceModel
from emojibench import registry
from reference_model.acceleration import Accelerator, ClipInfo
from reference_model.checkpoint import Model
from reference_model.networks import Animator
from reference_model.pipeline import Pipeline
from reference_model.presets import MINI
from reference_model.sampler import Guided, plan

METHODS = (
    "fye-faster",
    "fye+half",
    "fye+half steps=10",
    "fye+dpm",
    "fye+unipc",
    "fye+tic",
    "fye+tic scope=attention",
    "fye+tic scope=transformer",
    "fye+tic scope=deep",
    "fye+tic interval=5",
    "fye+tic schedule=warm-up",
    "fye+reuse",
    "fye+deepcache",
    "fye+deepcache schedule=non-uniform",
    "fye+deepcache cut=1",
    "fye+deepcache cut=2",
    "fye+deepcache interval=5",
    "fye+pab",
    "fye+tome",
    "fye+tome ratio=0.75",
    "fye+tome downsample=2",
    "fye+prune",
    "fye+prune ratio=0.75",
    "fye+prune downsample=2",
)


def animator() -> Animator:
    """The networks of `mini` on the meta device, remembering a portrait."""
    with torch.device("meta"):
        model = Animator(MINI).eval().requires_grad_(False)
        latents = torch.empty(1, MINI.latent_channels, MINI.latent_size, MINI.latent_size)
        model.remember(model.look(latents, torch.empty(1, 3, MINI.resolution, MINI.resolution)))
    return model


def count(model: Animator, accelerator: Accelerator, steps: int, frames: int) -> int:
    """FLOPs of the denoiser for one clip: windows know nothing of each other, so each length is counted once."""
    lengths = Counter(len(window.frames) for window in plan(frames, MINI.window))
    return sum(times * count_window(model, accelerator, steps, length) for length, times in lengths.items())


def count_window(model: Animator, accelerator: Accelerator, steps: int, frames: int) -> int:
    """FLOPs of the denoiser for one window."""
    scheduler = accelerator.scheduler(steps)
    grid = (MINI.latent_size,) * 2
    maps = torch.zeros(3, MINI.resolution, MINI.resolution)
    noise = torch.empty(1, MINI.latent_channels, frames, *grid, device="meta")
    places = torch.empty(1, MINI.widths[0] + 2 * MINI.latent_channels, frames, *grid, device="meta")
    guided = Guided(model, places, scheduler.timesteps, MINI.guidance, MINI.guided, MINI.guidance_rescale)
    predict = accelerator.around(guided, list(range(frames)))
    clip = ClipInfo(frames, grid, lambda chosen: maps.expand(len(chosen), -1, -1, -1))
    with FlopCounterMode(display=False) as counter, accelerator.attached(model.denoiser, clip):
        for step in range(steps):  # latents do not matter, so no solver either
            predict(noise, step)
    return counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("methods", nargs="*", default=METHODS, help="a method and its options, in quotes")
    parser.add_argument("--frames", type=int, default=64)
    options = parser.parse_args()
    model, untrained = animator(), Pipeline(Model(MINI))
    whole = count(model, Accelerator(), MINI.steps, options.frames)
    print(f"{options.frames} frames, {MINI.steps} DDIM steps, no cache: {whole / 1e12:.3f} TFLOP", flush=True)
    for text in options.methods:
        name, *settings = text.split()
        kind = registry.load(registry.METHODS, name)
        with patch.object(Pipeline, "from_preset", return_value=untrained):  # counts need no trained weights
            method: ReferenceModel = kind(dict(setting.split("=", 1) for setting in settings))
        flops = count(model, method._accelerator, method._steps, options.frames)
        print(f"{text:36s} {flops / 1e12:7.3f} TFLOP  {whole / flops:5.2f} x", flush=True)


if __name__ == "__main__":
    main()
