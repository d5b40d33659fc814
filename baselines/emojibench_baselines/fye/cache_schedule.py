"""The options that say at which steps a cache runs the network in full."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emojibench_baselines.fye.options import Kind

if TYPE_CHECKING:
    from fye_faster.accel.tic import Adaptive, Fixed

SCHEDULE_OPTIONS: dict[str, Kind] = {
    "schedule": str,
    "interval": int,
    "first": int,
    "threshold": float,
    "cap": int,
}
_USES = {"uniform": ("interval",), "warm-up": ("interval", "first"), "adaptive": ("threshold", "cap")}


def schedule(given: Mapping[str, Any], steps: int) -> "Fixed | Adaptive":
    """The schedule that the options describe.

    Args:
        given: values of those of `SCHEDULE_OPTIONS` that were set. `schedule`: uniform (default; every
            `interval`-th step, 3), warm-up (the `first` 3 steps as well), adaptive (when the noisy latents have
            moved by `threshold`, at most `cap` 4 skips in a row), or full steps such as 0,1,2,5.
        steps: T, of the sampler.

    Raises:
        ValueError: out of range, an unknown schedule, or an option that the schedule does not use.
    """
    from fye_faster.accel.tic import Adaptive, explicit, uniform, warm_up

    kind = given.get("schedule", "uniform")
    interval, first = given.get("interval", min(3, steps)), given.get("first", min(3, steps))
    refuse_unused(given, SCHEDULE_OPTIONS, ("schedule", *_USES.get(kind, ())), f"schedule {kind}")
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


def refuse_unused(
    given: Mapping[str, Any], options: Mapping[str, Any], used: tuple[str, ...], by: str
) -> None:
    """Raise ValueError if one of the options was given that is not used."""
    for name in options:
        if name in given and name not in used:
            raise ValueError(f"{name}: {by} takes none, got {given[name]!r}")
