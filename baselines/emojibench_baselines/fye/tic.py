"""`fye+tic`: the reference model with the Taylor-Interpolated Cache (paper section 4.4)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from emojibench_baselines.fye.cache_schedule import SCHEDULE_OPTIONS, schedule
from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.reference_model import ReferenceModel

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator


class FyeTic(ReferenceModel):
    """FYE-Faster with the Taylor-Interpolated Cache: most steps are extrapolated, by default 20 of 30.

    Options: those of `_cache_schedule.schedule`, and by their names those of `TaylorCacheConfig`.
    """

    name = "fye+tic"
    features: ClassVar[Mapping[str, Kind]] = {
        "order": int,
        "boundary": int,
        "mask": str,
        "scope": str,
        "cut": int,
        "predictor": str,
        "quantity": str,
    }
    """Options that are parameters of `TaylorCacheConfig`."""
    fixed: ClassVar[Mapping[str, Any]] = {"scope": "head"}
    """What replaces the defaults of `TaylorCacheConfig`. Caching attention alone, all that the paper's text names,
    saves too little for the paper's speedup (docs/acceleration_results.md); on `mini` only `head` reaches it."""
    extra: ClassVar[Mapping[str, Kind]] = {**SCHEDULE_OPTIONS, **features}

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator":
        """See `ReferenceModel`."""
        from fye_faster.accel.accelerator import TaylorCached
        from fye_faster.accel.tic import TaylorCacheConfig

        chosen = {name: value for name, value in given.items() if name in self.features}
        return TaylorCached(TaylorCacheConfig(self.schedule(given, steps), **{**self.fixed, **chosen}))

    def schedule(self, given: Mapping[str, Any], steps: int) -> Any:
        """Which steps run in full; subclasses may have other schedules.

        Raises:
            ValueError: options that do not fit.
        """
        return schedule(given, steps)
