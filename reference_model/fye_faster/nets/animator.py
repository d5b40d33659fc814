"""The networks of the method, built from diffusers blocks.

Shapes: B samples, F frames, C latent channels, (h, w) latent grid, (H, W) pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from fye_faster.diffusion import schedule
from fye_faster.nets import reference_attention
from fye_faster.presets import Preset


class LandmarkEncoder(nn.Module):
    """Condition maps to features on the latent grid, which are added after the first convolution.

    As released: convolutions with SiLU, halving the size. The first three halvings are one pixel unshuffle
    here, which loses nothing and spares the costly filters at full resolution. A learnt map of positions is
    added.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        first, *rest = preset.landmark_widths
        layers: list[nn.Module] = [nn.PixelUnshuffle(8), nn.Conv2d(192, first, 3, padding=1), nn.SiLU()]
        for before, after in zip((first, *rest), rest, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.SiLU()]
        layers += [nn.Conv2d(preset.landmark_widths[-1], preset.widths[0], 3, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.position = nn.Parameter(torch.zeros(preset.widths[0], preset.latent_size, preset.latent_size))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] to (N, widths[0], h, w)."""
        features: Tensor = self.layers(maps) + self.position
        return features


class QFormer(nn.Module):
    """Learnt queries that read the tokens of a picture (paper section 4)."""

    def __init__(self, queries: int, dim: int, layers: int, *, source_dim: int, head_dim: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, dim) / dim**0.5)
        self.layers = nn.ModuleList(
            BasicTransformerBlock(dim, dim // head_dim, head_dim, cross_attention_dim=source_dim)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, source_dim) to (B, queries, dim)."""
        queries = self.queries.expand(len(tokens), -1, -1)
        for layer in self.layers:
            queries = layer(queries, encoder_hidden_states=tokens)
        read: Tensor = self.norm(queries)
        return read


class ImagePrompt(QFormer):
    """A Q-Former on patches of the portrait's latents, in place of CLIP's tokens."""

    def __init__(self, preset: Preset) -> None:
        dim, side = preset.context_dim, preset.latent_size // 2
        super().__init__(preset.queries, dim, preset.qformer_layers, source_dim=dim, head_dim=32)
        self.patches = nn.Conv2d(preset.latent_channels, dim, 2, stride=2)
        self.position = nn.Parameter(0.02 * torch.randn(side * side, dim))

    def forward(self, portrait: Tensor) -> Tensor:
        """Latents (B, C, h, w) of the portrait to (B, queries, context_dim)."""
        return super().forward(self.patches(portrait).flatten(2).transpose(1, 2) + self.position)


class AddAfterConvolution(nn.Module):
    """First convolution of a UNet whose input carries features to be added to its output.

    Lets landmark features in right after `conv_in` without a copy of the UNet's forward.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, joined: Tensor) -> Tensor:
        """(N, C + width, h, w), latents and features, to (N, width, h, w)."""
        latents, features = joined.split([self.conv.in_channels, self.conv.out_channels], 1)
        convolved: Tensor = self.conv(latents) + features
        return convolved


class _NormOnly(nn.Module):
    """What remains of a reference net's last transformer block: nobody reads beyond its first norm."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm1 = norm

    def forward(self, hidden_states: Tensor, **_: object) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        normed: Tensor = self.norm1(hidden_states)
        return normed


class ReferenceNet(nn.Module):
    """The reference net: a 2-D UNet over the clean portrait; its self-attention inputs are its output."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(
            sample_size=preset.latent_size,
            in_channels=preset.latent_channels,
            out_channels=preset.latent_channels,
            block_out_channels=preset.widths,
            down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in preset.attention),
            mid_block_type="UNetMidBlock2DCrossAttn",
            up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in preset.attention[::-1]),
            layers_per_block=preset.layers,
            norm_num_groups=preset.norm_groups,
            cross_attention_dim=preset.context_dim,
            attention_head_dim=preset.heads,  # diffusers' historical name: this is the number of heads
        )
        self.unet.conv_in = AddAfterConvolution(self.unet.conv_in)
        # Levels above the last attention have no feature that anybody reads.
        self.unet.up_blocks = self.unet.up_blocks[: len(preset.attention) - preset.attention.index(True)]
        self.unet.up_blocks[-1].upsamplers = None
        trim(self.unet)
        self.unet.up_blocks[-1].attentions[-1].proj_out = nn.Identity()

    def forward(self, portrait: Tensor, landmarks: Tensor, tokens: Tensor) -> list[Tensor]:
        """Reference features.

        Args:
            portrait: (B, C, h, w) latents.
            landmarks: (B, widths[0], h, w) encoded condition map of the portrait.
            tokens: (B, queries, context_dim) image prompt.

        Returns:
            One (B, N_l, C_l) map for each spatial transformer block: the output of its first norm.
        """
        return reference_features(self.unet, torch.cat([portrait, landmarks], 1), tokens)


def trim(unet: UNet2DConditionModel) -> None:
    """Cut off what a reference net has no use for: all that comes after its last feature."""
    block = unet.up_blocks[-1].attentions[-1].transformer_blocks
    block[-1] = _NormOnly(block[-1].norm1)
    unet.conv_norm_out, unet.conv_out = None, nn.Identity()


def reference_features(unet: UNet2DConditionModel, portrait: Tensor, tokens: Tensor) -> list[Tensor]:
    """Run a reference net at timestep 0 on (B, C, h, w) and (B, Q, D); what it returns, see `ReferenceNet`."""
    features: list[Tensor] = []
    hooks = [
        block.norm1.register_forward_hook(lambda _module, _inputs, output: features.append(output))
        for block in reference_attention.spatial_blocks(unet)
    ]
    try:
        unet(portrait, torch.zeros((), dtype=torch.long), tokens)
    finally:  # also when memory runs out, which a caller may survive
        for hook in hooks:
            hook.remove()
    return features


def denoising_unet(preset: Preset) -> UNetMotionModel:
    """Denoiser: diffusers' UNet with AnimateDiff motion modules, the middle block's included."""
    unet = UNetMotionModel(
        sample_size=preset.latent_size,
        in_channels=preset.latent_channels,
        out_channels=preset.latent_channels,
        block_out_channels=preset.widths,
        down_block_types=tuple(
            "CrossAttnDownBlockMotion" if a else "DownBlockMotion" for a in preset.attention
        ),
        up_block_types=tuple(
            "CrossAttnUpBlockMotion" if a else "UpBlockMotion" for a in preset.attention[::-1]
        ),
        layers_per_block=preset.layers,
        norm_num_groups=preset.norm_groups,
        cross_attention_dim=preset.context_dim,
        num_attention_heads=preset.heads,
        motion_num_attention_heads=preset.heads,
        motion_max_seq_length=preset.motion_length,
        use_motion_mid_block=True,
    )
    unet.conv_in = AddAfterConvolution(unet.conv_in)
    # Latents and gates (`Animator.denoise`); wider than diffusers' head, because there are many latent channels.
    width = preset.widths[0]
    unet.conv_out = nn.Sequential(
        nn.Conv2d(width, 2 * width, 1),
        nn.SiLU(),
        nn.Conv2d(2 * width, preset.latent_channels + 3, 3, padding=1),
    )
    for module in motion_modules(unet):  # a new motion module changes nothing until it is trained
        nn.init.zeros_(module.proj_out.weight)
        nn.init.zeros_(module.proj_out.bias)
    reference_attention.install(unet)
    return unet


@contextmanager
def stills(unet: UNetMotionModel) -> Iterator[None]:
    """Inside, motion modules pass their input on: frames do not see each other (phase 1)."""
    modules = motion_modules(unet)
    for module in modules:
        module.forward = lambda hidden_states, *_args, **_kwargs: hidden_states
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def motion_modules(unet: UNetMotionModel) -> list[Any]:
    """All temporal transformers of the denoiser."""
    levels = (*unet.down_blocks, unet.mid_block, *unet.up_blocks)
    return [module for level in levels for module in level.motion_modules]


def temporal(animator: Any) -> set[int]:
    """`id`s of the parameters that phase 2 trains: the motion modules of an animator, and its anchors."""
    modules = (*motion_modules(animator.denoiser), animator.anchors)
    return {id(parameter) for module in modules for parameter in module.parameters()}


@dataclass(frozen=True)
class Portrait:
    """What the denoiser knows of B portraits."""

    features: list[Tensor]
    """(B, N_l, C_l) for each spatial transformer block."""
    tokens: Tensor
    """(B, queries, context_dim)."""


class Animator(nn.Module):
    """Denoiser, reference net, landmark encoder and image prompt of one preset."""

    alphas_cumprod: Tensor

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.denoiser = denoising_unet(preset)
        self.appearance = ReferenceNet(preset)
        self.landmarks = LandmarkEncoder(preset)
        self.image_prompt = ImagePrompt(preset)
        self.layout = nn.Conv2d(2 * preset.latent_channels, preset.widths[0], 3, padding=1)
        # Adding this to the first convolution's output equals widening its input, as the paper does (without a mask).
        self.anchors = nn.Conv2d(preset.latent_channels + 1, preset.widths[0], 3, padding=1)
        for parameter in self.anchors.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("alphas_cumprod", schedule.ddim().alphas_cumprod, persistent=False)

    def encode_reference(self, portrait: Tensor, portrait_map: Tensor) -> Portrait:
        """Read B portraits.

        Args:
            portrait: (B, C, h, w) latents.
            portrait_map: (B, 3, H, W) condition maps of the portraits in [0, 1]; black where unknown.
        """
        tokens = self.image_prompt(portrait)
        return Portrait(self.appearance(portrait, self.landmarks(portrait_map), tokens), tokens)

    def set_reference(self, portrait: Portrait) -> None:
        """Condition the coming `denoise` calls on B portraits."""
        reference_attention.set_reference(self.denoiser, portrait.features, portrait.tokens)

    def drop_reference(self, unconditional: int) -> None:
        """Let the first `unconditional` samples of the coming `denoise` calls ignore the portrait."""
        reference_attention.drop_reference(self.denoiser, unconditional)

    def clear_reference(self) -> None:
        """Make the coming `denoise` calls unconditional."""
        reference_attention.clear_reference(self.denoiser)

    def encode_condition(
        self, maps: Tensor, portrait: Tensor, warped: Tensor, anchors: Tensor | None = None
    ) -> Tensor:
        """Where everything is: features that are added after the first convolution of the denoiser.

        Encoded landmarks, plus a convolution of the portrait and of the warped portrait, which spares the
        attention what stays as it is or merely moves, plus the frames that are known already (paper section
        4.3). As the landmarks do, all of it goes to both rows of classifier-free guidance.

        Args:
            maps: (B, F, 3, H, W) condition maps in [0, 1].
            portrait: (B, C, h, w) latents.
            warped: (B, C, F, h, w) latents of the portrait warped to each frame's landmarks.
            anchors: (B, C + 1, F, h, w) latents of known frames and a mask, 1 where known; None: no frame is.

        Returns:
            (B, widths[0] + 2 C, F, h, w); the last 2 C channels are the warped and the still portrait's latents.
        """
        frames = maps.shape[1]
        still = portrait[:, :, None].expand(-1, -1, frames, -1, -1)
        features = self.landmarks(maps.flatten(0, 1)) + self.layout(_rows(torch.cat([warped, still], 1)))
        if anchors is not None:
            features = features + self.anchors(_rows(anchors))
        return torch.cat([features.unflatten(0, (-1, frames)).transpose(1, 2), warped, still], 1)

    def denoise(self, noisy: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Predict v.

        The network makes latents and three gates for each cell: the guess of what is there is a mixture of what
        it made, of the warped portrait and of the portrait as it stands (still background).

        Args:
            noisy: (B, C, F, h, w) latents z_t.
            t: (B,) or () training timesteps.
            condition: (B, widths[0] + 2 C, F, h, w) from `encode_condition`.

        Returns:
            (B, C, F, h, w).
        """
        check_window(noisy.shape[2], self.denoiser)
        channels = self.preset.latent_channels
        features, warped, still = condition.split([self.preset.widths[0], channels, channels], 1)
        output = self.denoiser(torch.cat([noisy, features], 1), t, None).sample.float()
        made, gates = output.split([channels, 3], 1)
        shares = gates.softmax(1).split(1, 1)
        guess = shares[0] * made + shares[1] * warped + shares[2] * still
        a, b = schedule.preconditioning(self.alphas_cumprod[t], self.preset.residual)
        v: Tensor = a.view(-1, 1, 1, 1, 1) * noisy - b.view(-1, 1, 1, 1, 1) * guess
        return v


def check_window(frames: int, denoiser: UNetMotionModel) -> None:
    """Raise ValueError where more frames are denoised together than the motion modules have positions for."""
    longest = denoiser.config.motion_max_seq_length
    if frames > longest:
        raise ValueError(f"expected a window of at most {longest} frames, the position table's, got {frames}")


def _rows(latents: Tensor) -> Tensor:
    """(B, C, F, h, w) to (B F, C, h, w)."""
    return latents.transpose(1, 2).flatten(0, 1)


class ResidualBlock(nn.Module):
    """Two convolutions with group norm and SiLU around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) to the same shape."""
        added: Tensor = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return x + added
