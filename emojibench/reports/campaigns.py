"""What `emojibench ablate` and `emojibench accel` wrote beside their pages: rows of means, without run folders."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from emojibench_metrics.cost import TRAITS, is_cost
from emojibench_metrics.interface import Traits
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from emojibench import registry
from emojibench.errors import UserError
from emojibench.files import reading
from emojibench.reports.blocks import (
    Block,
    Cell,
    Column,
    Footnotes,
    Heading,
    Table,
    measured,
    missing,
    number,
)
from emojibench.reports.columns import PAPER
from emojibench.runs.summary import ColumnSummary

COSTS: tuple[tuple[str, str, str, float], ...] = (
    ("GFLOP", "flops", ".0f", 1e-9),
    ("Speed-up, FLOPs", "flops_speedup", ".2f", 1),
    ("Denoising, s", "seconds", ".1f", 1),
    ("Speed-up, s", "seconds_speedup", ".2f", 1),
    ("Cached step, %", "cached_step", ".1f", 100),
    ("Kept, MiB", "cached_bytes", ".1f", 2**-20),
    ("Latent error", "latent", ".4f", 1),
    ("Latent error, tail", "latent_tail", ".4f", 1),
    ("Latent error, to more steps", "latent_far", ".4f", 1),
    ("MSE x 1e4", "mse", ".3f", 1e4),
    ("MSE, tail", "mse_tail", ".2f", 1e4),
    ("LPIPS x 1e3", "lpips", ".3f", 1e3),
    ("LPIPS, tail", "lpips_tail", ".2f", 1e3),
)
"""Title, field of a row of `emojibench accel`, how it is printed, and by what it is multiplied for that."""
GROUPS = {
    "table3": "The paper's Table 3", "table5": "The paper's Table 5", "beyond": "What fye-faster ships with",
    "rivals": "Further rivals", "floor": "Noise floors: another precision, more steps",
}  # fmt: skip
"""Tables that rows of `emojibench accel` belong to, and their titles."""
_ADVICE = "expected what `emojibench ablate` or `emojibench accel` wrote beside its page; run it again"
_LEGEND = (
    "Means over clips with the 95 % interval (bootstrap over portraits) where the file has one; (5.0 % lost): share of "
    "frames without a face, the mean is over the others. Paired differences are a row minus its reference over the "
    "clips that both have; **bold** where the interval excludes zero. Files of older versions do not "
    "say how many frames were lost."
)
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Mean(_Part):
    """A mean and its interval; older files have the mean alone."""

    mean: Number
    low: Number | None = None
    high: Number | None = None
    clips: int | None = None
    expected: int | None = None
    kind: Literal["clip", "set"] = "clip"
    reason: str = ""
    """What it is not of; files of versions before 0.4 do not say."""
    lost: Annotated[float, Field(ge=0, le=1)] | None = None
    unit: str = ""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"mean": value} if isinstance(value, int | float) else value


class CampaignRow(_Part):
    """One row."""

    name: str
    title: str
    groups: tuple[str, ...] = ()
    against: str = ""
    missing: str = ""
    """Why there is nothing but a title."""
    method: str = ""
    revision: str = ""
    clips: int = 0
    traced: int = 0
    """Of them, those whose steps were observed."""
    means: dict[str, Mean] = Field(default_factory=dict, validation_alias=AliasChoices("means", "metrics"))
    differences: dict[str, Mean] = Field(default_factory=dict)
    """To the row that it is compared with."""
    flops: Mean | None = None
    flops_speedup: Mean | None = None
    seconds: Mean | None = None
    seconds_speedup: Mean | None = None
    cached_step: Mean | None = None
    cached_bytes: Mean | None = None
    latent: Mean | None = None
    latent_tail: Mean | None = None
    latent_far: Mean | None = None
    mse: Mean | None = None
    mse_tail: Mean | None = None
    lpips: Mean | None = None
    lpips_tail: Mean | None = None

    def summary(self, name: str) -> ColumnSummary | None:
        """A column, as runs summarise it; None where the row does not have it."""
        found = self.means.get(name)
        if found is None:
            return None
        known = traits().get(name)
        clips = self.clips if found.clips is None else found.clips
        expected = max(self.clips, clips) if found.expected is None else found.expected
        return ColumnSummary(
            mean=found.mean, low=found.low, high=found.high, n_clips=clips, expected=expected, kind=found.kind,
            status="ok", reason=found.reason, lost=found.lost, unit=found.unit or (known.unit if known else ""),
            better=known.better if known else "none", decimals=known.decimals if known else 3,
        )  # fmt: skip


class _Dataset(_Part):
    name: str
    version: str = ""
    digest: str


class _Protocol(_Part):
    id: str
    size: int
    frames: int


class Campaign(_Part):
    """A whole file."""

    split: str
    dataset: _Dataset
    protocol: _Protocol
    rows: Annotated[tuple[CampaignRow, ...], Field(min_length=1)]

    @property
    def kind(self) -> str:
        """The command that wrote it."""
        return "accel" if any(row.groups for row in self.rows) else "ablate"

    @property
    def title(self) -> str:
        """What was measured."""
        return "Acceleration" if self.kind == "accel" else "Ablation"

    @property
    def setting(self) -> str:
        """On what, in words."""
        version = f" version {self.dataset.version}" if self.dataset.version else ""
        protocol = self.protocol
        return (
            f"`{self.dataset.name}`{version}, {max(row.clips for row in self.rows)} clips of {self.split} reenactment, "
            f"up to {protocol.frames} frames at {protocol.size}x{protocol.size}, protocol `{protocol.id}`"
        )


def load_campaign(file: Path) -> Campaign:
    """Read what a command wrote.

    Raises:
        UserError: no such file, not one of theirs, or a value that its column cannot have.
    """
    campaign = reading.read_model(Campaign, file, advice=_ADVICE)
    for row in campaign.rows:
        for name, found in row.means.items():
            known = traits().get(name)
            if known is not None and (refusal := known.refusal(found.mean)):
                raise UserError(f"{file}: row {row.name!r}: {name}: {refusal}; {_ADVICE}")
    return campaign


@cache
def traits() -> dict[str, Traits]:
    """What is known of columns, by name."""
    known = {t.name: t for factory in registry.usable(registry.METRICS).values() for t in factory.traits}
    return known | {t.name: t for t in TRAITS}


def campaign_page(campaign: Campaign) -> list[Block]:
    """All rows of a campaign."""
    blocks: list[Block] = [
        Heading(f"{campaign.title}: {campaign.dataset.name}, {campaign.split} reenactment", 1),
        f"Written by `emojibench {campaign.kind}`. {campaign.setting[0].upper()}{campaign.setting[1:]}.",
    ]
    groups = [title for title in GROUPS if sum(title in row.groups for row in campaign.rows) > 1]
    for group in groups or [""]:
        rows = [row for row in campaign.rows if group in ("", *row.groups)]
        blocks += [Heading(GROUPS.get(group, "Measured")), _means_table(rows)]
        if any(getattr(row, field) is not None for row in rows for _, field, *_ in COSTS):
            blocks.append(_cost_table(rows))
    if any(row.differences for row in campaign.rows):
        blocks += [Heading("Paired differences"), _difference_table(campaign.rows)]
    return [*blocks, _LEGEND, Footnotes("Why cells are empty")]


def _columns(rows: Sequence[CampaignRow]) -> list[Column]:
    """Columns that some row has: the paper's first, costs last."""
    named = {name: title for half in PAPER.values() for titles in half for name, title in titles.items()}
    there = {name for row in rows for name in row.means}
    order = [
        *(name for name in named if name in there),
        *sorted(there - set(named), key=lambda n: (is_cost(n), n)),
    ]
    columns = []
    for name in order:
        known = traits().get(name)
        columns.append(Column(named.get(name, name), name, better=known.better if known else "none"))
    return columns


