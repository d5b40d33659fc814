"""`fye+unipc`: the reference model sampled by UniPC."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emojibench_baselines.fye.reference_model import ReferenceModel

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator


class FyeUniPc(ReferenceModel):
    """FYE-Faster with 15 steps (`steps`) of UniPC of second order."""

    name = "fye+unipc"
    steps = 15

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator":
        """See `ReferenceModel`."""
        from fye_faster.accel.accelerator import AcceleratorConfig, Composed

        return Composed(AcceleratorConfig(steps, "unipc"))
