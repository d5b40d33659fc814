"""Token pruning: Zhang et al., "Training-free and hardware-friendly acceleration for diffusion models via
similarity-based token pruning" (SiTo), 2025. Written from the published formulas.
"""

import torch
from torch import Tensor

from fye_faster.accel.rivals.tokens import Reduction, TokenReduced, cells, similarity, take


class TokenPruned(TokenReduced):
    """Tokens similar to a base token are left out and copy the output of the kept token most similar to them.

    A token's score is the sum of its cosines to all tokens plus `noise` times unit Gaussian noise. The best of each
    2 x 2 cell is a base token; of the others, those with the largest cosine to any base token are pruned.
    """

    def __init__(self, ratio: float, downsample: int, noise: float) -> None:
        """Take `noise`, alpha of the paper (its beta is 1), beside what `TokenReduced` takes.

        Raises:
            ValueError: as there, or negative noise.
        """
        super().__init__(ratio, downsample)
        if not 0 <= noise <= 1000:
            raise ValueError(f"noise: expected 0 to 1000, got {noise}")
        self.noise = noise

    @property
    def label(self) -> str:  # type: ignore[override]
        """See `Accelerator`."""
        return f"sito-ratio{self.ratio:g}-down{self.downsample}-noise{self.noise:g}"

    def reduction(
        self, tokens: Tensor, grid: tuple[int, int], count: int, generator: torch.Generator
    ) -> Reduction:
        """See `TokenReduced`."""
        cosines = similarity(tokens, tokens)
        noise = torch.randn(tokens.shape[1], generator=generator).to(tokens.device)
        score = cosines.sum(-1) + self.noise * noise
        members = cells(grid).to(tokens.device)
        best = score[:, members].argmax(-1)  # (B, cells)
        base = members.expand(len(tokens), -1, -1).gather(2, best[..., None])[..., 0]
        closeness = take(cosines, base).amax(1).scatter(1, base, -torch.inf)
        order = closeness.argsort(dim=1, descending=True)
        pruned, kept = order[:, :count], order[:, count:]
        from_kept = cosines.gather(2, kept[:, None].expand(-1, tokens.shape[1], -1))
        copied = take(from_kept, pruned).argmax(-1)
        ranks = torch.arange(kept.shape[1], device=tokens.device).expand_as(kept)
        place = torch.empty_like(order).scatter_(1, kept, ranks).scatter_(1, pruned, copied)
        return Reduction(lambda x: take(x, kept), place)