def _means_table(rows: Sequence[CampaignRow]) -> Table:
    columns = _columns(rows)
    lines = []
    for row in rows:
        cells = [_mean_cell(row, column) for column in columns]
        lines.append((Cell(row.title), Cell(str(row.clips) if row.clips else "–"), *cells))
    return Table((Column("Row"), Column("Clips", "clips"), *columns), tuple(lines))


def _mean_cell(row: CampaignRow, column: Column) -> Cell:
    summary = row.summary(column.name)
    if summary is None:
        return missing(row.missing or "this row did not measure it")
    return measured(summary)


def _cost_table(rows: Sequence[CampaignRow]) -> Table:
    lines = []
    for row in rows:
        cells = []
        for _, field, form, scale in COSTS:
            found: Mean | None = getattr(row, field)
            if found is None:
                cells.append(missing(row.missing or "the file has no figure"))
                continue
            low = (
                None if found.low is None else max(found.low, 0.0)
            )  # the bootstrap does not know that none is negative
            cells.append(number(found.mean, low, found.high, form=form, scale=scale))
        lines.append((Cell(row.title), *cells))
    columns = (Column("Row"), *(Column(title, field) for title, field, *_ in COSTS))
    return Table(columns, tuple(lines))


def _difference_table(rows: Sequence[CampaignRow]) -> Table:
    titles = {row.name: row.title for row in rows}
    compared = [row for row in rows if row.differences]
    columns = [c for c in _columns(rows) if any(c.name in row.differences for row in compared)]
    lines = []
    for row in compared:
        cells = []
        for column in columns:
            found = row.differences.get(column.name)
            if found is None:
                cells.append(missing("no clip has a value in both rows"))
                continue
            known = traits().get(column.name)
            real = found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)
            form = f"+.{known.decimals if known else 3}f"
            cells.append(number(found.mean, found.low, found.high, form=form, strong=real))
        lines.append((Cell(row.title), Cell(titles.get(row.against, row.against)), *cells))
    return Table((Column("Row"), Column("minus"), *columns), tuple(lines))
