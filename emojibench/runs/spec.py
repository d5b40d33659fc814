"""What a run is: everything that decides its animations, and what is measured on them."""

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from emojibench.dataset.manifest import Identifier
from emojibench.errors import UserError
from emojibench.protocol import Protocol
from emojibench.runs.columns import ColumnSpec

_MINI = "ae5df6da2d185f05610fcf0237cc01ed38be8023e13814164475591301e07972"
_SYNTH = "0c1ae4e7fef7337f94d768c1fc7383290f7964624c7c57a2f1077ac2ae78507c"
_FORMER = {
    "c446dfdda1297358d6f93e3d2b3c13890ffb609524770f1e89e08c148fe6cbd0": _MINI,
    "6b21ef6525adcac0697fdda405c570c7fa0efc32ff59956cb4c3bdc48b150864": _MINI,
    "d11eb50183ff71e4b417336d7f821f61140b5afc38466819c9727f41245d5019": _SYNTH,
    "428073c00a5d532dffae449d10f40ceb72a64c0aa58c46d32ebc66d1d8d7ecef": _SYNTH,
}
"""Digests of `mini` and `synth` at 256 pixels that named versions of libraries, to those of the same pictures today."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")

_ANIMATION_FIELDS = (
    "source", "method", "options", "revision", "dataset", "dataset_version", "dataset_digest",
    "split", "clips", "seed",
)  # fmt: skip
ANIMATION_PROTOCOL = ("size", "frames", "detector")
"""Fields of the protocol that decide them."""


Fact = Annotated[str, Field(pattern=r"^[^\x00-\x1f|`]{1,500}$")]
Facts = dict[Fact, Fact]
FACTS = TypeAdapter(Facts)
WEIGHTS = TypeAdapter(dict[Fact, Annotated[str, Field(pattern="^[0-9a-f]{12,64}$")]])
"""Weight file to its sha256, or how that begins."""


class RunSpec(BaseModel):
    """One method over one split under one protocol: spec.json.

    Whatever becomes part of a path is an identifier, so that no spec of somebody else's leads out of a folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: Identifier
    """Name of the run folder."""
    source: Literal["method", "predictions"]
    """Animated here by a method, or finished videos that were made elsewhere."""
    method: Identifier
    """Registered name of the method, or the name the user gave to finished videos."""
    options: dict[str, str] = {}
    """`--set key=value` pairs."""
    revision: str
    """`Method.revision`; another one means other animations."""
    about: Facts = {}
    """What readers of the numbers must know, such as `label`, `motion` and `licence`, as the method says it."""
    dataset_ref: str
    """What the user asked for: a name, or a folder as typed."""
    dataset: Identifier
    dataset_version: str
    dataset_digest: Identifier
    split: Annotated[str, Field(pattern="^(self|cross)$")]
    clips: tuple[Identifier, ...]
    """Clip ids in the order of the dataset."""
    seed: int
    """Every clip's seed is derived from it and the clip id (`clip_seed`)."""
    metrics: tuple[str, ...]
    """Registered names of the metrics."""
    columns: tuple[ColumnSpec, ...] = ()
    """Those of the metrics when the run was last scored; empty in runs of older versions."""
    protocol: Protocol

    @field_validator("dataset_digest")
    @classmethod
    def _is_of_contents(cls, digest: str) -> str:
        return _FORMER.get(digest, digest)

    def conflicts(self, other: "RunSpec") -> list[str]:
        """Lines `field: ours, theirs` where the two would animate differently.

        Metrics and the scoring half of the protocol may differ: the same animations are then scored again.
        Their clips may be more than ours: those that we lack are then added.
        """
        ours, theirs = self._animation(), other._animation()
        if set(self.clips) <= set(other.clips):
            theirs["clips"] = ours["clips"]
        return [
            f"{key}: {_short(ours[key])}, {_short(theirs[key])}" for key in ours if ours[key] != theirs[key]
        ]

    def _animation(self) -> dict[str, Any]:
        fields = {key: getattr(self, key) for key in _ANIMATION_FIELDS}
        return fields | {key: getattr(self.protocol, key) for key in ANIMATION_PROTOCOL}


def checked_name(name: str, what: str, advice: str = "choose another name") -> str:
    """`name` if it can be a file name on any system.

    Raises:
        UserError: it cannot; the message opens with `what` and closes with `advice`.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{what}: expected letters, digits and . _ + - (first a letter or digit), got {name!r}; {advice}"
        )
    return name


def clip_seed(seed: int, clip_id: str) -> int:
    """Seed of one clip in [0, 2^31), from the run's seed and the clip id, never from the order of clips."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{clip_id}".encode()).digest()[:4], "big") >> 1


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} clips ({', '.join(value[:3])}{', …' if len(value) > 3 else ''})"
    return repr(value)
