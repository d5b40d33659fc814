"""`fye+pab`: attention outputs reused in the manner of Pyramid Attention Broadcast."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._options import Kind
from baselines._reference_model import ReferenceModel

if TYPE_CHECKING:
    from reference_model.acceleration import Accelerator

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
        from baselines.accelerators.broadcast import Broadcast

        ranges = {kind: given.get(kind, default) for kind, default in _RANGES.items()}
        return Broadcast(ranges, given.get("low", 100), given.get("high", 800))
