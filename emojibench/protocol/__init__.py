"""The protocol: what clips are and how they are presented to methods and metrics, and its id.

Two results with different protocol ids never share a table, a gate or a sentence. What a column means is its own
matter: it has a version (`emojibench_metrics.interface.Traits`), and versions are compared column by column, so that
one more metric makes no number incomparable.
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emojibench.face.detect import gives_transforms

AGGREGATION = (
    "mean over frames, mean over clips; 95 % bootstrap interval clustered by portrait, Student-stretched"
)
"""How summaries come from rows; they can be made again from the same rows at any time."""


class Protocol(BaseModel):
    """Frozen settings of one measurement."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    """Raised when the meaning of a field changes."""
    size: int = 256
    """Side of the square frames that methods receive and metrics see, in pixels."""
    frames: int = 64
    """Driving frames per clip; a clip is cut to its first `frames` frames."""
    detector: str
    """Landmark detector of targets and predictions alike (name, version, model digest)."""
    first_scored: dict[str, int] = {"self": 1, "cross": 0}
    """First frame that metrics see. In `self`, frame 0 is the portrait itself and would be a free copy."""
    targets: str = "self: driving landmarks; cross: motion alignment 1"
    """Where target landmarks come from (`emojibench.dataset.targets`)."""
    metrics: dict[str, int] = Field({}, exclude=True)
    """Versions of columns, in runs of older versions, whose summaries may lack them. Never written, not in the id."""

    @model_validator(mode="before")
    @classmethod
    def _forget_aggregation(cls, fields: Any) -> Any:
        """Older versions had it in the id as well."""
        return {k: v for k, v in fields.items() if k != "aggregation"} if isinstance(fields, dict) else fields

    @property
    def id(self) -> str:
        """Short digest of all fields that are written."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def scored(self, split: str) -> slice:
        """Frames of a clip that metrics see."""
        return slice(self.first_scored[split], None)

    @property
    def shape(self) -> str:
        """Length and size of clips for people: `up to 64 frames at 256x256`."""
        return f"up to {self.frames} frames at {self.size}x{self.size}"

    def differences(self, other: "Protocol") -> list[str]:
        """Lines `field: ours / theirs` for every field of the id in which two protocols differ."""
        ours, theirs = self.model_dump(), other.model_dump()
        return [f"{key}: {ours[key]} / {theirs[key]}" for key in ours if ours[key] != theirs[key]]


WITH_TRANSFORMS = (
    "self: driving landmarks; cross: motion alignment 2 (head transforms, as released), "
    "motion alignment 1 where landmarks lack them"
)
"""`Protocol.targets` of a detector that gives head transforms."""


def default(detector: str, **overrides: Any) -> Protocol:
    """The benchmark's own protocol with the detector of this run."""
    if gives_transforms(detector):
        overrides = {"targets": WITH_TRANSFORMS} | overrides
    return Protocol(detector=detector, **overrides)
