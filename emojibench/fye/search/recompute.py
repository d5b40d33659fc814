"""Landmark tokens computed anew at skipped steps (as ToCa does), at its best, for the search.

A network that really ran on some tokens only would see stale neighbours and could not spare its convolutions there.
This one runs in full, takes its answer where the landmarks are and a forecast elsewhere, and is charged for those
tokens alone: no implementation can be nearer to the uncached way or cheaper.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812
from fye_faster.accel.accelerator import Accelerator, AcceleratorConfig, over
from fye_faster.accel.forecast import Forecast, Forecaster
from fye_faster.accel.tic import regions
from fye_faster.accel.tic.masks import Region
from fye_faster.diffusion.sampler import Guided, Predict
from fye_faster.pipelines.mini import Pipeline
from torch import Tensor

from emojibench.fye.search.scenes import Result, Scene, sample


@dataclass(frozen=True)
class Ideal:
    """What is done elsewhere, and which tokens are computed at every step."""

    forecast: Forecast
    region: Region

    @property
    def label(self) -> str:
        """Names all settings."""
        return f"ideal-{self.region}-{AcceleratorConfig(self.forecast.schedule.steps, cache=self.forecast).label}"

    def sample(self, pipeline: Pipeline, scene: Scene) -> Result:
        """Denoise a scene; FLOPs are those charged."""
        accelerator = Recomputed(self.forecast, self.region, scene)
        result = sample(pipeline, scene, accelerator, self.forecast.schedule.steps)
        return replace(result, flops=accelerator.charged(result.flops))


class Recomputed(Accelerator):
    """One window of a scene."""

    def __init__(self, forecast: Forecast, region: Region, scene: Scene) -> None:
        """Take what is done elsewhere, and which tokens are computed at every step."""
        self._forecast = forecast
        masks = regions(scene.maps, region)[:, None].float()  # (L, 1, H, W)
        cells = F.adaptive_max_pool2d(masks, tuple(scene.noise.shape[-2:])) > 0
        self._where = cells.transpose(0, 1)[None]  # (1, 1, L, h, w)
        self._full = self._partly = 0

    def around(self, guided: Guided, frames: list[int]) -> Predict:
        """See `Accelerator`."""
        forecaster = Forecaster(self._forecast, guided.rows, guided.timesteps)

        def rows(noisy: Tensor, step: int, count: int) -> tuple[Tensor, ...]:
            made = forecaster(noisy, step, count)
            if step in self._forecast.schedule.full:
                self._full += count
                return made
            self._partly += count
            true = guided.rows(noisy, step, count)
            return tuple(torch.where(self._where, a, b) for a, b in zip(true, made, strict=True))

        return over(rows, guided)

    def charged(self, flops: int) -> int:
        """What it would cost to compute the tokens that are used alone, given FLOPs of all tokens at all steps."""
        share = self._where.float().mean().item()
        return round(flops * (self._full + share * self._partly) / (self._full + self._partly))
