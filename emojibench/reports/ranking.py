"""Which rows of a column are best and second, and which of the others are shown to be worse.

Ranks are those of the means. Whether a rank is real is a question of its own: every other row is compared with the best
one on the clips that both have, clustered by portrait, and the p values of a column are corrected by Holm's method.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emojibench_metrics.cost import depends_on_device

from emojibench.protocol.statistics import Difference, holm, paired_difference, paired_p_value
from emojibench.reports.blocks import Column
from emojibench.reports.rows import Value
from emojibench.reports.tables import Entry

LEVEL = 0.05
"""A row is told apart from the best one below this corrected p."""


@dataclass(frozen=True)
class PairedTest:
    """The paired difference of a row and the best one, and its p-value."""

    difference: Difference
    p: float
    """Two-sided p-value, corrected; NaN if the portraits are too few for a test."""

    @property
    def real(self) -> bool:
        """Whether the two are told apart."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Standing:
    """The order of one column."""

    best: frozenset[str] = frozenset()
    """Labels of the entries with the best mean: several if they are equal, none where nothing can be ranked."""
    second: frozenset[str] = frozenset()
    against: Mapping[str, PairedTest] = field(default_factory=dict)
    """Label to the test against the best, for others that share clips with it; empty for values of a set."""


def standing(column: Column, entries: Sequence[Entry]) -> Standing:
    """Rank the entries that have a complete mean over all clips of the split; two or more, or nobody is ranked.

    Costs are ranked only if one machine with as many workers made all rows.
    """
    ranked = {entry.label: mean for entry in entries if (mean := _mean(column, entry)) is not None}
    if column.better == "none" or len(ranked) < 2 or not _of_one_machine(column, entries):
        return Standing()
    sign = -1.0 if column.better == "higher" else 1.0
    order = sorted({sign * mean for mean in ranked.values()})
    best, second = (
        frozenset(label for label, mean in ranked.items() if sign * mean == value)
        for value in (*order, *order)[:2]
    )
    top = min(best)
    values = {e.label: _values(column, e) for e in entries if column.split in e.runs}
    found = {
        label: compared
        for label, theirs in values.items()
        if label not in best and (compared := _compare(theirs, values[top]))
    }
    corrected = holm([p for _, p in found.values()])
    against = {
        label: PairedTest(difference, p)
        for (label, (difference, _)), p in zip(found.items(), corrected, strict=True)
    }
    return Standing(best, second if len(order) > 1 else frozenset(), against)


def _mean(column: Column, entry: Entry) -> float | None:
    summary = entry.summary(column)
    if summary is None or not summary.complete or column.split in entry.partial:
        return None
    return summary.mean


def _of_one_machine(column: Column, entries: Sequence[Entry]) -> bool:
    runs = [entry.runs[column.split] for entry in entries if column.split in entry.runs]
    return not depends_on_device(column.name) or not any(runs[0].cost_gap(run) for run in runs)


def _values(column: Column, entry: Entry) -> Mapping[str, Value]:
    return entry.runs[column.split].values.get(column.name, {})


def _compare(theirs: Mapping[str, Value], best: Mapping[str, Value]) -> tuple[Difference, float] | None:
    common = sorted(set(theirs) & set(best))
    if not common:
        return None
    pairs = [theirs[clip].value for clip in common], [best[clip].value for clip in common]
    subjects = [best[clip].subject for clip in common]
    return paired_difference(*pairs, subjects), paired_p_value(*pairs, subjects)
