"""Clips as the protocol wants them, no longer than its number of frames, and as a method wants them."""

from dataclasses import dataclass, replace

from emojibench import media
from emojibench.dataset.clip import Clip
from emojibench.dataset.dataset import Dataset
from emojibench.types import Frames


@dataclass(frozen=True)
class Clips:
    """A dataset's clips and truths, cut to the first `frames` frames."""

    dataset: Dataset
    frames: int

    def clip(self, clip_id: str) -> Clip:
        """One clip. Raises as `Dataset.clip`."""
        return self.dataset.clip(clip_id).cut(self.frames)

    def truth(self, clip_id: str) -> Frames | None:
        """What a perfect method returns, or None where nobody knows. Raises as `Dataset.ground_truth`."""
        truth = self.dataset.ground_truth(clip_id)
        return None if truth is None else truth[: self.frames]


def resized(clip: Clip, side: int | None) -> Clip:
    """The clip with pictures of `side` x `side` pixels (`media.resize`); as it is where a method takes any size."""
    if side is None or clip.portrait.shape[:2] == (side, side):
        return clip
    load = clip.load_driving_frames
    return replace(
        clip,
        portrait=media.resize(clip.portrait, side),
        load_driving_frames=None if load is None else lambda: media.resize(load(), side),
    )
