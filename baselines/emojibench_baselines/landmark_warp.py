"""`landmark-warp`: moves the portrait's pixels with its landmarks; no learning, no memory of other faces."""

import time

import numpy as np

from emojibench.dataset.clip import Clip
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import UserError
from emojibench.face.draw import hold_nearest
from emojibench.face.warp import Warp
from emojibench.methods import Animation, Options, Progress
from emojibench_baselines.fye.options import parse


class LandmarkWarp:
    """Warps the portrait piecewise affinely from its own landmarks to the target landmarks."""

    name = "landmark-warp"
    revision = "1"
    gpus = 0

    def __init__(self, options: Options) -> None:
        """Takes no options; raises UserError for any."""
        parse(options, {}, method=self.name)

    def animate(self, clip: Clip, *, seed: int, progress: Progress) -> Animation:
        """Warp the portrait to each target; the seed changes nothing.

        A frame without a target repeats the nearest one that has it.

        Raises:
            UserError: no face on the portrait, or in no frame of the driving sequence.
        """
        start = time.perf_counter()
        if clip.portrait_landmarks is None:
            raise UserError(f"clip {clip.clip_id}: no face on portrait; supply landmarks")
        if not clip.driving.detected.any():
            raise UserError(f"clip {clip.clip_id}: no driving frame has a face; there is nothing to follow")
        targets = hold_nearest(target_landmarks(clip))
        warp = Warp(clip.portrait, clip.portrait_landmarks)
        prepared = time.perf_counter()
        frames = np.empty((len(targets), *clip.portrait.shape), np.uint8)
        for index, target in enumerate(targets):
            frames[index] = warp(target)
            progress(index + 1, len(targets))
        seconds = {"prepare": prepared - start, "warp": time.perf_counter() - prepared}
        return Animation(frames, clip.driving.fps, seconds)
