"""TIC, the Taylor-Interpolated Cache (paper section 4.4), for any diffusers-style UNet. See docs/acceleration.md."""

from fye_faster.accel.tic.cache import TaylorCache, TaylorCacheConfig
from fye_faster.accel.tic.masks import LandmarkMasks, regions
from fye_faster.accel.tic.schedule import Adaptive, Fixed, explicit, uniform, warm_up

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
