"""Latents of the `mini` preset: a linear patch transform plus a light convolutional correction.

The linear part is a principal-component projection of patches and gives most of the picture at once; the
convolutions learn what it misses. The decoder also sees the condition map and the portrait, as it stands and warped to
the frame's landmarks, and composes each pixel of what the latents say and what can be copied. Compare diffusers'
`AsymmetricAutoencoderKL`, whose decoder copies what inpainting must keep. Landmarks say little of hair, ears and neck,
so that the warped portrait is off there; the decoder sees in the latents by how much, and shifts it (a residual flow,
as in Siarohin et al., "First order motion model for image animation", 2019). Cheap enough for a laptop: 64 frames of
256x256 decode in a few seconds.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fye_faster.nets.animator import ResidualBlock
from fye_faster.presets import Preset

FLOW_UNIT = 8.0
"""Pixels that a flow of 1 stands for."""


class Autoencoder(nn.Module):
    """Frames to latents of mean 0 and overall variance 1, and back."""

    mean: Tensor
    scale: Tensor

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        widths, channels, patch = preset.autoencoder_widths, preset.latent_channels, preset.downscale
        self.patch = patch
        self.project = nn.Conv2d(3, channels, patch, stride=patch)
        self.expand = nn.ConvTranspose2d(channels, 3, patch, stride=patch)

        down: list[nn.Module] = [nn.PixelUnshuffle(4), nn.Conv2d(48, widths[0], 3, padding=1)]
        for before, after in pairwise(widths):
            down += [ResidualBlock(before), nn.Conv2d(before, after, 3, stride=2, padding=1)]
        down += [ResidualBlock(widths[-1]), nn.Conv2d(widths[-1], channels, 3, padding=1)]
        self.encoder = nn.Sequential(*down)

        self.decoder = Decoder(channels, patch, preset.decoder_widths)
        for parameter in self.encoder[-1].parameters():
            nn.init.zeros_(parameter)

        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(()))

    def encode(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to normalised latents (N, C, h, w)."""
        return (self.raw(frames) - self.mean[:, None, None]) / self.scale

    def decode(self, latents: Tensor, warped: Tensor, still: Tensor, maps: Tensor) -> Tensor:
        """Normalised latents (N, C, h, w) to (N, 3, H, W), nominally in [-1, 1]; see `picture`."""
        return self.picture(latents * self.scale + self.mean[:, None, None], warped, still, maps)

    def raw(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to latents (N, C, h, w) before normalisation, which its training sees."""
        latents: Tensor = self.project(frames) + self.encoder(frames)
        return latents

    def picture(self, raw: Tensor, warped: Tensor, still: Tensor, maps: Tensor) -> Tensor:
        """Compose frames.

        Args:
            raw: (N, C, h, w) latents before normalisation.
            warped: (N, 3, H, W) in [-1, 1], the portrait warped to the landmarks of each frame.
            still: (N, 3, H, W) in [-1, 1], the portrait as it is.
            maps: (N, 3, H, W) in [0, 1], the condition map of each frame.
        """
        layouts = torch.cat([raw, self.project(warped), self.project(still)], 1)
        flow, correction, gates = self.decoder(layouts, torch.cat([warped, still, maps], 1))
        warped = shift(warped, FLOW_UNIT * flow)
        made, copied, kept = gates.softmax(1).split(1, 1)
        composed: Tensor = made * (self.expand(raw) + correction) + copied * warped + kept * still
        return composed

    @torch.no_grad()
    def start_from_patches(self, frames: Tensor) -> None:
        """Set the linear part to the principal components of the patches of (N, 3, H, W) frames in [-1, 1].

        Components are scaled by the root of their deviation: halfway to whitening, so that the coarse ones
        stay the strongest and noise drowns the finest first.
        """
        p = self.patch
        patches = frames.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * p * p)
        mean = patches.mean(0)
        variance, directions = torch.linalg.eigh(torch.cov((patches - mean).T))
        channels = len(self.mean)
        directions = directions[:, -channels:].flip(1).T
        deviation = variance[-channels:].flip(0).clamp_min(1e-8).sqrt()
        gain = deviation.pow(-0.5)
        gain = gain / (deviation * gain).square().mean().sqrt()
        self.project.weight.copy_((gain[:, None] * directions).view_as(self.project.weight))
        assert self.project.bias is not None
        assert self.expand.bias is not None
        self.project.bias.copy_(-gain * (directions @ mean))
        self.expand.weight.copy_((directions / gain[:, None]).view_as(self.expand.weight))
        # A transposed convolution has one bias a colour; the rest of the mean patch is left to the decoder.
        self.expand.bias.copy_(mean.view(3, -1).mean(1))

    @torch.no_grad()
    def normalise(self, raw: Tensor) -> None:
        """Set mean (for each channel) and scale (overall) from raw latents (N, C, h, w)."""
        self.mean.copy_(raw.mean((0, 2, 3)))
        self.scale.copy_((raw - self.mean[:, None, None]).square().mean().sqrt())


class Decoder(nn.Module):
    """A U-Net over what a frame can be composed from; it reads the latents at the level of their grid."""

    def __init__(self, channels: int, patch: int, widths: tuple[int, ...]) -> None:
        """Take the latents' channels and cell size, and channels at 1/4, 1/8, ... of the resolution."""
        super().__init__()
        self.level = (patch // 4).bit_length() - 1
        self.sources = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(144, widths[0], 3, padding=1))
        self.down = nn.ModuleList(
            nn.Sequential(ResidualBlock(before), nn.Conv2d(before, after, 3, stride=2, padding=1))
            for before, after in pairwise(widths)
        )
        self.read = nn.Conv2d(widths[self.level] + 3 * channels, widths[self.level], 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(ResidualBlock(width), ResidualBlock(width)) for width in widths
        )
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(after, 4 * before, 3, padding=1), nn.PixelShuffle(2))
            for before, after in pairwise(widths)
        )
        self.flow = nn.Conv2d(widths[0], 2, 3, padding=1)
        self.compose = nn.Sequential(nn.Conv2d(widths[0], 16 * 6, 3, padding=1), nn.PixelShuffle(4))
        for last in (self.flow, self.compose[0]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, layouts: Tensor, sources: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decide how to compose.

        Args:
            layouts: (N, 3 C, h, w) latents of the frame, of the warped and of the still portrait.
            sources: (N, 9, H, W) warped portrait, still portrait, condition map.

        Returns:
            Flow (N, 2, H / 4, W / 4) in units of `FLOW_UNIT`, correction (N, 3, H, W), logits of the three gates
            (N, 3, H, W).
        """
        x = self.sources(sources)
        skips: list[Tensor] = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for level in reversed(range(len(self.blocks))):
            if level < len(skips):
                x = self.up[level](x) + skips[level]
            if level == self.level:
                x = self.read(torch.cat([x, layouts], 1))
            x = self.blocks[level](x)
        correction, gates = self.compose(x).split(3, 1)
        return self.flow(x), correction, gates


def shift(pictures: Tensor, flow: Tensor) -> Tensor:
    """Look each pixel up elsewhere.

    Args:
        pictures: (N, 3, H, W).
        flow: (N, 2, h, w), pixels to the right and down from which each pixel is taken; made larger to H, W smoothly.

    Returns:
        (N, 3, H, W); beyond the edge, the edge's colours.
    """
    height, width = pictures.shape[-2:]
    flow = F.interpolate(flow.float(), (height, width), mode="bilinear", align_corners=False)
    y = torch.arange(height, device=flow.device) + 0.5
    x = torch.arange(width, device=flow.device) + 0.5
    # grid_sample's coordinates run from -1 to 1 over the picture, edge to edge.
    across = (x + flow[:, 0]) * (2 / width) - 1
    down = (y[:, None] + flow[:, 1]) * (2 / height) - 1
    grid = torch.stack([across, down], -1)
    return F.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)
