"""`fye+pab`: attention outputs reused in the manner of Pyramid Attention Broadcast."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.reference_model import ReferenceModel

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator

_RANGES = {"spatial": 2, "cross": 6, "temporal": 4}


class FyePab(ReferenceModel):
    """FYE-Faster with Pyramid Attention Broadcast.

    Options: for how many steps the output of `spatial` (2), `cross` (6) and `temporal` (4) attention serves, between
    the timesteps `low` (100) and `high` (800).
    """

    name = "fye+pab"
    extra: ClassVar[Mapping[str, Kind]] = {**dict.fromkeys(_RANGES, int), "low": int, "high": int}

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator":
        """See `ReferenceModel`."""
        from fye_faster.accel.rivals.broadcast import Broadcast

        ranges = {kind: given.get(kind, default) for kind, default in _RANGES.items()}
        return Broadcast(ranges, given.get("low", 100), given.get("high", 800))
