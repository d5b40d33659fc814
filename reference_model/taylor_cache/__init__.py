"""TIC, the Taylor-Interpolated Cache (paper section 4.4), for any diffusers-style UNet. See docs/acceleration.md."""

from reference_model.taylor_cache.cache import TaylorCache, TaylorCacheConfig
from reference_model.taylor_cache.masks import LandmarkMasks, regions
from reference_model.taylor_cache.schedule import Adaptive, Fixed, explicit, uniform, warm_up

__all__ = [
    "Adaptive",
    "Fixed",
    "LandmarkMasks",
    "TaylorCache",
    "TaylorCacheConfig",
    "explicit",
    "regions",
    "uniform",
    "warm_up",
]
