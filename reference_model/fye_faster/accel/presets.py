"""The accelerators that `fye-faster` ships with, found on training clips by `benchmarks/search_cache.py`."""

import logging
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from torch import nn

from fye_faster.accel.accelerator import Accelerator, AcceleratorConfig, Composed
from fye_faster.accel.forecast import Forecast, GuidanceShare
from fye_faster.accel.tic import explicit

STEPS = 30
"""T of the uncached sampling that all presets stand for."""

PRESETS: Mapping[str, AcceleratorConfig] = MappingProxyType(
    {
        "near-lossless": AcceleratorConfig(
            STEPS,
            cache=Forecast(explicit(STEPS, (0, 3, 6, 9, 12, 15, 18, 21, 25, 27, 29)), 2, "newton", 0.0),
            guidance=GuidanceShare((0, 3, 6, 9, 12), 1, 0.0),
        ),
        "balanced": AcceleratorConfig(
            STEPS,
            cache=Forecast(explicit(STEPS, (0, 5, 8, 9, 13, 17, 22, 26, 29)), 2, "newton", 0.0),
            guidance=GuidanceShare((0, 8), 1, 0.0),
        ),
        "fast": AcceleratorConfig(
            STEPS,
            cache=Forecast(explicit(STEPS, (0, 7, 12, 20, 25, 29)), 3, "newton", 0.0),
            guidance=GuidanceShare((0, 7), 1, 0.0),
        ),
    }
)
"""Name to config, from the most faithful to the cheapest. Skipped steps run nothing of the network, so that the
cost is that of the rows computed: 16, 11 and 8 of 45."""

RENAMED: Mapping[str, str] = MappingProxyType({"lossless": "near-lossless"})
"""Old name to new name. Old run folders and command lines carry the old ones."""

CHOICES = ("none", *PRESETS)
DEFAULT = "balanced"


def preset(name: str | None, steps: int) -> Accelerator:
    """An accelerator for sampling with T steps.

    Args:
        name: one of `CHOICES`, or an old name in `RENAMED`; None: `DEFAULT` if T is 30, else `none`.
        steps: T.

    Raises:
        ValueError: an unknown name, or one that is made for another number of steps.
    """
    config = _config(name, steps)
    return Accelerator() if config is None else Composed(config, steps)


def compiled(name: str | None, steps: int, unet: nn.Module) -> Accelerator:
    """The same, on a compiled UNet.

    Args:
        name: as in `preset`.
        steps: T.
        unet: of the animator, on its device.

    Raises:
        ValueError: as `preset`, or `torch.compile` does not work on this machine.
    """
    from fye_faster.accel.compiled import Compiled, CompiledDenoiser, check

    config = _config(name, steps) or AcceleratorConfig(steps)
    check(next(unet.parameters()).device)
    return Compiled(config, CompiledDenoiser(unet), steps)


def _config(name: str | None, steps: int) -> AcceleratorConfig | None:
    if name is None:
        name = DEFAULT if steps == STEPS else "none"
    name = current(name)
    if name not in CHOICES:
        raise ValueError(f"cache: expected one of {', '.join(CHOICES)}, got {name!r}")
    if name == "none":
        return None
    if steps != STEPS:
        raise ValueError(f"cache: {name} is made for {STEPS} steps, got {steps}; expected none")
    return PRESETS[name]


def current(name: str) -> str:
    """The name that a preset has today; logs one line where it was given by an old one."""
    if name not in RENAMED:
        return name
    _say_renamed(name)
    return RENAMED[name]


@cache
def _say_renamed(name: str) -> None:
    logging.getLogger(__name__).warning(
        "cache: preset %s is called %s now, because its frames differ a little from the uncached ones",
        name,
        RENAMED[name],
    )
