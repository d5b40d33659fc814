"""`fye-faster`: the reference model of this repository as we ship it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from baselines._options import Kind
from baselines._reference_model import ReferenceModel

if TYPE_CHECKING:
    from reference_model.acceleration import Accelerator

_DEFAULT = "balanced"


class FyeFaster(ReferenceModel):
    """FYE-Faster: latent diffusion with reference attention, landmark guidance and motion modules.

    Option: `cache`: a preset of `reference_model.acceleration_presets` or `none`; `balanced` by default, `none` where
    `steps` are others than it is made for.
    """

    name = "fye-faster"
    extra: ClassVar[Mapping[str, Kind]] = {"cache": ("none", "lossless", "balanced", "fast")}

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator | None":
        """See `ReferenceModel`."""
        from reference_model.acceleration import Composed
        from reference_model.acceleration_presets import PRESETS

        name = given.get("cache", _DEFAULT if PRESETS[_DEFAULT].steps == steps else "none")
        if name == "none":
            return None
        if PRESETS[name].steps != steps:
            raise ValueError(
                f"cache: {name} is made for {PRESETS[name].steps} steps, got {steps}; set cache=none"
            )
        return Composed(PRESETS[name])
