"""`fye+prune`: similar tokens left out of spatial self-attention (SiTo)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._options import Kind
from baselines._reference_model import ReferenceModel

if TYPE_CHECKING:
    from reference_model.acceleration import Accelerator


class FyePrune(ReferenceModel):
    """FYE-Faster with token pruning.

    Options: `ratio` of tokens pruned (0.5, at most 0.75); `downsample` of the coarsest grid concerned (1, 2, 4, 8);
    `noise` in the choice of base tokens (0.1).
    """

    name = "fye+prune"
    extra: ClassVar[Mapping[str, Kind]] = {"ratio": float, "downsample": int, "noise": float}

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator":
        """See `ReferenceModel`."""
        from baselines.accelerators.pruning import TokenPruned

        return TokenPruned(given.get("ratio", 0.5), given.get("downsample", 1), given.get("noise", 0.1))
