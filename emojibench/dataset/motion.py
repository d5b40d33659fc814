"""How much moves in a clip, in one figure."""

import numpy as np

from emojibench.face.driving import DrivingSequence
from emojibench.face.points import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS

HARDLY = 0.015
"""Eye distances; a still picture with the noise of a camera reaches 0.011, a single blink 0.05."""
_POINTS = 95
"""Percentile over the points: a mouth or two eyes that move are enough, whatever rests."""


def motion_of(driving: DrivingSequence) -> float | None:
    """How far the points that move most stray from their mean place, in eye distances.

    For each of the 478 points, the root mean square over the frames of its distance from its mean place in the
    picture; of these figures the 95th percentile. An eye distance is that of the outer eye corners, the median over
    the frames. None with fewer than two frames with a face.
    """
    seen = driving.landmarks[driving.detected, :, :2].astype(np.float64) * driving.size
    if len(seen) < 2:
        return None
    eyes = seen[:, RIGHT_EYE_CORNERS[0]] - seen[:, LEFT_EYE_CORNERS[0]]
    unit = max(float(np.median(np.linalg.norm(eyes, axis=1))), 1e-6)
    strayed = np.sqrt(((seen - seen.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
    return float(np.percentile(strayed, _POINTS)) / unit
