"""The figures of a dataset: their names, units and meaning."""

from dataclasses import dataclass

TURNED = 30
"""Degrees of yaw."""


@dataclass(frozen=True)
class Fact:
    """One figure of a dataset, or why there is none."""

    value: float | None
    n: int = 0
    """What it is of: clips, portraits, or driving sequences."""
    reason: str = ""


@dataclass(frozen=True)
class About:
    """What a figure means."""

    title: str
    unit: str
    decimals: int
    of: str
    """What its n counts."""
    full: float | None = None
    """Where the radar plot's axis ends; None where it has none."""


ABOUT = {
    "clips": About("Clips", "", 0, "clips"),
    "domains": About("Domains", "", 0, "clips", 4),
    "subjects": About("Identities on portraits", "", 0, "clips"),
    "resolution": About("Resolution", "pixels a side", 0, "clips", 512),
    "duration": About("Duration, median", "s", 2, "sequences"),
    "total": About("Duration of all sequences", "min", 2, "sequences"),
    "expression_coverage": About(
        "Expressions covered (landmarks)", "share of 243 in 1,000 frames", 3, "sequences", 0.5
    ),
    "expression_entropy": About("Entropy of expressions (landmarks)", "0 to 1", 3, "sequences", 1),
    "blendshape_coverage": About("Blendshapes covered", "share of 51 in 1,000 frames", 3, "sequences", 1),
    "blendshape_entropy": About("Entropy of blendshapes", "0 to 1", 3, "sequences", 1),
    "yaw": About("Range of yaw, 95 % of frames", "degrees", 1, "sequences", 90),
    "pitch": About("Range of pitch, 95 % of frames", "degrees", 1, "sequences", 60),
    "roll": About("Range of roll, 95 % of frames", "degrees", 1, "sequences", 60),
    "turned": About(f"Frames with yaw over {TURNED}°", "share", 3, "sequences"),
    "motion": About("Motion, median", "eye distances", 3, "sequences", 0.5),
    "energy": About("Motion energy", "(eye distances / s)²", 2, "sequences"),
    "gaze": About("Range of gaze, 95 % of frames", "half eye widths", 2, "sequences", 1),
    "aesthetic": About("Aesthetic (SigLIP)", "0 to 1", 3, "portraits", 1),
    "dynamic": About("Dynamic (SigLIP)", "0 to 1", 3, "sequences", 1),
    "cartoon": About("Cartoon (SigLIP)", "0 to 1", 3, "portraits", 1),
}  # fmt: skip
"""All figures, in the order of tables."""
SCORES = ("aesthetic", "dynamic", "cartoon")
"""Those of the paper's Fig. 6."""
