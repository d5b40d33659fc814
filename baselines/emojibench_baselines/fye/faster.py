"""`fye-faster`: the reference model of this repository as we ship it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.reference_model import ReferenceModel

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator


class FyeFaster(ReferenceModel):
    """FYE-Faster: latent diffusion with reference attention, landmark guidance and motion modules.

    Option: `cache`: a preset of `fye_faster.accel.presets` or `none`; `balanced` by default, `none` where
    `steps` are others than it is made for.
    """

    name = "fye-faster"
    extra: ClassVar[Mapping[str, Kind]] = {"cache": str}

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator":
        """See `ReferenceModel`."""
        from fye_faster.accel.presets import preset

        return preset(given.get("cache"), steps)
