"""Two runs on the same clips: paired differences, wins and losses, worst clips, and which columns agree."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emojibench_metrics.cost import depends_on_device

from emojibench.errors import UserError
from emojibench.notebooks import share_lost
from emojibench.protocol.statistics import Difference, holm, paired_difference, paired_p_value
from emojibench.reports.blocks import Block, Cell, Column, Footnotes, Heading, Table, missing, number
from emojibench.reports.columns import paper_names
from emojibench.reports.load import FinishedRun, load_run
from emojibench.reports.parts import setting
from emojibench.reports.ranking import LEVEL
from emojibench.runs.summary import ColumnSummary

_LEGEND = (
    "First minus second, on clips that have a value in both, with the 95 % interval of the paired difference "
    "(bootstrap over portraits). p: t test clustered by portrait, corrected for the number of columns (Holm); **bold** "
    "below 0.05, unless frames are lost. Detectable: smallest true difference that so many portraits show four times "
    "out of five. Wins: clips on which the first run is better."
)
_ALONE = "a single portrait leaves the spread unknown"


@dataclass(frozen=True)
class _Paired:
    """One column of both runs on the clips that both have."""

    name: str
    about: ColumnSummary
    clips: tuple[str, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    difference: Difference
    p: float
    lost: float
    """Share of frames without a face, in the run that lost more of them."""

    @property
    def gains(self) -> dict[str, float]:
        """Clip to how much better the first run is there; negative where it is worse."""
        sign = -1.0 if self.about.better == "lower" else 1.0
        return {c: sign * (a - b) for c, a, b in zip(self.clips, self.first, self.second, strict=True)}


def compare(first: Path, second: Path, *, worst: int = 3) -> list[Block]:
    """A page on two finished runs of one split of one track.

    Args:
        first, second: run folders.
        worst: how many clips are listed for each of the paper's columns.

    Raises:
        UserError: a folder is no finished run, or the two have different clips, presentation or split.
    """
    runs = load_run(first), load_run(second)
    one, other = runs
    if (one.track, one.spec.split) != (other.track, other.spec.split):
        sides = " and ".join(f"{run.path} is {run.track}, {run.spec.split}" for run in runs)
        raise UserError(f"{sides}: expected two runs of one track and split; choose another")
    found, gaps = _paired(one, other)
    if not found:
        raise UserError(
            f"{first} and {second} have no column with values of the same clips; score both again"
        )
    paper = [
        column for column in found if column.name in paper_names(one.spec.split, [c.name for c in found])
    ]
    return [
        Heading(f"{one.spec.name} and {other.spec.name}", 1),
        f"First: `{one.spec.name}`. Second: `{other.spec.name}`. {one.spec.split.capitalize()} reenactment on "
        f"{setting(one.spec)}.",
        _differences(found, gaps),
        _LEGEND,
        *_worst(paper, one, other, worst),
        *_agreement(paper),
        Footnotes("Notes"),
    ]


def _paired(one: FinishedRun, other: FinishedRun) -> tuple[list[_Paired], dict[str, str]]:
    """Columns with a direction, in the order of the first run's, and why others have no comparison."""
    found, gaps = [], {}
    for name, about in one.summaries.items():
        if about.better == "none":
            continue
        ours, theirs = one.values.get(name, {}), other.values.get(name, {})
        common = tuple(clip for clip in one.spec.clips if clip in ours and clip in theirs)
        if reason := _gap(name, one, other, common):
            gaps[name] = reason
            continue
        a, b = tuple(ours[clip].value for clip in common), tuple(theirs[clip].value for clip in common)
        subjects = [ours[clip].subject for clip in common]
        p = paired_p_value(a, b, subjects)
        lost = max(about.lost or 0.0, other.summaries[name].lost or 0.0)
        found.append(_Paired(name, about, common, a, b, paired_difference(a, b, subjects), p, lost))
    corrected = holm([column.p for column in found])
    return [replace(column, p=p) for column, p in zip(found, corrected, strict=True)], gaps


