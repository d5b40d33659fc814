"""`fye+reuse`: TIC without Taylor terms, to tell what extrapolation is worth at the same cost."""

from collections.abc import Mapping
from typing import Any, ClassVar

from emojibench_baselines.fye.cache_schedule import SCHEDULE_OPTIONS
from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.tic import FyeTic


class FyeReuse(FyeTic):
    """FYE-Faster that repeats the features of the last full step, by default at 20 of 30 steps.

    Options: schedule and scope as for `fye+tic`.
    """

    name = "fye+reuse"
    features: ClassVar[Mapping[str, Kind]] = {"scope": str, "cut": int, "quantity": str}
    fixed: ClassVar[Mapping[str, Any]] = {"scope": "head", "order": 0, "mask": "none"}
    extra: ClassVar[Mapping[str, Kind]] = {**SCHEDULE_OPTIONS, **features}
