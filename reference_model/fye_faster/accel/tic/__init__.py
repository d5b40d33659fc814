"""TIC, the Taylor-Interpolated Cache (paper section 4.4), for any diffusers-style UNet.

At full steps the network runs and its features are recorded. At the other steps they are extrapolated. Read in this
order:

1. `schedule`: which steps are full.
2. `predictors`: the formula (Eq. 4), its coefficients, and the history of one feature. The Taylor rule is here.
3. `masks`: where Taylor terms act before step G.
4. `layers`: which modules of a UNet are cached or skipped, and how a skipped one is replaced.
5. `store`: the state of every window during sampling.
6. `cache`: `TaylorCache`, which puts all of it together.

docs/acceleration.md shows how to use it, docs/acceleration_method.md how the paper was read.
"""

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
