"""`fye-faster`: the reference model of this repository as we ship it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.reference_model import ReferenceModel

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator


class FyeFaster(ReferenceModel):
    """FYE-Faster: latent diffusion with reference attention, landmark guidance and motion modules.

    Options: `cache`: a preset of `fye_faster.accel.presets` or `none`; `balanced` by default, `none` where
    `steps` are others than it is made for. `compile` (false): compile the UNet at the first clip, which takes minutes
    and makes the others faster; needs a C++ compiler.
    """

    name = "fye-faster"
    extra: ClassVar[Mapping[str, Kind]] = {"cache": str, "compile": bool}

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator":
        """See `ReferenceModel`."""
        from fye_faster.accel import presets

        if given.get("compile"):
            return presets.compiled(given.get("cache"), steps, self._pipeline.model.animator.denoiser)
        return presets.preset(given.get("cache"), steps)
