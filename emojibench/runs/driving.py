"""What the rows say of a clip itself, whatever animates it: how its driving moves, turns and looks."""

import numpy as np
from emojibench_metrics.interface import Traits
from numpy.typing import NDArray

from emojibench.dataset.clip import Clip
from emojibench.dataset.motion import motion_of
from emojibench.errors import DatasetError, MediaError
from emojibench.face.driving import DrivingSequence
from emojibench.face.measures import Measures, measure
from emojibench.protocol import Protocol
from emojibench.runs.clips import Clips
from emojibench.runs.columns import DRIVING, EXPRESSIONS, MOTION, TURN
from emojibench.runs.records import per_frame
from emojibench.runs.score_clip import Measured

_TURNED = 95
"""Percentile over the frames: a single frame whose face was read wrongly does not count."""


def driven(clips: Clips, clip_id: str, protocol: Protocol) -> list[Measured]:
    """The columns `DRIVING` of one clip, over the frames that the protocol lets drive it.

    Values frame by frame are of the frames that are scored, as those of metrics are.
    """
    try:
        clip = clips.clip(clip_id)
    except (DatasetError, MediaError) as error:
        return [Measured(traits, "failed", reason=str(error)) for traits in DRIVING]
    seen, total = clip.driving.detected, len(clip.driving)
    if not seen.any():
        reason = f"no face in any of {total} driving frames"
        return [Measured(traits, "undefined", reason=reason, total=total) for traits in DRIVING]
    faces = measure(clip.driving.landmarks[seen], clip.driving.size)
    shown = (faces.mouth_open, faces.smile, faces.eyes_closed)
    measured = [_motion(clip.driving), _turn(clip, faces, protocol)]
    for traits, flags in zip(EXPRESSIONS, shown, strict=True):
        measured.append(_known(traits, float(flags.mean()), flags, clip, protocol))
    return measured


def _motion(driving: DrivingSequence) -> Measured:
    faces = int(driving.detected.sum())
    figure = motion_of(driving)
    if figure is None:
        reason = f"a face in {faces} of {len(driving)} driving frames, at least 2 are needed"
        return Measured(MOTION, "undefined", reason=reason, total=len(driving))
    return Measured(MOTION, "ok", figure, faces, total=len(driving))


def _turn(clip: Clip, faces: Measures, protocol: Protocol) -> Measured:
    """How far the head turns to the side, seen from where the portrait's head points."""
    if clip.portrait_landmarks is None:
        reason = "no face was found on the portrait"
        return Measured(TURN, "undefined", reason=reason, total=len(clip.driving))
    height, width = clip.portrait.shape[:2]
    turned = np.abs(faces.yaw - measure(clip.portrait_landmarks[None], (width, height)).yaw)
    turned = np.minimum(turned, 360 - turned)
    return _known(TURN, float(np.percentile(turned, _TURNED)), turned, clip, protocol)


def _known(
    traits: Traits,
    value: float,
    of_faces: NDArray[np.float64] | NDArray[np.bool_],
    clip: Clip,
    protocol: Protocol,
) -> Measured:
    seen = clip.driving.detected
    frames = np.full(len(seen), np.nan)
    frames[seen] = of_faces
    scored = per_frame(frames[protocol.scored(clip.split)])
    return Measured(traits, "ok", value, int(seen.sum()), total=len(seen), frames=scored)
