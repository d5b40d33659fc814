"""The accelerators that `fye-faster` ships with, found on training clips by `benchmarks/search_cache.py`."""

from collections.abc import Mapping
from types import MappingProxyType

from reference_model.acceleration import Recipe
from reference_model.forecast import Forecast, GuidanceShare
from reference_model.taylor_cache import explicit

STEPS = 30
"""T of all presets."""


def _recipe(full: tuple[int, ...], guided: tuple[int, ...]) -> Recipe:
    """Clean latents extrapolated from full steps; the unconditional row extrapolated from some of them."""
    return Recipe(STEPS, cache=Forecast(explicit(STEPS, full), 2, "newton"), guidance=GuidanceShare(guided))


PRESETS: Mapping[str, Recipe] = MappingProxyType(
    {
        "lossless": _recipe((0, 1, 2, 4, 6, 8, 11, 14, 18, 22, 26, 29), (0, 4, 11)),
        "balanced": _recipe((0, 1, 3, 6, 10, 15, 20, 26), (0, 3, 10)),
        "fast": _recipe((0, 2, 6, 12, 20), (0, 6)),
    }
)
"""Name to recipe, from the most faithful to the cheapest. Skipped steps run nothing of the network."""
