"""One call from a portrait and landmarks to frames with the paper's model, once somebody has trained it."""

from pathlib import Path
from typing import Self

import torch
from accelerate import init_empty_weights
from diffusers import SchedulerMixin
from torch import Tensor

from fye_faster.diffusion.sampler import Condition, progressive
from fye_faster.models import checkpoint
from fye_faster.models.paper import PAPER, PaperModel, PaperPreset
from fye_faster.models.released_weights import fill
from fye_faster.pipelines import precision
from fye_faster.pipelines.mini import Progress
from fye_faster.pipelines.released import ReleasedPipeline


class PaperPipeline(ReleasedPipeline):
    """As `ReleasedPipeline`, but long clips are made progressively: keyframes first, then what lies between."""

    model: PaperModel

    @classmethod
    def from_weights(
        cls,
        animator: Path,
        *,
        vae: Path,
        clip: Path,
        device: str = "cuda",
        preset: PaperPreset = PAPER,
    ) -> Self:
        """Load trained weights; half precision except on a CPU.

        Args:
            animator: what `emojibench train --preset paper` wrote.
            vae: the autoencoder that it was trained with, `sd15-vae` of `presets.FILES`.
            clip: the image encoder that it was trained with.
            device: `cuda`, `cuda:1`, ...; `cpu` is for checks, it is very slow.
            preset: the sizes.

        Raises:
            ValueError: no such device, or a file is missing, broken or not the one that it should be.
        """
        place = precision.device(device)
        dtype = torch.float32 if place.type == "cpu" else torch.float16
        with init_empty_weights(include_buffers=False):
            model = PaperModel(preset)
        checkpoint.load(model.animator, animator, assign=True)
        fill(model.autoencoder, "sd15-vae", vae, dtype)
        fill(model.image_encoder, "clip", clip, dtype)
        return cls(model.to(place, dtype))

    def check(self, steps: int, guidance: float, overlap: int) -> None:
        """Raise ValueError unless these make sense; windows share their anchors and nothing else."""
        super().check(steps, guidance, overlap)
        if overlap:
            raise ValueError(f"overlap: the progressive strategy has none, got {overlap}; leave it out")

    def _encode_condition(self, maps: Tensor, anchors: Tensor) -> Tensor:
        """Maps (1, F, 3, H, W) and anchors (1, 5, F, h, w) to condition (1, D, F, h, w)."""
        return self.model.animator.encode_condition(maps, anchors)

    def _sample(
        self,
        condition: Condition,
        noise: Tensor,
        scheduler: SchedulerMixin,
        overlap: int,
        progress: Progress,
    ) -> Tensor:
        """See `ReleasedPipeline`."""
        return progressive(condition, noise, scheduler, length=self.preset.window, progress=progress)
