"""SiTo (Zhang et al., 2025) against its rules written out token by token."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from fye_faster.accel.rivals.pruning import TokenPruned
from fye_faster.accel.rivals.tokens import take

SIDE = 4


def by_hand(tokens: torch.Tensor, count: int) -> tuple[list[int], list[int]]:
    """Of one picture (N, D): its kept tokens, ascending, and for every token the one whose output it gets."""
    number = len(tokens)
    cosine = [[F.cosine_similarity(a, b, dim=0).item() for b in tokens] for a in tokens]
    typical = [sum(row) for row in cosine]
    base = []
    for top in range(0, SIDE, 2):
        for left in range(0, SIDE, 2):
            cell = [(top + y) * SIDE + left + x for y in (0, 1) for x in (0, 1)]
            base.append(max(cell, key=lambda k: typical[k]))
    others = [k for k in range(number) if k not in base]
    others.sort(key=lambda k: max(cosine[k][b] for b in base), reverse=True)
    pruned = others[:count]
    kept = [k for k in range(number) if k not in pruned]
    return kept, [max(kept, key=lambda j: cosine[k][j]) if k in pruned else k for k in range(number)]


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_tokens_are_pruned_and_filled_by_the_rules(ratio: float) -> None:
    tokens = torch.randn(3, SIDE * SIDE, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    count = int(ratio * SIDE * SIDE)
    method = TokenPruned(ratio, downsample=1, noise=0.0)
    reduction = method.reduction(tokens, (SIDE, SIDE), count, torch.Generator())
    reduced = reduction.reduce(tokens)
    assert reduced.shape[1] == SIDE * SIDE - count
    restored = take(reduced, reduction.place)
    for picture, kept, filled in zip(tokens, reduced, restored, strict=True):
        expected, sources = by_hand(picture, count)
        assert sorted(map(tuple, kept.tolist())) == sorted(map(tuple, picture[expected].tolist()))
        assert torch.equal(filled, picture[sources])
