"""Tables of the paper's shape: its columns and its order of rows, measured rows above the published ones.

Both stand in one table, each in a group of its own with ranks of its own: data and protocol differ, so measured and
published numbers are read side by side but never ranked together.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from emojibench_metrics.cost import depends_on_device

from emojibench.protocol.statistics import paired_ratio
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
)
from emojibench.reports.columns import PAPER
from emojibench.reports.pages import label_of
from emojibench.reports.parts import setting
from emojibench.reports.published import PublishedRow, PublishedTable
from emojibench.reports.ranking import LEVEL, Standing, standing
from emojibench.reports.tables import SPLITS, Entry, Track
from emojibench.runs.summary import ColumnSummary

_KEYS = {"self": ("l1", "ssim", "lpips", "fvd"), "cross": ("identity", "quality", "landmark_accuracy")}
MEASURED: dict[str, tuple[str, tuple[str, ...]]] = {
    **{
        key: (split, tuple(names))
        for split, keys in _KEYS.items()
        for key, names in zip(keys, PAPER[split], strict=True)
    },
    "fid": ("self", ("fid",)),
    "latency": ("", ("latency_denoise_s", "latency_s")),
    "flops": ("", ("flops",)),
}
"""The paper's column to the split and to our columns for it, the usual one first; no split: the one that has most."""
SPEED = {"speed": "latency", "latency_speed": "latency", "flops_speed": "flops"}
"""Columns that say how many times less a row costs than the uncached one."""
NO_COLUMN = {
    "expression_rank": "no study with people belongs to a run",
    "identity_rank": "no study with people belongs to a run",
    "overall_rank": "no study with people belongs to a run",
    "sync": "the paper does not define it",
}
_NOT_TOLD = (
    f"not told apart from the best of this column (paired by clip, clustered by portrait, Holm: p ≥ {LEVEL})"
)
_OF_A_SET = "one value of the whole set: whether its rank is real cannot be tested"
CAUTIONS = {
    4: "Rows of `emojibench ablate` that sample the main weights (windows, caches) had another training than others: "
    "ranks between the two kinds say nothing. The page of `emojibench ablate` compares each row with its "
    "own reference."
}
PUBLISHED = "Published, on other data under another protocol: not comparable"
"""What stands above the paper's rows."""
_LEGEND = (
    "Mean [95 % interval] over clips (bootstrap over portraits). **Bold**: best mean; underlined: second, each among "
    "the rows of its group. Rows that lack clips or frames are never ranked. Costs are ranked if one machine made all "
    "rows. Published rows have other data and another protocol, so they are never ranked with measured ones."
)
_COMPARED = (
    "Row minus the best row of the column, over the clips that both have. p: t test clustered by portrait, corrected "
    f"for the rows of the column (Holm); below {LEVEL} a rank is real. Detectable: smallest true difference that a "
    "comparison of this size finds four times out of five."
)


@dataclass(frozen=True)
class _Place:
    """A column of the paper and what is measured for it."""

    printed: Column
    column: Column | None
    """Ours; None where there is none."""
    standing: Standing = field(default_factory=Standing)


def paper_table(track: Track, printed: PublishedTable, part: str = "") -> list[Block]:
    """One of tables 1 and 3 to 8 with the runs of a track; the comparisons with the best rows below it.

    Args:
        track: the runs.
        printed: the paper's table.
        part: which clips the runs have, such as `domain cartoon`, if not all of the track.
    """
    entries = _rows(track, printed)
    places = [_place(column, entries) for column in printed.columns]
    columns = (Column("Method"), Column("Clips", "clips"), *(place.printed for place in places))
    ours = [_measured_row(entry, places, entries) for entry in entries]
    theirs = published_rows(printed)
    spec = track.runs[0].spec
    of = f"{part} of " if part else ""
    groups = [f"Measured on {of}{setting(spec)}"] * len(ours)
    groups += [PUBLISHED] * len(theirs)
    return [
        Heading(f"Table {printed.number}: {printed.title} ({of}track {track.name})", 1),
        Table(columns, (*ours, *theirs), tuple(groups)),
        *_absent(printed, entries),
        _LEGEND,
        *([CAUTIONS[printed.number]] if ours and printed.number in CAUTIONS else []),
        *([Bullets(tuple(_meaning(place) for place in places if place.column))] if ours else []),
        *_comparisons(places, entries),
        Footnotes("Notes"),
        f"Published: {printed.citation}, Table {printed.number}; {printed.setting}.",
    ]


