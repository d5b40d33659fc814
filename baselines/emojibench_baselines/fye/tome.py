"""`fye+tome`: similar tokens merged around spatial self-attention (ToMe-SD)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.reference_model import ReferenceModel

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator


class FyeToMe(ReferenceModel):
    """FYE-Faster with token merging.

    Options: `ratio` of tokens merged (0.5, at most 0.75); `downsample` of the coarsest grid concerned (1, 2, 4, 8).
    """

    name = "fye+tome"
    extra: ClassVar[Mapping[str, Kind]] = {"ratio": float, "downsample": int}

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator":
        """See `ReferenceModel`."""
        from fye_faster.accel.rivals.merging import TokenMerged

        return TokenMerged(given.get("ratio", 0.5), given.get("downsample", 1))
