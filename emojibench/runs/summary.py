"""summary.json as one typed object: scoring writes it; results, tables, gates and pages read it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from emojibench.notebooks import DASH, share_lost
from emojibench.runs.records import Status

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f|`]+$")]
Count = Annotated[int, Field(ge=0, strict=True)]
Number = Annotated[float, Field(strict=True)]


class ColumnSummary(BaseModel):
    """One column of one run. Fields that have a default here may be missing in files of older versions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mean: Number | None
    """Mean over the clips that have a value; for a metric of a set, its one value."""
    low: Number | None
    high: Number | None
    """`low` and `high` bound the 95 % interval of the mean (bootstrap over portraits); None if it is not known."""
    median: Number | None = None
    n_clips: Count
    """Number of clips behind `mean`."""
    expected: Count
    """Number of clips of the run."""
    coverage: Annotated[Number, Field(ge=0, le=1)] | None = None
    """Share of the expected clips that have a value."""
    lost: Annotated[Number, Field(ge=0, le=1)] | None = None
    """Share of the frames in which no face was found, so that `mean` rests on the others; None: not known."""
    status: Status
    """ok, or why there is no mean: undefined, unavailable, failed."""
    reason: str = ""
    """Why the mean or the values of some clips are missing."""
    kind: Literal["clip", "set"] = "clip"
    """clip: mean of clips. set: one value of all clips together, such as FVD."""
    unit: str = ""
    better: Literal["higher", "lower", "none"] = "none"
    decimals: Annotated[Count, Field(le=15)] = 3
    """Decimal places that are printed."""
    version: Count | None = None
    """Version of the metric's definition."""
    note: str = ""
    """What else a reader of the column must know."""

    @property
    def complete(self) -> bool:
        """Whether the mean is taken over all frames of all clips."""
        return not self.reason and not self.lost

    @property
    def lacks(self) -> str:
        """Clips and frames that the mean is not of: `3 of 4, 5.0 % lost`; empty for a complete one."""
        parts = [f"{self.n_clips} of {self.expected}"] if self.reason else []
        if self.lost:
            parts.append(share_lost(self.lost))
        return ", ".join(parts)

    @property
    def shown(self) -> str:
        """The mean as it is printed, with what it lacks; a dash where there is none."""
        if self.mean is None:
            return DASH
        return f"{self.mean:.{self.decimals}f}" + (f" ({self.lacks})" if self.lacks else "")

    @property
    def interval(self) -> str:
        """`[low, high]` as it is printed; a dash where it is not known."""
        if self.low is None or self.high is None:
            return DASH
        return f"[{self.low:.{self.decimals}f}, {self.high:.{self.decimals}f}]"


class DatasetName(BaseModel):
    """Which dataset a run is of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: str
    digest: str


class ClipCounts(BaseModel):
    """What became of a run's clips."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    expected: Count
    animated: Count
    failed: dict[str, str]
    """Clip id to reason, for clips that the method could not animate."""


class Summary(BaseModel):
    """One run: summary.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    name: str
    method: str
    label: str = Field(default="", exclude_if=lambda label: not label)
    """What tables print behind the method's name; files have it where there is one."""
    revision: str
    split: str
    dataset: DatasetName
    protocol: str
    """Id of the protocol."""
    size: Count | None = None
    """Height and width of the frames in pixels; None in files of older versions."""
    frames: Count | None = None
    """Largest number of frames of a clip; None in files of older versions."""
    clips: ClipCounts
    metrics: dict[Name, ColumnSummary]
    """Column name to its summary."""

    @property
    def title(self) -> str:
        """The method's name and label."""
        return f"{self.method} ({self.label})" if self.label else self.method

    def updated(self, columns: Mapping[str, ColumnSummary]) -> "Summary":
        """A copy in which some columns have other summaries."""
        return self.model_copy(update={"metrics": {**self.metrics, **columns}})