def _rows(track: Track, printed: PublishedTable) -> list[Entry]:
    """Entries in the paper's order; those that stand in no place of it only in Table 1, which is of all methods."""
    ordered = {
        entry.label: entry
        for row in printed.rows
        for pattern in row.runs
        for entry in track.entries
        if any(pattern.matches(run.spec) for run in entry.runs.values())
    }
    if printed.number == 1:
        ordered |= {e.label: e for e in track.entries if e.label not in ordered}
    return list(ordered.values())


def _place(printed: Column, entries: Sequence[Entry]) -> _Place:
    """Of several columns of ours for one of the paper's, the one that most rows have a value for."""
    key = SPEED.get(printed.name, printed.name)
    if key not in MEASURED:
        return _Place(printed, None)
    split, names = MEASURED[key]
    candidates = [
        Column(printed.title, name, half, better=printed.better)
        for name in names
        for half in ((split,) if split else SPLITS[::-1])
    ]
    column = max(candidates, key=lambda c: len(_known(c, entries)))
    units = {summary.unit for summary in _known(column, entries)}
    column = replace(column, unit=units.pop() if len(units) == 1 else "")
    order = Standing() if printed.name in SPEED else standing(column, entries)
    return _Place(printed, column, order)


def _known(column: Column, entries: Sequence[Entry]) -> list[ColumnSummary]:
    summaries = (entry.summary(column) for entry in entries)
    return [summary for summary in summaries if summary is not None and summary.mean is not None]


def _measured_row(entry: Entry, places: Sequence[_Place], entries: Sequence[Entry]) -> tuple[Cell, ...]:
    clips = ", ".join(f"{len(run.spec.clips)} {split}" for split, run in entry.runs.items())
    return (Cell(label_of(entry)), Cell(clips), *(_cell(entry, place, entries) for place in places))


def _cell(entry: Entry, place: _Place, entries: Sequence[Entry]) -> Cell:
    name, column = place.printed.name, place.column
    if name in _WORDS:
        return _WORDS[name](entry)
    if column is None:
        return missing(NO_COLUMN[name])
    summary = entry.summary(column)
    if summary is None:
        return missing(f"no {column.split} run of this method")
    if name in SPEED:
        return _speed(entry, column, entries)
    cell = measured(summary)
    notes = []
    if place.standing.best and summary.kind == "set" and summary.mean is not None:
        notes = [_OF_A_SET]
    elif (compared := place.standing.against.get(entry.label)) and not compared.real:
        notes = [_NOT_TOLD]
    return replace(cell, style=_style(entry.label, place.standing), notes=(*cell.notes, *notes), of=column)


def _style(label: str, order: Standing) -> Style:
    return "strong" if label in order.best else "underline" if label in order.second else ""


def _speed(entry: Entry, column: Column, entries: Sequence[Entry]) -> Cell:
    """How many times less a row costs than the uncached one, over the clips that both have."""
    base = next((e for e in entries if _options(e) == {"cache": "none"} and column.split in e.runs), None)
    if base is None:
        return missing("no run of `fye-faster` with `--set cache=none` to compare with")
    run, reference = entry.runs[column.split], base.runs[column.split]
    if depends_on_device(column.name) and (gap := run.cost_gap(reference)):
        return missing(f"this row and the uncached one: {gap}")
    ours, theirs = (r.values.get(column.name, {}) for r in (run, reference))
    common = sorted(set(ours) & set(theirs))
    if not common or min(min(theirs[clip].value, ours[clip].value) for clip in common) <= 0:
        return missing("no clips with a cost in this row and in the uncached one")
    found = paired_ratio(
        [theirs[clip].value for clip in common],
        [ours[clip].value for clip in common],
        [ours[clip].subject for clip in common],
    )
    return replace(
        number(found.mean, found.low, found.high, form=".2f"), n=len(common), expected=len(run.spec.clips)
    )


def _options(entry: Entry) -> Mapping[str, str]:
    return next(iter(entry.runs.values())).spec.options


def steps_of(revision: str) -> Cell:
    """As the revision of our methods says it."""
    found = re.search(r"-(\d+)-steps", revision)
    return Cell(found[1], value=float(found[1])) if found else missing("the method does not say it")


