"""One call from a portrait and landmarks to frames."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emojibench.face import draw as landmarks
from emojibench.face.warp import Warp
from fye_faster import presets
from fye_faster.accel.accelerator import Accelerator, ClipInfo
from fye_faster.diffusion.long_clips import SAMPLERS, check_sampler
from fye_faster.diffusion.sampler import Guided, Predict
from fye_faster.diffusion.schedule import clip_noise
from fye_faster.models import checkpoint
from fye_faster.models.checkpoint import Model
from fye_faster.pipelines import precision

Frames = NDArray[np.uint8]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Animated:
    """Frames and what they cost."""

    frames: Frames
    """(T, H, W, 3) uint8 RGB at the portrait's size."""
    latents: Tensor
    """(T, C, h, w) that they were decoded from, on the pipeline's device."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds of `condition`, `denoise` and `decode`."""


class Pipeline:
    """FYE-Faster on arrays."""

    def __init__(
        self, model: Model, digest: str = "untrained", *, device: str = "cpu", dtype: str = "fp32"
    ) -> None:
        """Wrap a model.

        Args:
            model: in single precision; moved to the device and cast in place.
            digest: names its weights.
            device: `cpu`, `cuda`, or `auto`: CUDA where there is some.
            dtype: of the networks, `fp32`, `bf16` or `fp16`. The noise is drawn and kept in fp32 on any device.

        Raises:
            ValueError: unknown device or dtype, CUDA where there is none, or a model that was cast before.
        """
        self.device, self.dtype = precision.device(device), precision.dtype(dtype)
        precision.check_single(model)
        self.model = model.eval().requires_grad_(False).to(device=self.device)
        self.model = self.model.to(memory_format=torch.channels_last)
        if self.dtype != torch.float32:
            precision.cast(self.model, self.dtype)
        self.preset = model.preset
        self.digest = digest

    @classmethod
    def from_preset(
        cls, name: str = "mini", weights: Path | None = None, *, device: str = "cpu", dtype: str = "fp32"
    ) -> Self:
        """Load a preset with the packaged weights, or with those of a file.

        Raises:
            ValueError: unknown preset, missing or unfit weights, or as the constructor.
        """
        preset = presets.get(name)
        path = weights or checkpoint.packaged(preset)
        model = Model(checkpoint.as_trained(preset, path))
        checkpoint.load(model, path)
        return cls(model, checkpoint.digest(path), device=device, dtype=dtype)

    def animate(
        self,
        portrait: Frames,
        target_landmarks: NDArray[np.floating[Any]],
        *,
        portrait_landmarks: NDArray[np.floating[Any]] | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str = "progressive",
        seed: int = 0,
        accelerator: Accelerator | None = None,
        progress: Progress | None = None,
    ) -> Animated:
        """Animate a portrait.

        Args:
            portrait: (H, W, 3) uint8 RGB of any size; it is resized to the preset's resolution and back.
            target_landmarks: (T, 478, 3) where the face should be, as fractions of the portrait's width and
                height. A frame of NaN holds the nearest frame that has a face.
            portrait_landmarks: (478, 3) of the portrait itself. Without them nothing moves but what the networks
                make up.
            steps: DDIM steps; the preset's by default.
            guidance: scale of classifier-free guidance; the preset's by default.
            sampler: how clips longer than a window are made, a key of `long_clips.SAMPLERS`.
            seed: of the initial noise; same seed, same frames.
            accelerator: changes how the latents are denoised; None: DDIM, all of the network at every step.
            progress: called as progress(done, total).

        Raises:
            ValueError: wrong shapes or types, no frame with a face, steps or guidance out of range, no such sampler.
            MemoryError: the device's memory is not enough; says what takes less.
        """
        accelerator = accelerator or Accelerator()
        steps = self.preset.steps if steps is None else steps
        guidance = self.preset.guidance if guidance is None else guidance
        self.check(steps, guidance)
        check_sampler(sampler)
        check_portrait(portrait)
        if portrait_landmarks is not None and portrait_landmarks.shape != (478, 3):
            raise ValueError(f"portrait_landmarks: expected (478, 3), got {portrait_landmarks.shape}")
        target = landmarks.hold_nearest(target_landmarks)
        seconds: dict[str, float] = {}
        with self._ready():
            with timed(seconds, "condition", self.device):
                subject = Subject(portrait, portrait_landmarks, target, self.preset, self.device)
                still = self.model.autoencoder.encode(subject.still)
                animator = self.model.animator
                animator.set_reference(animator.encode_reference(still, self._maps(subject.own)))
            scheduler = accelerator.scheduler(steps)
            timesteps = scheduler.timesteps.to(self.device)
            grid = (self.preset.latent_size,) * 2
            clip = ClipInfo(len(target), grid, lambda frames: self._maps(target[frames]))

            def condition(frames: list[int], anchors: Tensor) -> Predict:
                maps = self._maps(target[frames])
                warped = self.model.autoencoder.encode(subject.warped(frames))
                condition = animator.encode_condition(
                    maps[None], still, warped.transpose(0, 1)[None], anchors
                )
                preset = self.preset
                guided = Guided(
                    animator, condition, timesteps, guidance, preset.guided, preset.guidance_rescale
                )
                return accelerator.around(guided, frames)

            with timed(seconds, "denoise", self.device), accelerator.attached(animator.denoiser, clip):
                generator = torch.Generator().manual_seed(seed)
                shape = (1, self.preset.latent_channels, len(target), *grid)
                noise = clip_noise(shape, self.preset.shared_noise, generator)
                latents = SAMPLERS[sampler](
                    condition,
                    self.preset.temperature * noise.to(self.device),
                    scheduler,
                    length=self.preset.window,
                    progress=progress or silent,
                )
            size = portrait.shape[1], portrait.shape[0]
            with timed(seconds, "decode", self.device):
                frames = self._decode(latents[0].transpose(0, 1), subject, target, size)
        return Animated(frames, latents[0].transpose(0, 1), seconds)

    def check(self, steps: int, guidance: float) -> None:
        """Raise ValueError unless the number of steps and the guidance scale make sense."""
        check_sampling(steps, guidance)

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """No gradients; this pipeline's precision; a device without memory left is an error that helps."""
        mixed = torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
        advice = "dtype bf16 or fp16 takes less of it, device cpu none"
        with torch.inference_mode(), mixed, enough_memory(self.preset.name, advice):
            yield

    def _maps(self, points: NDArray[np.floating[Any]]) -> Tensor:
        """(F, 478, 3) to (F, 3, H, W)."""
        return condition_maps(points, self.preset).to(self.device)

    def _decode(
        self, latents: Tensor, subject: "Subject", target: NDArray[np.floating[Any]], size: tuple[int, int]
    ) -> Frames:
        """(T, C, h, w) latents and (T, 478, 3) landmarks to (T, height, width, 3) frames."""
        frames = np.empty((len(latents), size[1], size[0], 3), np.uint8)
        for chosen in np.array_split(np.arange(len(latents)), math.ceil(len(latents) / 8)):
            warped = subject.warped(chosen.tolist())
            still, maps = subject.still.expand_as(warped), self._maps(target[chosen])
            pictures = self.model.autoencoder.decode(latents[chosen], warped, still, maps)
            for k, frame in zip(chosen, to_frames(pictures), strict=True):
                frames[k] = frame if size == frame.shape[1::-1] else cv2.resize(frame, size)
        return frames


