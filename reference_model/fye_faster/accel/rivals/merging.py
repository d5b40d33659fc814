"""Token merging: Bolya and Hoffman, "Token merging for fast Stable Diffusion" (ToMe-SD), 2023."""

import torch
from torch import Tensor

from fye_faster.accel.rivals.tokens import Reduction, TokenReduced, cells, similarity, take


class TokenMerged(TokenReduced):
    """The tokens most similar to a kept one are averaged into it.

    In each 2 x 2 cell one random token is a destination. Of all others, those with the largest cosine to any
    destination are merged into it, the mean including the destination itself.
    """

    @property
    def label(self) -> str:  # type: ignore[override]
        """See `Accelerator`."""
        return f"tome-ratio{self.ratio:g}-down{self.downsample}"

    def reduction(
        self, tokens: Tensor, grid: tuple[int, int], count: int, generator: torch.Generator
    ) -> Reduction:
        """See `TokenReduced`."""
        members = cells(grid)
        chosen = torch.randint(4, (len(members), 1), generator=generator)
        targets = members.gather(1, chosen)[:, 0]
        is_source = torch.ones(tokens.shape[1], dtype=torch.bool).index_fill(0, targets, False)
        sources = is_source.nonzero()[:, 0].to(tokens.device)
        targets = targets.to(tokens.device)
        best, nearest = similarity(tokens[:, sources], tokens[:, targets]).max(-1)
        order = best.argsort(dim=1, descending=True)
        merged, alone = order[:, :count], order[:, count:]
        into = nearest.gather(1, merged)

        def reduce(x: Tensor) -> Tensor:
            own, kept = x[:, sources], x[:, targets]
            gone = take(own, merged)
            index = into[..., None].expand_as(gone)
            return torch.cat([take(own, alone), kept.scatter_reduce(1, index, gone, "mean")], 1)

        left = alone.shape[1]
        place = torch.empty(tokens.shape[:2], dtype=torch.long, device=tokens.device)
        place[:, targets] = left + torch.arange(len(targets), device=tokens.device)
        place.scatter_(1, sources[alone], torch.arange(left, device=tokens.device).expand_as(alone))
        place.scatter_(1, sources[merged], left + into)
        return Reduction(reduce, place)
