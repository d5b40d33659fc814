"""Measured runs as rows of one page: which run stands where, what each cell holds, and what is best."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from emojibench_metrics.cost import depends_on_device, is_cost

from emojibench.protocol.statistics import paired_difference
from emojibench.reports.blocks import Column
from emojibench.reports.columns import other_columns, paper_columns
from emojibench.reports.load import FinishedRun
from emojibench.reports.rows import Value
from emojibench.runs.cost import MIXED
from emojibench.runs.spec import RunSpec
from emojibench.runs.summary import ColumnSummary

SPLITS = ("self", "cross")
NOT_RUN = ColumnSummary(
    mean=None,
    low=None,
    high=None,
    n_clips=0,
    expected=0,
    status="unavailable",
    reason="this run did not measure it",
)


@dataclass(frozen=True)
class Entry:
    """One row of the page: a method as it was run, over one split or both."""

    label: str
    runs: dict[str, FinishedRun]
    """Split to run."""
    partial: dict[str, str]
    """Split to why its run covers less than the others do; such a run is never best and beats nobody."""

    def summary(self, column: Column) -> ColumnSummary | None:
        """Summary of a column; None if the entry has no run of that split."""
        run = self.runs.get(column.split)
        return None if run is None else run.summaries.get(column.name, NOT_RUN)


@dataclass(frozen=True)
class Track:
    """All that one page shows."""

    name: str
    runs: tuple[FinishedRun, ...]
    entries: tuple[Entry, ...]
    table1: tuple[Column, ...]
    """The paper's columns of the splits that were run."""
    others: dict[str, tuple[Column, ...]]
    """Split to all further columns."""
    best: dict[tuple[str, str], str]
    """(split, column) to the label of the entry that is better than every other beyond a tie."""


def build_track(name: str, runs: Sequence[FinishedRun]) -> Track:
    """Arrange runs of one track (same dataset digest and protocol id)."""
    runs = _with_devices(_up_to_date(runs))
    entries = _entries(runs)
    split_runs = {split: [r for r in runs if r.spec.split == split] for split in SPLITS}
    present = [split for split in SPLITS if split_runs[split]]
    table1 = [column for split in present for column in paper_columns(split, split_runs[split])]
    others = {split: tuple(other_columns(split, split_runs[split])) for split in present}
    columns = [*table1, *itertools.chain.from_iterable(others.values())]
    best = {(c.split, c.name): label for c in columns if (label := _best(c, entries)) is not None}
    return Track(name, tuple(runs), tuple(entries), tuple(table1), others, best)


def _up_to_date(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """The runs without values of older versions of a metric than another of them has."""
    newest: dict[str, int] = {}
    for run in runs:
        for name, summary in run.summaries.items():
            newest[name] = max(newest.get(name, 0), summary.version or 0)
    kept = []
    for run in runs:
        old = {
            name: NOT_RUN.model_copy(
                update={
                    "reason": f"version {s.version} of the metric, others have {newest[name]}; score again"
                }
            )
            for name, s in run.summaries.items()
            if s.version is not None and s.version < newest[name]
        }
        values = {name: of_clips for name, of_clips in run.values.items() if name not in old}
        kept.append(replace(run, summary=run.summary.updated(old), values=values) if old else run)
    return kept


def _with_devices(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """The runs with a note on seconds and bytes that others of their split have from another device.

    Clips of one run that were made on several devices have a note of the run's own.
    """
    told = []
    for run in runs:
        others = [r for r in runs if r.spec.split == run.spec.split and run.cost_gap(r)]
        notes = {
            name: summary.model_copy(update={"note": "; ".join(filter(None, (summary.note, _made(run))))})
            for name, summary in run.summaries.items()
            if depends_on_device(name)
            and summary.mean is not None
            and not summary.note.startswith(MIXED)
            and any(r.summaries.get(name, NOT_RUN).mean is not None for r in others)
        }
        told.append(replace(run, summary=run.summary.updated(notes)) if notes else run)
    return told


def _made(run: FinishedRun) -> str:
    jobs = run.animated.platform.jobs
    workers = f"{jobs} worker{'s' if jobs > 1 else ''} at a time"
    return f"made on {run.animated.device} by {workers}; compare it only with costs that were made so"


def _entries(runs: Sequence[FinishedRun]) -> list[Entry]:
    """Join the self and cross runs of the same method, revision, options and seed; sorted by label."""
    groups: dict[tuple[str, ...], dict[str, list[FinishedRun]]] = {}
    for run in sorted(runs, key=lambda run: (run.spec.method, run.spec.name, str(run.path))):
        spec = run.spec
        key = (
            spec.method,
            spec.source,
            spec.revision,
            json.dumps(spec.options, sort_keys=True),
            str(spec.seed),
        )
        groups.setdefault(key, {}).setdefault(spec.split, []).append(run)
    pairs = [
        {split: run for split, run in zip(SPLITS, row, strict=True) if run is not None}
        for group in groups.values()
        for row in itertools.zip_longest(*(group.get(split, []) for split in SPLITS))
    ]
    methods = [_name(next(iter(pair.values())).spec) for pair in pairs]
    entries = []
    for method, pair in zip(methods, pairs, strict=True):
        names = " and ".join(dict.fromkeys(run.spec.name for run in pair.values()))
        label = method if methods.count(method) == 1 else f"{method} ({names})"
        partial = {split: why for split, run in pair.items() if (why := _partial(run, runs))}
        entries.append(Entry(label, pair, partial))
    return sorted(entries, key=lambda entry: entry.label)


def _name(spec: RunSpec) -> str:
    label = spec.about.get("label")
    return f"{spec.method} ({label})" if label else spec.method


def _partial(run: FinishedRun, runs: Sequence[FinishedRun]) -> str:
    """Why a run covers less than the others of its split, or nothing."""
    widest = max((r for r in runs if r.spec.split == run.spec.split), key=lambda r: len(r.spec.clips))
    count = len(widest.spec.clips)
    if set(run.spec.clips) != set(widest.spec.clips):
        same = len(run.spec.clips) == count
        return f"other clips than {widest.spec.name}" if same else f"{len(run.spec.clips)} of {count} clips"
    return f"{len(run.failed)} of {count} clips failed" if run.failed else ""


def _best(column: Column, entries: Sequence[Entry]) -> str | None:
    """Label of the entry that beats every other one beyond a tie, with a complete mean of every clip.

    Nobody is best at costs, since rows may come from different machines.
    """
    rivals = [
        (entry.label, entry.runs[column.split].values[column.name])
        for entry in entries
        if column.split in entry.runs
        and column.split not in entry.partial
        and column.name in entry.runs[column.split].values
    ]
    if len(rivals) < 2 or column.better == "none" or is_cost(column.name):
        return None
    gaps = {
        e.label for e in entries if column.split in e.runs and (s := e.summary(column)) and not s.complete
    }
    sign = 1.0 if column.better == "higher" else -1.0
    for label, ours in rivals:
        if label not in gaps and all(
            _beats(ours, theirs, sign) for rival, theirs in rivals if rival != label
        ):
            return label
    return None


def _beats(ours: Mapping[str, Value], theirs: Mapping[str, Value], sign: float) -> bool:
    """Whether values are better on the clips that both have, beyond a tie."""
    common = sorted(set(ours) & set(theirs))
    if not common:
        return False
    difference = paired_difference(
        [sign * ours[clip].value for clip in common],
        [sign * theirs[clip].value for clip in common],
        [ours[clip].subject for clip in common],
    )
    return difference.low > 0
