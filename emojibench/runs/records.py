"""The two records of a run: one animation of one clip, and one measured value of one clip."""

from typing import Annotated, Any, Literal

import numpy as np
from emojibench_metrics.interface import Traits
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from emojibench.errors import plain

Text = Annotated[str, BeforeValidator(lambda text: plain(text) if isinstance(text, str) else text)]
"""What a plug-in said."""

Status = Literal["ok", "undefined", "unavailable", "failed"]
"""ok: there is a value. undefined: the definition gives none here (no ground truth, no face). unavailable:
the metric's weights cannot be had on this machine. failed: the method or the metric broke on this clip."""


def per_frame(values: NDArray[np.floating[Any]]) -> tuple[float | None, ...]:
    """(T,) values as `Row.frames`."""
    return tuple(float(f"{value:.5g}") if np.isfinite(value) else None for value in values)


class Row(BaseModel):
    """One value of one clip, or the reason why there is none. Lines of rows.jsonl, rows of rows.parquet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_id: str
    subject: str
    """Who is on the portrait; intervals are clustered by it."""
    domain: str
    metric: str
    """Name of the column."""
    value: float | None
    """None unless `status` is ok; None as well for metrics of a set, whose value is in summary.json."""
    unit: str
    n: int
    """Frames that the value rests on (metrics of a set: windows of features)."""
    total: int | None = None
    """Frames that it would rest on had none been lost (no face found). None: there is no value, or the row is older
    than this field."""
    status: Status
    reason: Text = ""
    """Why there is no value: one line, empty when there is one."""
    note: str = ""
    """What a reader of the value must know: `warm-up`, or how the frames were resized."""
    inputs: str = ""
    """Digest of everything that the value was computed from; a row with another one is stale."""
    frames: tuple[float | None, ...] = Field(default=(), exclude_if=lambda frames: not frames)
    """The value frame by frame, of the frames that are scored, to five digits; None where a frame has none. Empty
    where the metric says no more than one value."""

    def judged(self, traits: Traits) -> "Row":
        """This row, or a failed one where its value cannot be of the column: somebody changed the file."""
        refusal = traits.refusal(self.value) if self.status == "ok" and self.value is not None else ""
        if not refusal:
            return self
        reason = f"the row holds a wrong value: {refusal}; score the run again"
        return self.model_copy(
            update={"status": "failed", "value": None, "total": None, "reason": reason, "frames": ()}
        )


class AnimationRecord(BaseModel):
    """How one clip was animated: animation.json, the mark that the clip is finished."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_id: str
    status: Literal["ok", "failed"]
    reason: Text = ""
    """Why it failed, in one line; the traceback is in logs/."""
    note: str = ""
    seed: int | None = None
    """Seed that the method was given; None for finished videos."""
    source: str = ""
    """Digest of the finished video that was read; empty for methods."""
    digest: str = ""
    """sha256 of the raw frames (T*H*W*3 bytes), whatever the container."""
    fps: float | None = None
    frames: int = 0
    size: tuple[int, int] | None = None
    """(width, height) in pixels."""
    latency: float | None = None
    """Wall-clock seconds of `animate`; None for finished videos."""
    seconds: dict[str, float] = {}
    """Wall-clock seconds per stage, as the method names them."""
    shared: int = 1
    """How many clips were made together; `latency` and `seconds` are then what each takes on average."""
    warm_up: bool = False
    """First clip of its shape in its process: slower, and FLOPs were counted meanwhile."""
    flops: float | None = None
    """Floating-point operations (1 MAC = 2 FLOPs)."""
    counted: bool = False
    """They were counted on this very clip, which slows it a little. Otherwise on the warm-up clip of the same shape."""
    peak_memory: int | None = None
    """Peak memory in bytes."""
    device: str = ""
    """What it was made on; empty in files of older versions."""
    node: str = ""
    """Which machine of a cluster made it; empty: that which the command ran on."""
    memory_kind: Literal["", "cuda", "clip", "rss", "processes"] = ""
    """See `emojibench.runs.measuring.Kind`."""
