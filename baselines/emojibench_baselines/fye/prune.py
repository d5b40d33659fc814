"""`fye+prune`: similar tokens left out of spatial self-attention (SiTo)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.reference_model import ReferenceModel

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator


class FyePrune(ReferenceModel):
    """FYE-Faster with token pruning.

    Options: `ratio` of tokens pruned (0.5, at most 0.75); `downsample` of the coarsest grid concerned (1, 2, 4, 8);
    `noise` in the choice of base tokens (0.1).
    """

    name = "fye+prune"
    extra: ClassVar[Mapping[str, Kind]] = {"ratio": float, "downsample": int, "noise": float}

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator":
        """See `ReferenceModel`."""
        from fye_faster.accel.rivals.pruning import TokenPruned

        return TokenPruned(given.get("ratio", 0.5), given.get("downsample", 1), given.get("noise", 0.1))
