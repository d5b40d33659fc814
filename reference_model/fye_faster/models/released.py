"""The architecture of the public Follow-Your-Emoji checkpoints, preset `released`.

Stable Diffusion 1.5 twice, as denoiser with AnimateDiff v2 motion modules and as reference net. Unlike the paper's
model it has no Q-Former, but one linear layer on the tokens of CLIP in each of the two, and no progressive
conditioning. Shapes: as in `fye_faster.nets.animator`.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import AutoencoderKL, UNet2DConditionModel, UNetMotionModel
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from fye_faster.nets import reference_attention
from fye_faster.nets.animator import (
    AddAfterConvolution,
    Portrait,
    check_window,
    motion_modules,
    reference_features,
    trim,
)

_DOWNSCALE = 8
CLIP_WIDTH, _CLIP_SIDE, _CLIP_PATCH = 1024, 224, 14
CONTEXT = 768
"""Width of the image-prompt tokens."""
LATENT_SCALE = 0.18215
"""Factor from the autoencoder's latents to those that the denoiser knows."""


@dataclass(frozen=True)
class ReleasedPreset:
    """Sizes and defaults of the released model; what is not here is as in Stable Diffusion 1.5."""

    name: str
    resolution: int
    """Height and width of frames, pixels."""
    widths: tuple[int, ...]
    """Channels of denoiser and reference net at each level, finest first."""
    landmark_widths: tuple[int, ...]
    """Channels of the landmark guider at 1, 1/2, 1/4 and 1/8 of the resolution."""
    autoencoder_widths: tuple[int, ...]
    """Channels at 1, 1/2, 1/4 and 1/8 of the resolution."""
    clip_layers: int
    window: int
    """L, frames denoised together."""
    overlap: int
    """Frames that neighbouring windows share. The released code takes 4 from its caller, but uses 0."""
    steps: int
    """DDIM steps."""
    guidance: float
    """Scale of classifier-free guidance; 1 switches it off."""

    @property
    def latent_size(self) -> int:
        """Height and width of the latent grid."""
        return self.resolution // _DOWNSCALE


RELEASED = ReleasedPreset(
    name="released",
    resolution=512,
    widths=(320, 640, 1280, 1280),
    landmark_widths=(16, 32, 96, 256),
    autoencoder_widths=(128, 256, 512, 512),
    clip_layers=24,
    window=24,
    overlap=0,
    steps=30,
    guidance=3.5,
)


class FrameNorm(nn.GroupNorm):
    """Group norm of each frame by itself, as in AnimateDiff's own code.

    Diffusers' motion modules take the statistics over all frames of a clip instead.
    """

    def forward(self, clips: Tensor) -> Tensor:
        """(B, C, F, h, w) to the same shape."""
        frames = super().forward(clips.transpose(1, 2).flatten(0, 1))
        normed: Tensor = frames.unflatten(0, (len(clips), -1)).transpose(1, 2)
        return normed


