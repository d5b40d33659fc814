"""At which steps a cache runs the network in full: options, and the schedules that they describe."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from emojibench_baselines.fye.options import Kind

if TYPE_CHECKING:
    from fye_faster.accel.tic import Adaptive, Fixed

TIC_OPTIONS: dict[str, Kind] = {
    "schedule": str,
    "interval": int,
    "first": int,
    "threshold": float,
    "cap": int,
}
DEEPCACHE_OPTIONS: dict[str, Kind] = {
    "interval": int,
    "schedule": ("uniform", "non-uniform"),
    "center": int,
    "power": float,
}
_USES = {"uniform": ("interval",), "warm-up": ("interval", "first"), "adaptive": ("threshold", "cap")}


def tic(given: Mapping[str, Any], steps: int) -> "Fixed | Adaptive":
    """The schedule that the options describe.

    Args:
        given: values of those of `TIC_OPTIONS` that were set. `schedule`: uniform (default; every
            `interval`-th step, 3), warm-up (the `first` 3 steps as well), adaptive (when the noisy latents have
            moved by `threshold`, at most `cap` 4 skips in a row), or full steps such as 0,1,2,5.
        steps: T, of the sampler.

    Raises:
        ValueError: out of range, an unknown schedule, or an option that the schedule does not use.
    """
    from fye_faster.accel.tic import Adaptive, explicit, uniform, warm_up

    kind = given.get("schedule", "uniform")
    interval, first = given.get("interval", min(3, steps)), given.get("first", min(3, steps))
    _refuse_unused(given, TIC_OPTIONS, ("schedule", *_USES.get(kind, ())), f"schedule {kind}")
    if kind == "uniform":
        return uniform(steps, interval)
    if kind == "warm-up":
        return warm_up(steps, interval, first)
    if kind == "adaptive":
        if "threshold" not in given:
            raise ValueError("threshold: schedule adaptive needs one, such as 0.2; got none")
        return Adaptive(steps, given["threshold"], given.get("cap", min(4, steps - 1)))
    try:
        full = [int(number) for number in kind.split(",")]
    except ValueError:
        raise ValueError(
            f"schedule: expected {', '.join(_USES)} or full steps such as 0,1,2,5, got {kind!r}"
        ) from None
    return explicit(steps, full)


def deepcache(given: Mapping[str, Any], steps: int) -> "Fixed":
    """The schedule of Ma et al., "DeepCache: accelerating diffusion models for free", 2023.

    Args:
        given: values of those of `DEEPCACHE_OPTIONS` that were set. `schedule`: uniform (default; every `interval`-th
            step, 3) or non-uniform, see `centered`, with `center` (0.3 T) and `power` (1.4).
        steps: T, of the sampler.

    Raises:
        ValueError: out of range, or an option that the schedule does not use.
    """
    from fye_faster.accel.tic import explicit, uniform

    interval = given.get("interval", min(3, steps))
    if given.get("schedule", "uniform") == "uniform":
        _refuse_unused(given, ("center", "power"), (), "schedule uniform")
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


def _refuse_unused(given: Mapping[str, Any], options: Iterable[str], used: tuple[str, ...], by: str) -> None:
    """Raise ValueError if one of the options was given that is not used."""
    for name in options:
        if name in given and name not in used:
            raise ValueError(f"{name}: {by} takes none, got {given[name]!r}")
