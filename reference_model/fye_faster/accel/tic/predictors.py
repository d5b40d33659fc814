"""Features of a skipped step, extrapolated from those of the full steps before it (paper section 4.4, Eq. 4).

Everything is written with divided differences f[b_0], f[b_0, b_1], ..., newest step first. For full steps N apart
f[b_0, ..., b_i] is Delta^i F / (i! N^i), which is what Eq. 4 multiplies with k^i; for any other schedule it is the
consistent generalisation.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

Predictor = Literal["eq4", "newton", "literal", "literal-updated"]
"""`eq4`: F_b + sum_i f[b_0 .. b_i] k^i with k steps since the last full one. Exact for affine features; at higher
orders a damped form of Newton's.

`newton`: the polynomial through the last refreshes. Exact up to its degree; amplifies noise more.

`literal`, `literal-updated`: Algorithm 1 word by word, where increments of Eq. 4 pile up on one another: over the
steps after a refresh a feature of slope 1 moves by 0, 1, 3, 6 (modules read the entry before the update, line 8)
or 1, 3, 6, 10 (after it). For ablation only.
"""
PREDICTORS: tuple[Predictor, ...] = get_args(Predictor)


def coefficients(
    predictor: Predictor, step: int, refreshes: Sequence[int], start: int = 0
) -> tuple[float, ...]:
    """Factors of f[b_0, b_1], f[b_0, b_1, b_2], ... at a skipped step.

    Args:
        predictor: which formula.
        step: n, later than the refreshes.
        refreshes: steps b_0 > b_1 > ..., one more than there are factors.
        start: first step at which a Taylor term may act (G); before it the last full feature is repeated.
    """
    last, orders = refreshes[0], range(1, len(refreshes))
    if predictor in ("literal", "literal-updated"):
        ahead = step - last + (predictor == "literal-updated")
        acting = [k for k in range(1, ahead) if last + k >= start]
        return tuple(sum(k**i for k in acting) for i in orders)
    if step < start:
        return (0,) * len(orders)
    factors: list[float] = []
    product = 1
    for i in orders:
        product *= step - (last if predictor == "eq4" else refreshes[i - 1])
        factors.append(product)
    return tuple(factors)


class History:
    """One feature at its latest full steps, as divided differences."""

    def __init__(self, order: int) -> None:
        """Keep what a prediction of this order needs: order + 1 tensors."""
        self._order = order
        self._differences: list[Tensor] = []
        self._steps: tuple[int, ...] = ()

    @property
    def last(self) -> int:
        """The latest full step."""
        return self._steps[0]

    @property
    def shape(self) -> torch.Size:
        """Of the feature."""
        return self._differences[0].shape

    @property
    def order(self) -> int:
        """The order that predictions have: one less than the number of full steps so far, up to the limit."""
        return len(self._differences) - 1

    @property
    def bytes(self) -> int:
        """Of all tensors kept."""
        return sum(kept.numel() * kept.element_size() for kept in self._differences)

    def record(self, step: int, feature: Tensor) -> None:
        """Take in the feature of a full step, later than all before; any shape, always the same."""
        differences = [feature.detach()]
        for old, then in zip(self._differences[: self._order], self._steps, strict=False):
            # bfloat16 would cost about one per cent of the difference: it promotes to float32 here.
            kind = torch.promote_types(feature.dtype, torch.float16)
            differences.append((differences[-1].to(kind) - old.to(kind)) / (step - then))
        self._differences = differences
        self._steps = (step, *self._steps)[: len(differences)]

    def predict(self, step: int, predictor: Predictor, start: int, mask: Tensor | None = None) -> Tensor:
        """The feature at a skipped step, of the shape of those recorded.

        Args:
            step: n, later than the last full one.
            predictor: which formula.
            start: G: before it, only masked elements get Taylor terms.
            mask: bool, broadcasts against the feature; None is an empty mask.
        """
        feature = self._differences[0]
        gated = coefficients(predictor, step, self._steps, start)
        masked = gated if mask is None else coefficients(predictor, step, self._steps)
        change = self._change(gated)
        if mask is not None and masked != gated:
            change = torch.where(mask, self._change(masked), change)
        return feature if isinstance(change, float) else (feature + change).to(feature.dtype)

    def _change(self, factors: tuple[float, ...]) -> Tensor | float:
        """Sum of the Taylor terms, of the feature's shape; 0.0 where none acts."""
        change: Tensor | float = 0.0
        for factor, difference in zip(factors, self._differences[1:], strict=True):
            if factor:
                change = change + factor * difference
        return change
