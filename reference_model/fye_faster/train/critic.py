"""A critic of decoded frames, so that they are as sharp as rendered ones.

Where a head turns, nobody can know exactly where an ear or an outline will be. Any distance to the truth, LPIPS too, is
least for a mean of all that is possible, in which they fade. The critic learns to tell such a frame from its truth, and
the model learns to pass it.

It looks at features of a frozen network (Sauer et al., "Projected GANs converge faster", 2021), and judges each frame
against its own truth (Jolicoeur-Martineau, "The relativistic discriminator", 2019), because the few frames of a batch
are all of one identity. A critic of pixels told nothing apart after 100 steps; this one did after 10. The norms of
gradients set its weight, as in Esser et al., "Taming transformers", 2021, 3.2: there with respect to the last layer,
here to the frame.
"""

from collections.abc import Iterable
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor, nn

_LAYERS = ((0, 2), (1, 2), (2, 1), (4, 1))
"""Layers of the network that are judged, and by what stride."""
_WIDTH = 48
_SILENT, _RISE = 60, 60
"""Steps in which the critic only learns; then those over which its weight rises."""


class Perceptual(Protocol):
    """A network that sees what people see; `emojibench_metrics.lpips.LpipsNetwork` is one."""

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """(N,) distances of pictures (N, 3, H, W) in [-1, 1], differentiable."""
        ...

    def features(self, pictures: Tensor) -> Iterable[Tensor]:
        """Of pictures (N, 3, H, W) in [-1, 1]: (N, C, h, w), layer by layer, vectors of length 1, differentiable."""
        ...


class Critic(nn.Module):
    """A small head on each of some layers of a frozen network."""

    norms: Tensor
    steps: Tensor

    def __init__(self, perceptual: Perceptual, share: float) -> None:
        """Take the network, and how large the critic's gradient is beside that of the distance to the truth."""
        super().__init__()
        self.perceptual, self.share = perceptual, share
        channels = [part.shape[1] for part in self._features(torch.zeros(1, 3, 64, 64))]
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, _WIDTH, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(_WIDTH, _WIDTH, 4, stride, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(_WIDTH, 1, 1),
            )
            for width, (_, stride) in zip(channels, _LAYERS, strict=True)
        )
        self.register_buffer("norms", torch.zeros(2))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, drawn: Tensor, truth: Tensor, distance: Tensor) -> Tensor:
        """The distance, whose gradient leads the model past the critic too, and the critic's own loss, ().

        Args:
            drawn: the model's frames (N, 3, H, W) in [-1, 1], with gradients.
            truth: rendered ones, the same shape.
            distance: of the two, (); differentiable in `drawn`.
        """
        with torch.no_grad():
            true, false = self._features(truth), self._features(drawn.detach().float())
        gaps = [t - f for t, f in zip(self._judge(true), self._judge(false), strict=True)]
        own = torch.stack([F.relu(1 - gap.float()).mean() for gap in gaps]).mean()
        seen = drawn.detach().float().requires_grad_()
        taken = torch.stack([part.float().mean() for part in self._judge(self._features(seen))]).sum()
        (away,) = torch.autograd.grad(-taken, seen)
        (towards,) = torch.autograd.grad(distance, drawn, retain_graph=True)
        both = towards.float() + self._weight(towards, away) * away
        # A linear function of the frames with this gradient, so that the distance is differentiated once.
        linear = (drawn.float() * both).sum()
        return own + distance.detach() + linear - linear.detach()

    @torch.no_grad()
    def _weight(self, towards: Tensor, away: Tensor) -> Tensor:
        """The critic's weight, from running means of the two gradients' norms."""
        norms = torch.stack([towards.float().norm(), away.norm()])
        self.norms.lerp_(norms, 1.0 if self.steps == 0 else 0.05)
        self.steps += 1
        loudness = ((self.steps - _SILENT) / _RISE).clamp(0, 1)
        return loudness * self.share * self.norms[0] / (self.norms[1] + 1e-12)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        """Those that are judged, of mean square 1."""
        found = list(self.perceptual.features(pictures))
        return [found[layer] * found[layer].shape[1] ** 0.5 for layer, _ in _LAYERS]

    def _judge(self, features: list[Tensor]) -> list[Tensor]:
        """(N, 1, h, w) for each layer; larger: more like a rendered frame."""
        return [head(part) for head, part in zip(self.heads, features, strict=True)]
