"""`copy-reference`: the floor of every table. It repeats the portrait and ignores the driving sequence."""

import time

import numpy as np

from emojibench.dataset.clip import Clip
from emojibench.methods import Animation, Options, Progress
from emojibench_baselines.fye.options import parse


class CopyReference:
    """Repeats the portrait: the floor that any animation has to beat."""

    name = "copy-reference"
    revision = "1"
    gpus = 0

    def __init__(self, options: Options) -> None:
        """Takes no options; raises UserError for any."""
        parse(options, {}, method=self.name)

    def animate(self, clip: Clip, *, seed: int, progress: Progress) -> Animation:
        """The portrait, `clip.frames` times; the seed changes nothing."""
        start = time.perf_counter()
        frames = np.repeat(clip.portrait[None], clip.frames, axis=0)
        progress(clip.frames, clip.frames)
        return Animation(frames, clip.driving.fps, {"copy": time.perf_counter() - start})
