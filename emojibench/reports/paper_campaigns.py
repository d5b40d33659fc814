"""The paper's Tables 3, 4 and 5 with the rows of a campaign, which has means alone: no rows of clips, so no tests."""

from collections.abc import Sequence
from dataclasses import replace

from emojibench.errors import UserError
from emojibench.reports.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Footnotes,
    Heading,
    Style,
    Table,
    measured,
    missing,
    number,
)  # fmt: skip
from emojibench.reports.campaigns import Campaign, CampaignRow, Mean, traits
from emojibench.reports.paper import CAUTIONS, MEASURED, NO_COLUMN, PUBLISHED, SPEED, published_rows, steps_of
from emojibench.reports.published import PublishedTable

_FIGURES = {"latency_speed": "seconds_speedup", "speed": "seconds_speedup", "flops_speed": "flops_speedup"}
"""Columns of the paper to what rows of `emojibench accel` have for them."""
_LEGEND = (
    "Mean [95 % interval] over clips, as the command wrote it. **Bold**: best mean as printed; underlined: second, "
    "each among the rows of its group. Rows that lack clips or frames are never ranked. Such a file has no values of "
    "clips, so no rank here is tested: the page of `emojibench {command}` has the paired differences. Published rows "
    "have other data and another protocol, so they are never ranked with measured ones."
)


def campaign_table(campaign: Campaign, printed: PublishedTable) -> list[Block]:
    """Rows of a campaign that belong in a table of the paper, above the published ones.

    Raises:
        UserError: it has none.
    """
    rows = _rows(campaign, printed)
    if not rows:
        raise UserError(
            f"--campaign: no row of `emojibench {campaign.kind}` belongs in Table {printed.number}; expected --table 3 "
            "or 5 with a file of `emojibench accel`, 4 with one of `emojibench ablate`"
        )
    names = {column.name: _name(column, rows) for column in printed.columns}
    ranks = {column.name: _ranks(column, names[column.name], rows) for column in printed.columns}
    ours = [
        (
            Cell(row.title),
            Cell(f"{row.clips} {campaign.split}"),
            *(_cell(row, c, names[c.name], ranks[c.name], campaign.split) for c in printed.columns),
        )
        for row in rows
    ]
    theirs = published_rows(printed)
    columns = (Column("Row"), Column("Clips", "clips"), *printed.columns)
    groups = [f"Measured by `emojibench {campaign.kind}` on {campaign.setting}"] * len(ours)
    return [
        Heading(f"Table {printed.number}: {printed.title} ({campaign.dataset.name}, {campaign.split})", 1),
        Table(columns, (*ours, *theirs), (*groups, *[PUBLISHED] * len(theirs))),
        Bullets(tuple(_meaning(c, names[c.name]) for c in printed.columns if names[c.name])),
        _LEGEND.format(command=campaign.kind),
        *([CAUTIONS[printed.number]] if printed.number in CAUTIONS else []),
        Footnotes("Notes"),
        f"Published: {printed.citation}, Table {printed.number}; {printed.setting}.",
    ]


def _rows(campaign: Campaign, printed: PublishedTable) -> list[CampaignRow]:
    """In the paper's order where it names them, else in that of the campaign; those alone that were measured."""
    there = {row.name: row for row in campaign.rows if row.means}
    if campaign.kind == "accel":
        return [row for row in there.values() if f"table{printed.number}" in row.groups]
    named = [pattern.name for row in printed.rows for pattern in row.runs if pattern.name]
    return [there[name] for name in named if name in there]


def _name(column: Column, rows: Sequence[CampaignRow]) -> str:
    """Our column for one of the paper's: the one that most rows have; empty where there is none."""
    if column.name not in MEASURED:
        return ""
    names = MEASURED[column.name][1]
    return max(names, key=lambda name: sum(name in row.means for row in rows))


def _ranks(column: Column, name: str, rows: Sequence[CampaignRow]) -> dict[str, Style]:
    """The best and the second mean of the complete rows as printed, if they differ; none of costs, which no machine
    is told of."""
    if column.better == "none" or column.name in ("latency", "flops"):
        return {}
    summaries = [row.summary(name) for row in rows]
    means = {s.shown for s in summaries if s is not None and s.complete and s.mean is not None}
    order = sorted(means, key=float, reverse=column.better == "higher")
    return dict(zip(order, ("strong", "underline"), strict=False)) if len(order) > 1 else {}


def _cell(row: CampaignRow, column: Column, name: str, ranks: dict[str, Style], split: str) -> Cell:
    if column.name == "steps":
        return steps_of(row.revision)
    if column.name == "settings":
        return Cell(row.title)
    if column.name in SPEED:
        found: Mean | None = getattr(row, _FIGURES[column.name])
        return missing("the file has no figure") if found is None else number(found.mean, form=".2f")
    if (
        column.name == "flops" and row.flops is not None
    ):  # of denoising, as the paper's; the column of runs is of all
        return number(row.flops.mean * 1e-12, form=".3f")
    if not name:
        return missing(NO_COLUMN[column.name])
    summary = row.summary(name)
    if summary is None:
        return missing(row.missing or "this row did not measure it")
    cell = measured(summary)
    style = ranks.get(summary.shown, "") if summary.complete else ""
    elsewhere = MEASURED[column.name][0] not in ("", split)
    notes = (
        (*cell.notes, f"of clips of {split} reenactment, all that this file has") if elsewhere else cell.notes
    )
    return replace(cell, style=style, notes=notes, of=replace(column, name=name))


def _meaning(column: Column, name: str) -> str:
    """What a measured column is, beside what the paper's is."""
    if column.name == "flops":
        return f"{column.title}: measured TFLOP, counted while denoising; published: {column.unit}"
    known = traits().get(name)
    unit = f" ({known.unit})" if known and known.unit else ""
    return f"{column.title}: measured `{name}`{unit}; published: {column.unit}"
