"""The architecture of the paper at full size, preset `paper`, before any training.

The released networks with what their release lacks: a four-layer Q-Former on CLIP's tokens in place of the linear
layers, and the known frames of progressive generation as a further input. It starts from Stable Diffusion 1.5 (denoiser
and reference net), AnimateDiff v2 (motion modules) and CLIP, of which the paper names no versions. Shapes: as in
`fye_faster.nets.animator`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from emojibench.face.draw import EXPRESSION_AWARE
from fye_faster.models.released import (
    CLIP_WIDTH,
    CONTEXT,
    RELEASED,
    ReleasedAnimator,
    ReleasedModel,
    ReleasedPreset,
)
from fye_faster.models.released_weights import check, fill
from fye_faster.nets import reference_attention
from fye_faster.nets.animator import Portrait, QFormer, reference_features
from fye_faster.presets import FILES


@dataclass(frozen=True)
class PaperPreset(ReleasedPreset):
    """Sizes of the paper's model beyond the released ones."""

    queries: int
    """Tokens of the image prompt; the paper does not say how many."""
    qformer_layers: int
    landmark_groups: tuple[str, ...] = EXPRESSION_AWARE
    """What the condition maps show; keys of `landmarks.GROUPS`."""
    shared_noise: float = 0.0
    """Share of the noise's variance that all frames of a clip have in common."""
    warp: ClassVar[bool] = False
    """Whether the model is shown the portrait warped to each frame's landmarks."""


PAPER = PaperPreset(**vars(replace(RELEASED, name="paper", window=16)), queries=16, qformer_layers=4)


class PaperAnimator(ReleasedAnimator):
    """Denoiser, reference net, landmark guider and Q-Former."""

    def __init__(self, preset: PaperPreset) -> None:
        super().__init__(preset)
        self.denoiser.encoder_hid_proj = self.reference_net.encoder_hid_proj = None
        self.image_prompt = QFormer(
            preset.queries, CONTEXT, preset.qformer_layers, source_dim=CLIP_WIDTH, head_dim=64
        )
        # Adding this to the first convolution's output equals widening its input, as the paper does (without a mask).
        self.anchors = nn.Conv2d(self.denoiser.config.in_channels + 1, preset.widths[0], 3, padding=1)
        for parameter in self.anchors.parameters():
            nn.init.zeros_(parameter)

    def encode_reference(self, portrait: Tensor, tokens: Tensor) -> Portrait:
        """Read B portraits; latents (B, 4, h, w) and CLIP's tokens (B, 257, 1024)."""
        prompt = self.image_prompt(self._take(tokens))
        return Portrait(reference_features(self.reference_net, self._take(portrait), prompt), prompt)

    def set_reference(self, portrait: Portrait) -> None:
        """Condition the coming `denoise` calls on B portraits; unconditional samples get no prompt at all."""
        reference_attention.set_reference(self.denoiser, portrait.features, portrait.tokens)

    def encode_condition(self, maps: Tensor, anchors: Tensor | None = None) -> Tensor:
        """Encode where everything is.

        Args:
            maps: (B, F, 3, H, W) condition maps in [0, 1].
            anchors: (B, 5, F, h, w) latents of known frames and a mask, 1 where known; None: no frame is.

        Returns:
            (B, widths[0], F, h, w).
        """
        condition = super().encode_condition(maps)
        if anchors is None:
            return condition
        known: Tensor = self.anchors(self._take(anchors.transpose(1, 2).flatten(0, 1)))
        told: Tensor = condition + known.unflatten(0, maps.shape[:2]).transpose(1, 2)
        return told


class PaperModel(ReleasedModel):
    """The animator, the autoencoder and CLIP's image encoder."""

    animator_type = PaperAnimator
    animator: PaperAnimator
    preset: PaperPreset


def start(model: PaperModel, files: Mapping[str, Path], dtype: torch.dtype = torch.float32) -> None:
    """Fill a model with what exists before training; guider, Q-Former and anchors keep their own start.

    Args:
        model: its parameters are replaced.
        files: a path for each of `FILES`; safetensors, or torch files of tensors alone.
        dtype: floating type of what is read.

    Raises:
        ValueError: a file is not among `files`, missing, broken, or has other tensors than it should.
    """
    _each(model, files, partial(fill, dtype=dtype))


def check_start(model: PaperModel, files: Mapping[str, Path]) -> None:
    """Raise the ValueError that `start` would; the model, which may be on the meta device, stays as it is."""
    _each(model, files, check)


def _each(model: PaperModel, files: Mapping[str, Path], act: Callable[..., Any]) -> None:
    """Call `fill`, or what takes the same arguments, for each part of the model that has a file."""
    if set(files) != set(FILES):
        raise ValueError(f"files: expected {', '.join(FILES)}, got {', '.join(files) or 'none'}")
    animator = model.animator
    unet, motion = files["sd15-unet"], files["motion"]
    act(animator.denoiser, "sd15-unet", unet, part=lambda name: "motion_modules." not in name)
    act(animator.denoiser, "motion", motion, part=lambda name: "motion_modules." in name)
    # The reference net lacks what comes after its last feature.
    act(animator.reference_net, "sd15-unet", unet, spare=True)
    act(model.autoencoder, "sd15-vae", files["sd15-vae"])
    act(model.image_encoder, "clip", files["clip"])
