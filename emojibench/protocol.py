"""The protocol: everything that makes two numbers comparable, and its id.

Two results with different protocol ids never share a table, a gate or a sentence.
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from emojibench import registry
from emojibench.faces.detector import gives_transforms


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
    """Where target landmarks come from (`emojibench.targets`)."""
    aggregation: str = (
        "mean over frames, mean over clips; 95 % bootstrap interval clustered by portrait, Student-stretched"
    )
    metrics: dict[str, int]
    """Version of every built-in metric column, whether a run computes it or not."""

    @property
    def id(self) -> str:
        """Short digest of all fields."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def scored(self, split: str) -> slice:
        """Frames of a clip that metrics see."""
        return slice(self.first_scored[split], None)

    def differences(self, other: "Protocol") -> list[str]:
        """Lines `field: ours / theirs` for every field in which two protocols differ."""
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
    return Protocol(detector=detector, metrics=_builtin_versions(), **overrides)


def _builtin_versions() -> dict[str, int]:
    """Column name to version, for the metrics that ship with the benchmark."""
    versions: dict[str, int] = {}
    for factory in registry.usable(registry.METRICS).values():
        if factory.__module__.partition(".")[0] == "metrics":
            versions |= {traits.name: traits.version for traits in factory.traits}
    return dict(sorted(versions.items()))
