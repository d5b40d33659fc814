"""The released architecture with random weights, and ways to sample it: what the two speed benchmarks share.

Only denoising is sampled, from random noise and with random features of the landmarks; all of it stays on the device.
Random weights take as long as trained ones.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NoReturn

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import SchedulerMixin
from diffusers.models.attention_processor import Attention
from fye_faster.accel.accelerator import Accelerator, ClipInfo
from fye_faster.diffusion.sampler import (
    Condition,
    Guided,
    Predict,
    Progress,
    no_anchors,
    overlapping_windows,
    pieces,
)
from fye_faster.models.released import CLIP_WIDTH, RELEASED, ReleasedModel, ReleasedPreset
from fye_faster.nets.animator import Portrait
from fye_faster.nets.reference_attention import install, spatial_blocks
from fye_faster.pipelines.mini import silent
from torch import Tensor

SMALL = replace(
    RELEASED,
    name="small",
    widths=(32, 32, 64, 64),
    landmark_widths=(8, 8, 8, 8),
    autoencoder_widths=(32, 32, 32, 32),
    clip_layers=1,
)
"""For trying the benchmarks without a GPU."""

TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1}
"""Largest relative distance of two results that differ by rounding alone, by the networks' type."""

Sampler = Callable[..., Tensor]
"""As `fye_faster.diffusion.long_clips.SAMPLERS` has them."""


class Parser(argparse.ArgumentParser):
    """Shows the description as it is written, and of a wrong option one line."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


@dataclass(frozen=True)
class Network:
    """Networks that know a portrait."""

    model: ReleasedModel
    portrait: Portrait
    device: torch.device

    @property
    def preset(self) -> ReleasedPreset:
        """Its sizes."""
        return self.model.preset


def build(preset: ReleasedPreset, device: torch.device, dtype: torch.dtype) -> Network:
    """Random weights, made on the device, and a random portrait, remembered."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            model = ReleasedModel(preset).eval().requires_grad_(False)
            model.to(memory_format=torch.channels_last)  # as `ReleasedPipeline` lays it out
    finally:
        torch.set_default_dtype(before)
    side = preset.latent_size
    with torch.inference_mode():
        latents, tokens = (torch.randn(s, device=device) for s in ((1, 4, side, side), (1, 257, CLIP_WIDTH)))
        portrait = model.animator.encode_reference(latents, tokens)
        model.animator.set_reference(portrait)
    return Network(model, portrait, device)


def concatenated(
    condition: Condition, noise: Tensor, scheduler: SchedulerMixin, *, length: int, progress: Progress
) -> Tensor:
    """Windows side by side, none of them wasted where `length` divides the clip."""
    windows = pieces(noise.shape[2], length)
    return overlapping_windows(condition, noise, scheduler, windows=windows, progress=progress)


def wrapping(
    condition: Condition, noise: Tensor, scheduler: SchedulerMixin, *, length: int, progress: Progress
) -> Tensor:
    """The windows of the released loop: side by side, the last goes on with the first frames of the clip.

    Where two windows meet in a frame, their predictions are averaged.
    """
    frames = noise.shape[2]
    starts = range(0, frames, length) if frames > length else (0,)
    windows = [[(start + k) % frames for k in range(min(length, frames))] for start in starts]
    predictions = [condition(window, no_anchors(noise[:, :, window])) for window in windows]
    condition = [torch.tensor(window, device=noise.device) for window in windows]
    mass = torch.zeros_like(noise[:1, :1, :, :1, :1])
    for place in condition:
        mass[:, :, place] += 1
    latents = noise
    for step, t in enumerate(scheduler.timesteps):
        v = torch.zeros_like(latents)
        for j, (place, predict) in enumerate(zip(condition, predictions, strict=True)):
            v[:, :, place] += predict(latents[:, :, place], step)
            progress(step * len(windows) + j + 1, len(scheduler.timesteps) * len(windows))
        latents = scheduler.step(v / mass, t, latents).prev_sample
    return latents


@dataclass(frozen=True)
class _Source:
    """What the released attention reads anew at each step: reference features or image prompt, (1, M, C)."""

    tokens: Tensor
    unconditional: int = 0
    """B_u, as in `reference_attention.Memory`."""

    def alone(self, rows: int) -> int:
        """How many of the (sample, frame) rows are unconditional."""
        return rows // (self.unconditional + 1) * self.unconditional