class ReleasedAnimator(nn.Module):
    """Denoiser, reference net and landmark guider: what Follow-Your-Emoji trained.

    Serves `sampler.Guided` as `fye_faster.nets.animator.Animator` does. Inputs may lie on any device and have any
    floating type; latents are returned as they came, everything else in the networks' own.
    """

    def __init__(self, preset: ReleasedPreset) -> None:
        super().__init__()
        self.preset = preset
        # Diffusers' defaults are Stable Diffusion 1.5 and AnimateDiff v2.
        self.denoiser = UNetMotionModel(
            sample_size=preset.latent_size, block_out_channels=preset.widths, cross_attention_dim=CONTEXT
        )
        self.denoiser.conv_in = AddAfterConvolution(self.denoiser.conv_in)
        self.denoiser.encoder_hid_proj = nn.Linear(CLIP_WIDTH, CONTEXT)
        for module in motion_modules(self.denoiser):
            module.norm = FrameNorm(module.norm.num_groups, module.norm.num_channels, module.norm.eps)
        reference_attention.install(self.denoiser)
        self.reference_net = UNet2DConditionModel(
            sample_size=preset.latent_size,
            block_out_channels=preset.widths,
            cross_attention_dim=CONTEXT,
            encoder_hid_dim=CLIP_WIDTH,
            encoder_hid_dim_type="text_proj",  # diffusers' name for a linear layer on the tokens
        )
        trim(self.reference_net)
        self.landmarks = ControlNetConditioningEmbedding(
            preset.widths[0], block_out_channels=preset.landmark_widths
        )

    def encode_reference(self, portrait: Tensor, tokens: Tensor) -> Portrait:
        """Read B portraits.

        Args:
            portrait: (B, 4, h, w) latents.
            tokens: (B, 257, 1024) of CLIP.
        """
        portrait, tokens = self._take(portrait), self._take(tokens)
        features = reference_features(self.reference_net, portrait, tokens)
        return Portrait(features, self.denoiser.encoder_hid_proj(tokens))

    def set_reference(self, portrait: Portrait) -> None:
        """Condition the coming `denoise` calls on B portraits.

        Unconditional samples get tokens of zeros through the image projection, which makes them its bias.
        """
        reference_attention.set_blank(self.denoiser, self.denoiser.encoder_hid_proj.bias)
        reference_attention.set_reference(self.denoiser, portrait.features, portrait.tokens)

    def drop_reference(self, unconditional: int) -> None:
        """Let the first `unconditional` samples of the coming `denoise` calls ignore the portrait."""
        reference_attention.drop_reference(self.denoiser, unconditional)

    def clear_reference(self) -> None:
        """Make the coming `denoise` calls unconditional."""
        reference_attention.clear_reference(self.denoiser)

    def encode_condition(self, maps: Tensor) -> Tensor:
        """Encode condition maps (B, F, 3, H, W) in [0, 1] to (B, widths[0], F, h, w)."""
        features = self.landmarks(self._take(maps.flatten(0, 1)))
        condition: Tensor = features.unflatten(0, maps.shape[:2]).transpose(1, 2)
        return condition

    def denoise(self, noisy: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Predict v.

        Args:
            noisy: (B, 4, F, h, w) latents z_t.
            t: (B,) or () training timesteps.
            condition: (B, widths[0], F, h, w) from `encode_condition`.

        Returns:
            (B, 4, F, h, w).
        """
        check_window(noisy.shape[2], self.denoiser)
        joined = torch.cat([self._take(noisy), condition], 1)
        v: Tensor = self.denoiser(joined, t, None).sample.to(noisy)
        return v

    def _take(self, given: Tensor) -> Tensor:
        """Anything, of the same shape, in the networks' kind of number."""
        return given.to(self.denoiser.device, self.denoiser.dtype)


class ReleasedModel(nn.Module):
    """Everything the five public files hold: the animator, the autoencoder and CLIP's image encoder."""

    animator_type: type[ReleasedAnimator] = ReleasedAnimator

    def __init__(self, preset: ReleasedPreset) -> None:
        super().__init__()
        self.preset = preset
        self.animator = self.animator_type(preset)
        depth = len(preset.autoencoder_widths)
        self.autoencoder = AutoencoderKL(
            block_out_channels=preset.autoencoder_widths,
            down_block_types=("DownEncoderBlock2D",) * depth,
            up_block_types=("UpDecoderBlock2D",) * depth,
            layers_per_block=2,
        )
        self.image_encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=CLIP_WIDTH,
                intermediate_size=4 * CLIP_WIDTH,
                projection_dim=CONTEXT,
                num_hidden_layers=preset.clip_layers,
                num_attention_heads=CLIP_WIDTH // 64,
                image_size=_CLIP_SIDE,
                patch_size=_CLIP_PATCH,
            )
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to latents (N, 4, h, w): the posterior's mean."""
        weights = self.autoencoder
        encoded = weights.encode(pictures.to(weights.device, weights.dtype))
        latents: Tensor = encoded.latent_dist.mean * LATENT_SCALE
        return latents

    def tokens(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to CLIP's tokens (N, 257, 1024) before its last norm."""
        weights = self.image_encoder
        side: Any = weights.config.image_size
        small = resize(pictures, side, side)
        mean, deviation = (
            torch.tensor(v, device=small.device).view(3, 1, 1) for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)
        )
        given = (((small + 1) / 2 - mean) / deviation).to(weights.device, weights.dtype)
        tokens: Tensor = weights(pixel_values=given).last_hidden_state
        return tokens


def resize(pictures: Tensor, height: int, width: int) -> Tensor:
    """Bicubic with a filter as wide as the reduction asks for, as Pillow does; (N, 3, ...) in [-1, 1]."""
    if pictures.shape[2:] == (height, width):
        return pictures
    resized = F.interpolate(pictures, (height, width), mode="bicubic", antialias=True)
    return resized.clamp(-1, 1)
