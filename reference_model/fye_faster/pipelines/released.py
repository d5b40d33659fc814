"""One call from a portrait and landmarks to frames with the released checkpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import SchedulerMixin
from numpy.typing import NDArray
from torch import Tensor

from emojibench.face import draw as landmarks
from fye_faster.diffusion.sampler import Condition, Guided, Predict, overlapping_windows, spans
from fye_faster.diffusion.schedule import ddim
from fye_faster.models import released_weights
from fye_faster.models.released import LATENT_SCALE, ReleasedModel, resize
from fye_faster.pipelines import precision
from fye_faster.pipelines.mini import (
    Animated,
    Frames,
    Progress,
    check_portrait,
    check_sampling,
    enough_memory,
    silent,
    timed,
    to_frames,
    to_tensor,
)

_DECODED_TOGETHER = 4


class ReleasedPipeline:
    """Follow-Your-Emoji as released, on arrays."""

    def __init__(self, model: ReleasedModel) -> None:
        """Wrap a model that lies where it shall compute."""
        self.model = model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.preset = model.preset
        self.device = next(model.parameters()).device

    @classmethod
    def from_files(cls, files: Mapping[str, Path], device: str = "cuda") -> Self:
        """Load the public files; half precision, as released, except on a CPU.

        Args:
            files: a path for each key of `released_weights.MODULES`.
            device: `cuda`, `cuda:1`, ...; `cpu` is for checks, it is very slow.

        Raises:
            ValueError: no such device, or a file is missing, broken or not the one that it should be.
        """
        place = precision.device(device)
        dtype = torch.float32 if place.type == "cpu" else torch.float16
        return cls(released_weights.load(files, dtype=dtype).to(place))

    def check(self, steps: int, guidance: float, overlap: int) -> None:
        """Raise ValueError unless these make sense together with the preset."""
        check_sampling(steps, guidance)
        if not 0 <= overlap < self.preset.window:
            raise ValueError(f"overlap: expected 0 to {self.preset.window - 1}, got {overlap}")

    def animate(
        self,
        portrait: Frames,
        target_landmarks: NDArray[np.floating[Any]],
        *,
        portrait_landmarks: NDArray[np.floating[Any]] | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        overlap: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Animated:
        """Animate a portrait.

        Args:
            portrait: (H, W, 3) uint8 RGB of any size; it is fitted into the preset's square, on black, and back.
            target_landmarks: (T, 478, 3) where the face should be, as fractions of the portrait's width and
                height. A frame of NaN holds the nearest frame that has a face.
            portrait_landmarks: not used, these networks do not see them; here for the sake of `Pipeline.animate`.
            steps: DDIM steps; the preset's by default.
            guidance: scale of classifier-free guidance; the preset's by default.
            overlap: frames that neighbouring windows share; the preset's by default.
            seed: of the initial noise; same seed, same frames.
            progress: called as progress(done, total).

        Raises:
            ValueError: wrong shapes or types, no frame with a face, an option out of range.
            MemoryError: the device's memory is not enough.
        """
        steps = self.preset.steps if steps is None else steps
        guidance = self.preset.guidance if guidance is None else guidance
        overlap = self.preset.overlap if overlap is None else overlap
        self.check(steps, guidance, overlap)
        check_portrait(portrait)
        target = landmarks.hold_nearest(target_landmarks)
        box = Letterbox(portrait.shape[1], portrait.shape[0], self.preset.resolution)
        animator, scheduler, seconds = self.model.animator, ddim(steps), dict[str, float]()
        timesteps = scheduler.timesteps.to(self.device)
        advice = "take a device with more of it, or device cpu, which is very slow"
        with torch.inference_mode(), enough_memory(self.preset.name, advice):
            with timed(seconds, "condition", self.device):
                canvas = box.fit(portrait)
                animator.set_reference(
                    animator.encode_reference(self.model.encode(canvas), self.model.tokens(canvas))
                )

            def condition(frames: list[int], anchors: Tensor) -> Predict:
                maps = condition_maps(box.move(target[frames]), self.preset.resolution)
                condition = self._encode_condition(maps[None], anchors)
                return Guided(animator, condition, timesteps, guidance, 1.0, 0.0)

            with timed(seconds, "denoise", self.device):
                shape = (1, 4, len(target), self.preset.latent_size, self.preset.latent_size)
                noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
                latents = self._sample(condition, noise, scheduler, overlap, progress or silent)
            with timed(seconds, "decode", self.device):
                parts = latents[0].transpose(0, 1).split(_DECODED_TOGETHER)
                frames = np.concatenate([to_frames(box.undo(self._decode(part))) for part in parts])
        return Animated(frames, latents[0].transpose(0, 1), seconds)

    def _encode_condition(self, maps: Tensor, anchors: Tensor) -> Tensor:
        """Maps (1, F, 3, H, W) to condition (1, D, F, h, w). These networks have no input for known frames."""
        return self.model.animator.encode_condition(maps)

    def _sample(
        self,
        condition: Condition,
        noise: Tensor,
        scheduler: SchedulerMixin,
        overlap: int,
        progress: Progress,
    ) -> Tensor:
        """Latents (1, 4, T, h, w) of a clip."""
        windows = spans(noise.shape[2], self.preset.window, overlap)
        return overlapping_windows(condition, noise, scheduler, windows=windows, progress=progress)

    def _decode(self, latents: Tensor) -> Tensor:
        """(N, 4, h, w) to (N, 3, H, W) in [-1, 1], on the CPU."""
        weights = self.model.autoencoder
        pictures: Tensor = weights.decode((latents / LATENT_SCALE).to(weights.device, weights.dtype)).sample
        return pictures.float().cpu()


def condition_maps(points: NDArray[np.floating[Any]], side: int) -> Tensor:
    """Condition maps of (T, 478, 3) landmarks as the released code draws them, (T, 3, side, side) in [0, 1]."""
    return torch.from_numpy(landmarks.draw(points, (side, side))).permute(0, 3, 1, 2).float() / 255


class Letterbox:
    """A picture of any shape in the middle of a black square, as large as it fits."""

    def __init__(self, width: int, height: int, side: int) -> None:
        """Take the picture's size and the square's side, pixels."""
        self.width, self.height, self.side = width, height, side
        scale = side / max(width, height)
        self.inner_width, self.inner_height = max(round(width * scale), 1), max(round(height * scale), 1)
        self.left, self.top = (side - self.inner_width) // 2, (side - self.inner_height) // 2

    def fit(self, picture: Frames) -> Tensor:
        """(height, width, 3) uint8 to (1, 3, side, side) in [-1, 1]."""
        inner = resize(to_tensor(picture[None]), self.inner_height, self.inner_width)
        right, bottom = self.side - self.inner_width - self.left, self.side - self.inner_height - self.top
        return F.pad(inner, (self.left, right, self.top, bottom), value=-1)

    def undo(self, pictures: Tensor) -> Tensor:
        """(N, 3, side, side) in [-1, 1] to (N, 3, height, width)."""
        rows = slice(self.top, self.top + self.inner_height)
        inner = pictures[:, :, rows, self.left : self.left + self.inner_width]
        return resize(inner, self.height, self.width)

    def move(self, points: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Landmarks (T, 478, 3) as fractions of the picture to fractions of the square."""
        size = np.array((self.inner_width, self.inner_height, self.inner_width))
        moved: NDArray[np.floating[Any]] = (points * size + (self.left, self.top, 0)) / self.side
        return moved
