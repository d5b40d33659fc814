"""What the rows say of a clip itself, whatever animates it: how much its driving moves."""

from emojibench.dataset.motion import motion_of
from emojibench.errors import DatasetError, MediaError
from emojibench.runs.clips import Clips
from emojibench.runs.columns import MOTION
from emojibench.runs.score_clip import Measured


def motion(clips: Clips, clip_id: str) -> Measured:
    """The motion of one clip, over the frames that the protocol lets drive it."""
    try:
        driving = clips.clip(clip_id).driving
    except (DatasetError, MediaError) as error:
        return Measured(MOTION, "failed", reason=str(error))
    faces = int(driving.detected.sum())
    figure = motion_of(driving)
    if figure is None:
        reason = f"a face in {faces} of {len(driving)} driving frames, at least 2 are needed"
        return Measured(MOTION, "undefined", reason=reason, total=len(driving))
    return Measured(MOTION, "ok", figure, faces, total=len(driving))