_WORDS: dict[str, Callable[[Entry], Cell]] = {
    "steps": lambda entry: steps_of(next(iter(entry.runs.values())).spec.revision),
    "settings": lambda entry: Cell(
        ", ".join(f"{k}={v}" for k, v in sorted(_options(entry).items())) or "defaults"
    ),
}
"""Columns that say how a row was made."""


def published_rows(printed: PublishedTable) -> list[tuple[Cell, ...]]:
    """As printed; best and second of the printed values are marked."""
    orders = [
        sorted({_value(row, c) for row in printed.rows}, reverse=c.better == "higher")
        if c.better != "none"
        else []
        for c in printed.columns
    ]
    return [
        (
            Cell(row.method if row.printed == "Ours" else row.printed),
            missing("the paper does not say"),
            *(_printed(row, c, order) for c, order in zip(printed.columns, orders, strict=True)),
        )
        for row in printed.rows
    ]


def _value(row: PublishedRow, column: Column) -> float:
    return float(row.cells[column.name])


def _printed(row: PublishedRow, column: Column, order: Sequence[float]) -> Cell:
    text = row.cells[column.name]
    if not order:
        return Cell(text)
    value = float(text)
    styles: dict[float, Style] = dict(zip(order, ("strong", "underline"), strict=False))
    return Cell(text, styles.get(value, ""), value=value)


def _absent(printed: PublishedTable, entries: Sequence[Entry]) -> list[Block]:
    """Which of the paper's rows have no run here, and how one is made."""
    specs = [run.spec for entry in entries for run in entry.runs.values()]
    absent = [row for row in printed.rows if not any(p.matches(s) for p in row.runs for s in specs)]
    if not absent:
        return []
    names = "; ".join(f"{row.method} ({_how(row)})" for row in absent)
    if len(absent) == len(printed.rows) and not entries:
        return [f"No run of this track belongs in this table. Its rows: {names}."]
    return [f"Rows of the paper without a run here: {names}."]


def _how(row: PublishedRow) -> str:
    ways = []
    for pattern in row.runs:
        options = "".join(f" --set {key}={value}" for key, value in sorted((pattern.options or {}).items()))
        ways.append(
            f"`emojibench ablate --rows {pattern.name}`"
            if pattern.name
            else f"`--method {pattern.method}{options}`"
        )
    return " or ".join(ways) or "no method here asks its question"


def _meaning(place: _Place) -> str:
    """What a measured column is, beside what the paper's is."""
    assert place.column is not None
    unit = f" ({place.column.unit})" if place.column.unit else ""
    ours = f"measured `{place.column.name}`{unit}, {place.column.split} reenactment"
    return f"{place.printed.title}: {ours}; published: {place.printed.unit}"


def _comparisons(places: Sequence[_Place], entries: Sequence[Entry]) -> list[Block]:
    """Every row against the best of each column, in the order of the table."""
    rows = list(chain.from_iterable(_against(place, entries) for place in places))
    if not rows:
        return []
    names = ("Column", "Row", "minus")
    numbers = {
        "Difference": "difference",
        "p": "p_holm",
        "Detectable": "detectable",
        "Clips": "n",
        "Portraits": "portraits",
    }
    columns = (*map(Column, names), *(Column(title, name) for title, name in numbers.items()))
    return [Heading("Which ranks are real"), Table(columns, tuple(rows)), _COMPARED]


def _against(place: _Place, entries: Sequence[Entry]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for entry in entries:
        compared = place.standing.against.get(entry.label)
        summary = entry.summary(place.column) if place.column else None
        if compared is None or summary is None:
            continue
        found = compared.difference
        form = f".{summary.decimals}f"
        one = "a single portrait leaves the spread unknown"
        rows.append(
            (
                Cell(place.printed.title),
                Cell(entry.label),
                Cell(min(place.standing.best)),
                number(found.mean, found.low, found.high, form=f"+{form}"),
                _p(compared.p) if compared.p == compared.p else missing(one),
                number(found.minimum_detectable_effect, form=form) if found.clusters > 1 else missing(one),
                Cell(str(found.clips), value=found.clips),
                Cell(str(found.clusters), value=found.clusters),
            )
        )
    return rows


def _p(value: float) -> Cell:
    return Cell("< 0.001" if value < 0.001 else f"{value:.3f}", value=value)