def _gap(name: str, one: FinishedRun, other: FinishedRun, common: Sequence[str]) -> str:
    about, theirs = one.summaries[name], other.summaries.get(name)
    if theirs is None:
        return "the second run did not measure it"
    if about.version != theirs.version:
        return f"versions {about.version} and {theirs.version} of the metric; score the older run again"
    if "set" in (about.kind, theirs.kind):
        return "one value of the whole set: clips cannot be compared"
    if depends_on_device(name) and (gap := one.cost_gap(other)):
        return gap
    return "" if common else about.reason or theirs.reason or "no clip has a value in both"


def _differences(found: Sequence[_Paired], gaps: Mapping[str, str]) -> Table:
    names = {
        "First": "first", "Second": "second", "Difference": "difference", "p": "p_holm", "Detectable": "detectable",
        "Wins": "wins", "Losses": "losses", "Ties": "ties", "Clips": "n",
    }  # fmt: skip
    columns = (Column("Column"), *(Column(title, name) for title, name in names.items()))
    rows = [_difference(column) for column in found]
    rows += [(Cell(name, "code"), *(missing(why) for _ in names)) for name, why in gaps.items()]
    return Table(columns, tuple(rows))


def _difference(column: _Paired) -> tuple[Cell, ...]:
    d, form = column.difference, f".{column.about.decimals}f"
    gains = column.gains.values()
    counts = (sum(g > 0 for g in gains), sum(g < 0 for g in gains), sum(g == 0 for g in gains), d.clips)
    tested = not math.isnan(column.p)
    lacks = [f"{d.clips} of {column.about.expected}"] if d.clips < column.about.expected else []
    lacks += [share_lost(column.lost)] if column.lost else []
    real = tested and column.p < LEVEL and not column.lost
    return (
        Cell(column.name, "code", column.about.better),
        number(math.fsum(column.first) / d.clips, form=form),
        number(math.fsum(column.second) / d.clips, form=form),
        number(d.mean, d.low, d.high, form=f"+{form}", strong=real, lacks=", ".join(lacks)),
        Cell("< 0.001" if column.p < 0.001 else f"{column.p:.3f}", value=column.p)
        if tested
        else missing(_ALONE),
        number(d.minimum_detectable_effect, form=form) if d.clusters > 1 else missing(_ALONE),
        *(Cell(str(count), value=count) for count in counts),
    )


def _worst(columns: Sequence[_Paired], one: FinishedRun, other: FinishedRun, worst: int) -> list[Block]:
    """Clips on which the first run loses most, column by column."""
    rows = []
    for column in columns:
        values = dict(zip(column.clips, zip(column.first, column.second, strict=True), strict=True))
        form = f".{column.about.decimals}f"
        for clip, gain in sorted(column.gains.items(), key=lambda pair: (pair[1], pair[0]))[:worst]:
            a, b = values[clip]
            if gain < 0:
                cells = (number(a, form=form), number(b, form=form), number(a - b, form=f"+{form}"))
                rows.append((Cell(column.name, "code", column.about.better), Cell(clip), *cells))
    if not rows:
        return []
    header = (Column("Column"), Column("Clip"), Column("First", "first"), Column("Second", "second"))
    title = Heading(f"Clips on which {one.spec.name} loses most to {other.spec.name}")
    return [title, Table((*header, Column("Difference", "difference")), tuple(rows))]


def _agreement(columns: Sequence[_Paired]) -> list[Block]:
    """For each two columns, the share of their clips on which both prefer the same run."""
    if len(columns) < 2:
        return []
    header = (Column("Column"), *(Column(column.name, column.name) for column in columns))
    rows = tuple((Cell(a.name, "code"), *(_agree(a, b) for b in columns)) for a in columns)
    words = "Share of clips on which both columns prefer the same run; clips with a tie in one of them are left out."
    return [Heading("Which columns agree"), Table(header, rows), words]


def _agree(a: _Paired, b: _Paired) -> Cell:
    both = [(g, b.gains[clip]) for clip, g in a.gains.items() if clip in b.gains]
    decided = [(x > 0) == (y > 0) for x, y in both if x and y]
    if not decided:
        return missing("no clip on which both columns prefer a run")
    return replace(number(sum(decided) / len(decided), form=".2f"), n=len(decided), expected=len(both))