class _SelfAttention:
    """Reference attention of all rows; for the unconditional ones it is thrown away and done again without."""

    memory: _Source

    def __call__(self, attn: Attention, hidden_states: Tensor, **_: object) -> Tensor:
        rows = len(hidden_states)
        joined = torch.cat([hidden_states, self.memory.tokens.expand(rows, -1, -1)], 1)
        answer = _attend(attn, hidden_states, joined)
        alone = torch.arange(rows, device=hidden_states.device) < self.memory.alone(rows)
        answer[alone] = _attend(attn, hidden_states[alone], hidden_states[alone])
        return answer


class _CrossAttention:
    """Keys and values of the image prompt, or of as many blank tokens, for each row anew."""

    memory: _Source
    blank: Tensor
    """(D,), of the unconditional rows."""

    def __call__(self, attn: Attention, hidden_states: Tensor, **_: object) -> Tensor:
        rows = len(hidden_states)
        alone, tokens = self.memory.alone(rows), self.memory.tokens
        prompts = [self.blank.expand_as(tokens).expand(alone, -1, -1), tokens.expand(rows - alone, -1, -1)]
        return _attend(attn, hidden_states, torch.cat(prompts))


def _attend(attn: Attention, hidden_states: Tensor, source: Tensor) -> Tensor:
    query, key, value = (
        projection(tokens).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        for projection, tokens in ((attn.to_q, hidden_states), (attn.to_k, source), (attn.to_v, source))
    )
    answer = F.scaled_dot_product_attention(query, key, value)
    return attn.to_out[0](answer.transpose(1, 2).flatten(2))


@contextmanager
def released_attention(network: Network) -> Iterator[None]:
    """Inside, the denoiser attends to the portrait as the released code does: same results, more work."""
    animator, portrait = network.model.animator, network.portrait
    for block, features in zip(spatial_blocks(animator.denoiser), portrait.features, strict=True):
        own, cross = _SelfAttention(), _CrossAttention()
        own.memory, cross.memory = _Source(features), _Source(portrait.tokens)
        cross.blank = animator.denoiser.encoder_hid_proj.bias
        block.attn1.set_processor(own)
        block.attn2.set_processor(cross)
    try:
        yield
    finally:
        install(animator.denoiser)
        animator.set_reference(portrait)


def sample(
    network: Network,
    frames: int,
    steps: int,
    accelerator: Accelerator | None = None,
    *,
    window: int,
    sampler: Sampler = concatenated,
    progress: Progress = silent,
) -> Tensor:
    """Latents (1, 4, T, h, w) in fp32; the same noise and condition in each call."""
    accelerator = accelerator or Accelerator()
    preset, device = network.preset, network.device
    grid = (preset.latent_size,) * 2
    generator = torch.Generator(device).manual_seed(1)

    def draw(channels: int) -> Tensor:
        return torch.randn(1, channels, frames, *grid, generator=generator, device=device)

    noise, features = draw(4), draw(preset.widths[0]).to(network.model.animator.denoiser.dtype)
    scheduler = accelerator.scheduler(steps)
    timesteps = scheduler.timesteps.to(device)  # the scheduler keeps its own on the CPU: it looks values up

    def condition(chosen: list[int], _anchors: Tensor | None) -> Predict:
        guided = Guided(network.model.animator, features[:, :, chosen], timesteps, preset.guidance, 1.0, 0.0)
        return accelerator.around(guided, chosen)

    clip = ClipInfo(
        frames, grid, lambda chosen: _maps(preset.resolution, device).expand(len(chosen), -1, -1, -1)
    )
    with torch.inference_mode(), accelerator.attached(network.model.animator.denoiser, clip):
        return sampler(condition, noise, scheduler, length=window, progress=progress)


def _maps(side: int, device: torch.device) -> Tensor:
    """A condition map (1, 3, H, W) with a stroke across the middle: masks need something drawn."""
    maps = torch.zeros(1, 3, side, side, device=device)
    maps[:, :, side // 2, side // 4 : -side // 4] = 1
    return maps


def distance(a: Tensor, b: Tensor) -> float:
    """Relative: ||a - b|| / ||b||."""
    return float((a.float() - b.float()).norm() / b.float().norm())


def seconds(work: Callable[[], object], device: torch.device, repeats: int = 1) -> float:
    """Wall-clock seconds of the fastest call, the device's work included."""
    times = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - start)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
