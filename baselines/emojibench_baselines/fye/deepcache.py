"""`fye+deepcache`: Ma et al., "DeepCache: accelerating diffusion models for free", 2023.

What comes from below a skip connection is kept from the last full step; the layers above it run at every step. That
is the Taylor cache of order 0 and scope `deep`, so this is a setting of it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from emojibench_baselines.fye.cache_schedule import refuse_unused
from emojibench_baselines.fye.options import Kind
from emojibench_baselines.fye.tic import FyeTic


class FyeDeepCache(FyeTic):
    """FYE-Faster with DeepCache.

    Options: `interval` (3), `cut` (0 to 2, the skip connection, "branch" in the paper; 0), `schedule` (uniform or
    non-uniform), and for the latter `center` (0.3 T) and `power` (1.4).
    """

    name = "fye+deepcache"
    features: ClassVar[Mapping[str, Kind]] = {"cut": int}
    fixed: ClassVar[Mapping[str, Any]] = {"scope": "deep", "order": 0, "mask": "none"}
    extra: ClassVar[Mapping[str, Kind]] = {
        "interval": int,
        "schedule": ("uniform", "non-uniform"),
        "center": int,
        "power": float,
        **features,
    }

    def schedule(self, given: Mapping[str, Any], steps: int) -> Any:
        """See `FyeTic`."""
        from fye_faster.accel.tic import explicit, uniform

        if not 0 <= given.get("cut", 0) <= 2:
            raise ValueError(f"cut: expected 0 to 2, got {given['cut']}")
        interval = given.get("interval", min(3, steps))
        if given.get("schedule", "uniform") == "uniform":
            refuse_unused(given, dict.fromkeys(("center", "power")), (), "schedule uniform")
            return uniform(steps, interval)
        center, power = given.get("center", round(0.3 * steps)), given.get("power", 1.4)
        return explicit(steps, centered(steps, interval, center, power))


def centered(steps: int, interval: int, center: int, power: float) -> list[int]:
    """Full steps of the paper's non-uniform schedule: as many as of the uniform one, closest around a center.

    Points evenly spaced between the p-th roots of -c and T - c are raised to the power p and shifted by c. The root
    of a negative number is its principal complex one and the real part is truncated, as in the published code.

    Args:
        steps: T.
        interval: N, for ceil(T / N) full steps.
        center: c, 1 to T - 1.
        power: p, more than 1; the larger, the denser around the center.

    Raises:
        ValueError: out of range, or steps that coincide (a power nearer 1 or a larger interval helps).
    """
    if not 1 <= interval <= steps:
        raise ValueError(f"interval: expected 1 to {steps} (the number of steps), got {interval}")
    if not 1 <= center < steps:
        raise ValueError(f"center: expected a step from 1 to {steps - 1}, got {center}")
    if not 1 < power <= 4:
        raise ValueError(f"power: expected more than 1 and at most 4, got {power}")
    count = -(-steps // interval)
    points = np.linspace(complex(-center) ** (1 / power), (steps - center) ** (1 / power), count + 1)[1:-1]
    inner = {int(point.real) + center for point in points**power}
    full = sorted({0} | {step for step in inner if 0 < step < steps})
    if len(full) != count:
        raise ValueError(
            f"power: {power} makes some of {count} full steps coincide around {center}; expected one nearer 1"
        )
    return full
