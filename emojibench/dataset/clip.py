"""What a method receives: one portrait, one driving sequence.

Ground truth is deliberately absent: only scoring reads it, through `Dataset.ground_truth`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emojibench.face.driving import DrivingSequence
from emojibench.media.sound import samples_of
from emojibench.notebooks import html_table
from emojibench.types import Frames, Image, Landmarks, Sound


@dataclass(frozen=True, repr=False)
class Clip:
    """One benchmark item: a portrait and the sequence that drives it."""

    clip_id: str
    split: str
    """`self` (frame 0 of the driving video is the portrait) or `cross` (another subject drives)."""
    domain: str
    subject: str
    """Who is on the portrait; intervals are clustered by it."""
    driving_subject: str
    portrait: Image
    """(H, W, 3) at the protocol's resolution."""
    portrait_landmarks: Landmarks | None
    """(478, 3) on the portrait, or None where no face was found."""
    driving: DrivingSequence
    load_driving_frames: Callable[[], Frames] | None = None
    """Decodes the driving video at the protocol's resolution; None where only landmarks exist."""
    portrait_transform: NDArray[np.float64] | None = None
    """(4, 4) rigid head pose on the portrait, canonical face to camera, cm; only the `.task` detector gives it."""
    load_driving_sound: Callable[[], Sound] | None = None
    """Reads what was heard during the driving sequence, as long as that; None where nobody kept it."""

    @property
    def frames(self) -> int:
        """Number of frames to generate, one for each driving frame."""
        return len(self.driving)

    def cut(self, frames: int) -> "Clip":
        """The same clip, driven by no more than its first `frames` frames."""
        if self.frames <= frames:
            return self
        driving, load, heard = self.driving, self.load_driving_frames, self.load_driving_sound
        cut = replace(
            driving,
            landmarks=driving.landmarks[:frames],
            transforms=None if driving.transforms is None else driving.transforms[:frames],
            blendshapes=None if driving.blendshapes is None else driving.blendshapes[:frames],
        )
        return replace(
            self,
            driving=cut,
            load_driving_frames=None if load is None else lambda: load()[:frames],
            load_driving_sound=None if heard is None else lambda: heard()[: samples_of(frames, driving.fps)],
        )

    def __repr__(self) -> str:
        height, width = self.portrait.shape[:2]
        face = "face" if self.portrait_landmarks is not None else "no face"
        return (
            f"Clip({self.clip_id}: {self.split}, {self.domain}, subject {self.subject}, driven by "
            f"{self.driving_subject}\n  portrait {width}x{height}, {face} found\n  {self.driving!r})"
        )

    def _repr_html_(self) -> str:
        height, width = self.portrait.shape[:2]
        facts = {
            "split": self.split, "domain": self.domain, "subject": self.subject, "driven by": self.driving_subject,
            "portrait": f"{width}x{height}", "driving": repr(self.driving),
        }  # fmt: skip
        return html_table(self.clip_id, ("what", ""), facts.items())