class Subject:
    """A portrait at the preset's resolution that can be warped to the clip's landmarks."""

    def __init__(
        self,
        portrait: Frames,
        own: NDArray[np.floating[Any]] | None,
        target: NDArray[np.floating[Any]],
        preset: presets.Preset,
        device: torch.device,
    ) -> None:
        """Take (H, W, 3) uint8, its landmarks (478, 3) or None, and targets (T, 478, 3), none of them NaN."""
        side = preset.resolution
        area = cv2.INTER_AREA if max(portrait.shape) > side else cv2.INTER_CUBIC
        pixels = np.asarray(cv2.resize(portrait, (side, side), interpolation=area), np.uint8)
        self.still = to_tensor(pixels[None]).to(device)
        """(1, 3, H, W) in [-1, 1]."""
        self.own = np.full((1, 478, 3), np.nan) if own is None else own[None]
        """(1, 478, 3), NaN where unknown."""
        self._target = target
        self._warp = Warp(pixels, own) if own is not None and preset.warp else None

    def warped(self, frames: list[int]) -> Tensor:
        """The portrait warped to the landmarks of some frames, (N, 3, H, W).

        As it is where its own landmarks are unknown, or the preset is not shown a warp.

        Computed on demand, so that memory does not grow with the length of the clip.
        """
        if self._warp is None:
            return self.still.expand(len(frames), -1, -1, -1)
        return to_tensor(np.stack([self._warp(self._target[k]) for k in frames])).to(self.still.device)


def condition_maps(points: NDArray[np.floating[Any]], preset: presets.Preset) -> Tensor:
    """Condition maps of (T, 478, 3) landmarks as the preset draws them, (T, 3, H, W) in [0, 1]."""
    drawn = landmarks.draw(points, (preset.resolution,) * 2, groups=preset.landmark_groups, smooth=True)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255


def check_sampling(steps: int, guidance: float) -> None:
    """Raise ValueError unless the number of steps and the guidance scale make sense."""
    if not 1 <= steps <= 1000:
        raise ValueError(f"steps: expected 1 to 1000, got {steps}")
    if not 1 <= guidance <= 50:
        raise ValueError(f"guidance: expected 1 (off) to 50, got {guidance}")


def check_portrait(portrait: Frames) -> None:
    """Raise ValueError unless it is a colour picture, uint8 (H, W, 3)."""
    if portrait.ndim != 3 or portrait.shape[2] != 3 or portrait.dtype != np.uint8 or 0 in portrait.shape:
        raise ValueError(f"portrait: expected uint8 (H, W, 3), got {portrait.dtype} {portrait.shape}")


def to_tensor(frames: Frames) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) in [-1, 1]."""
    return torch.tensor(frames).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_frames(pictures: Tensor) -> Frames:
    """(N, 3, H, W) in [-1, 1] to (N, H, W, 3) uint8."""
    scaled = ((pictures.float().clamp(-1, 1) + 1) * 127.5).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


@contextmanager
def timed(seconds: dict[str, float], stage: str, device: torch.device) -> Iterator[None]:
    """Note the wall-clock seconds of the block, which computes on a device, under the stage's name."""
    start = time.perf_counter()
    yield
    if device.type == "cuda":  # its work is queued, not done
        torch.cuda.synchronize(device)
    seconds[stage] = time.perf_counter() - start


@contextmanager
def enough_memory(preset: str, advice: str) -> Iterator[None]:
    """Turn what PyTorch raises where memory runs out into a MemoryError that says what takes less.

    Args:
        preset: of the networks.
        advice: against a GPU's memory running out.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(f"the GPU's memory is not enough for preset {preset}; {advice}") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):  # the allocator has no exception of its own
            raise
        raise MemoryError(
            f"the machine's memory is not enough for preset {preset}; fewer frames take less"
        ) from error


def silent(_done: int, _total: int) -> None:
    """Report no progress."""
