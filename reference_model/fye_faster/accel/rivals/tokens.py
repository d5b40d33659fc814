"""Spatial self-attention over fewer tokens: what token merging and token pruning have in common.

Around the self-attention of a transformer block, tokens are reduced before and brought back after it. The choice is
made on the block's input, before its norm. Own tokens only: keys and values of the reference are untouched, and so
are cross-attention, feed-forward and motion modules.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fye_faster.accel.accelerator import Accelerator, ClipInfo

DOWNSAMPLES = (1, 2, 4, 8)
_SEED = 0


@dataclass(frozen=True)
class Reduction:
    """How the N tokens of B samples become K and are brought back."""

    reduce: Callable[[Tensor], Tensor]
    """(B, N, C) to (B, K, C)."""
    place: Tensor
    """(B, N), for each token the one of the K whose output it gets."""


class TokenReduced(Accelerator):
    """Base class: subclasses decide which tokens go.

    Random choices come from a generator of its own, begun anew with each clip, and are common to all samples of a
    batch, so that guidance rows agree.
    """

    def __init__(self, ratio: float, downsample: int) -> None:
        """Take the share of tokens that go, and how much coarser than the finest grid with attention others may be.

        1 reduces that one alone. In Stable Diffusion's UNets it is the grid of the latents, from which methods count.

        Raises:
            ValueError: ratio outside 0 to 0.75 (one token of each 2 x 2 cell remains), or an unknown downsample.
        """
        if not 0 <= ratio <= 0.75:
            raise ValueError(f"ratio: expected 0 (no token goes) to 0.75, got {ratio}")
        if downsample not in DOWNSAMPLES:
            raise ValueError(
                f"downsample: expected one of {', '.join(map(str, DOWNSAMPLES))}, got {downsample}"
            )
        self.ratio, self.downsample = ratio, downsample

    def reduction(
        self, tokens: Tensor, grid: tuple[int, int], count: int, generator: torch.Generator
    ) -> Reduction:
        """Choose the tokens that go.

        Args:
            tokens: (B, N, C), input of the block.
            grid: (h, w), each at least 2, N = h w.
            count: tokens that go, 1 to N; no more than all but one of each cell.
            generator: on the CPU, for all random choices.
        """
        raise NotImplementedError

    @contextmanager
    def attached(self, denoiser: nn.Module, clip: ClipInfo) -> Iterator[None]:
        """See `Accelerator`.

        Raises:
            ValueError: the UNet has no spatial transformer blocks.
        """
        generator = torch.Generator().manual_seed(_SEED)
        found = list(_blocks(denoiser, self.downsample))
        if not found:
            raise ValueError(
                "looked for transformer blocks in `attentions` of down_blocks, mid_block and up_blocks, but this "
                f"{type(denoiser).__name__} has none"
            )
        handles = []
        for scale, block in found:
            height, width = (-(-side // scale) for side in clip.latent_size)
            hooks = _Hooks(self, (height, width), generator)
            handles += [
                block.norm1.register_forward_pre_hook(hooks.choose),
                block.attn1.register_forward_pre_hook(hooks.reduce),
                block.attn1.register_forward_hook(hooks.restore),
            ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Hooks:
    """On one transformer block, in the order of the methods."""

    def __init__(self, owner: TokenReduced, grid: tuple[int, int], generator: torch.Generator) -> None:
        self.owner, self.grid, self.generator = owner, grid, generator
        self.reduction: Reduction | None = None

    def choose(self, _norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        tokens, (height, width) = inputs[0], self.grid
        number = tokens.shape[1]
        if number != height * width:
            raise ValueError(f"expected {height} x {width} tokens a frame, got {number}")
        count = min(int(number * self.owner.ratio), number - (height // 2) * (width // 2))
        possible = count > 0 and min(self.grid) >= 2
        self.reduction = self.owner.reduction(tokens, self.grid, count, self.generator) if possible else None

    def reduce(self, _attention: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return inputs if self.reduction is None else (self.reduction.reduce(inputs[0]), *inputs[1:])

    def restore(self, _attention: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output if self.reduction is None else take(output, self.reduction.place)


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """Of (B, N, C), those at (B, K): (B, K, C)."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Cosines between (B, N, C) and (B, M, C), (B, N, M)."""
    return nn.functional.normalize(a, dim=-1) @ nn.functional.normalize(b, dim=-1).mT


def cells(grid: tuple[int, int]) -> Tensor:
    """Numbers of the tokens in each 2 x 2 cell of a grid, (cells, 4); an odd last row or column has no cell."""
    height, width = (side // 2 * 2 for side in grid)
    numbers = torch.arange(grid[0] * grid[1]).view(grid)[:height, :width]
    grouped: Tensor = numbers.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).transpose(1, 2)
    return grouped.flatten(2).flatten(0, 1)


def _blocks(unet: nn.Module, downsample: int) -> Iterator[tuple[int, Any]]:
    """Spatial transformer blocks of the finest grid that has some and of those up to `downsample` times coarser.

    Each with how much coarser than the latents its grid is.
    """
    down, up = (list(getattr(unet, way, ())) for way in ("down_blocks", "up_blocks"))
    scales = [2**i for i in range(len(down))]
    levels = [
        *zip(scales, down, strict=True),
        *((scale, getattr(unet, "mid_block", None)) for scale in scales[-1:]),
        *zip(reversed(scales), up, strict=True),
    ]
    blocks = [
        (scale, block)
        for scale, level in levels
        for transformer in getattr(level, "attentions", ())
        for block in transformer.transformer_blocks
    ]
    finest = min((scale for scale, _ in blocks), default=1)
    return ((scale, block) for scale, block in blocks if scale <= downsample * finest)
