"""Runs cut down to some of their clips, such as those of a domain: the same statistics over fewer clips."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emojibench_metrics.cost import TRAITS
from emojibench_metrics.interface import Traits

from emojibench import registry
from emojibench.errors import UserError
from emojibench.reports.load import FinishedRun
from emojibench.reports.rows import rows_of
from emojibench.runs.records import Row
from emojibench.runs.summarise import of_clips
from emojibench.runs.summary import ColumnSummary

_OF_A_SET = "one value of all clips together; a part of them has none"


@dataclass(frozen=True)
class ClipRows:
    """The rows of a run by column and clip, those without a value included."""

    rows: dict[str, dict[str, Row]]
    domains: dict[str, str]
    """Clip id to domain."""
    subjects: dict[str, str]
    """Clip id to who is on the portrait."""


def clip_rows(run: FinishedRun) -> ClipRows:
    """Read the rows of a run's clips.

    Raises:
        UserError: the file is damaged, or its values are not those of the summary.
    """
    file = run.path / "rows.parquet"
    wanted = set(run.spec.clips)
    found = ClipRows({}, {}, {})
    for row in rows_of(file):
        clip = row["clip_id"]
        if clip not in wanted:
            continue
        found.domains[clip] = row.get("domain") or ""
        found.subjects[clip] = row["subject"]
        content: dict[str, Any] = {"domain": "", "unit": "", "total": None, "inputs": "", **row}
        content |= {name: content.get(name) or "" for name in ("domain", "unit", "reason", "note", "inputs")}
        found.rows.setdefault(row["metric"], {})[clip] = Row.model_construct(**content)
    _refuse_other_means(run)
    return found


def part(run: FinishedRun, clips: Collection[str], rows: ClipRows) -> FinishedRun:
    """The run with these of its clips alone: summaries, values and failures are theirs.

    Columns of a set have no value there.
    """
    kept = tuple(clip for clip in run.spec.clips if clip in clips)
    traits = _traits(run)
    summaries = {}
    for name, whole in run.summaries.items():
        of_column = [row for clip, row in rows.rows.get(name, {}).items() if clip in clips]
        summary = _summary(whole, traits.get(name), of_column, len(kept))
        if summary.lost is None and summary.mean is not None:  # rows of an older version
            lost = run.lost(name, [clip for clip in kept if clip in run.values.get(name, {})])
            summary = summary.model_copy(update={"lost": lost})
        summaries[name] = summary
    failed = {clip: reason for clip, reason in run.failed.items() if clip in clips}
    counts = run.summary.clips.model_copy(
        update={"expected": len(kept), "animated": len(kept) - len(failed), "failed": failed}
    )
    return replace(
        run,
        spec=run.spec.model_copy(update={"clips": kept}),
        summary=run.summary.model_copy(update={"clips": counts, "metrics": summaries}),
        values={
            name: left
            for name, values in run.values.items()
            if (left := {clip: value for clip, value in values.items() if clip in clips})
        },
    )


def by_domain(runs: Sequence[FinishedRun], rows: Mapping[Path, ClipRows]) -> dict[str, list[FinishedRun]]:
    """Domain to the runs that have clips of it, each cut down to these.

    Args:
        runs: of one track.
        rows: the `clip_rows` of each run, by its path.

    Raises:
        UserError: the rows say of no clip which domain it is of.
    """
    parts: dict[str, list[FinishedRun]] = {}
    for run in runs:
        domains = rows[run.path].domains
        for domain in sorted(set(domains.values()) - {""}):
            clips = {clip for clip, its in domains.items() if its == domain}
            parts.setdefault(domain, []).append(part(run, clips, rows[run.path]))
    if not parts:
        raise UserError(
            f"{runs[0].path / 'rows.parquet'}: says of no clip which domain it is of; score the run again"
        )
    return dict(sorted(parts.items()))


def _summary(
    whole: ColumnSummary, traits: Traits | None, rows: Iterable[Row], expected: int
) -> ColumnSummary:
    if whole.kind == "set":
        return whole.model_copy(
            update={
                "mean": None, "n_clips": 0, "expected": expected, "coverage": 0.0, "status": "undefined",
                "reason": whole.reason or _OF_A_SET,
            }
        )  # fmt: skip
    if traits is None:  # of a plug-in that is not here
        traits = Traits("", whole.better, whole.unit, (-math.inf, math.inf), "", decimals=whole.decimals)
    summary = of_clips(traits, list(rows), expected)
    about = ("unit", "better", "decimals", "version", "note")
    return summary.model_copy(update={name: getattr(whole, name) for name in about})


def _traits(run: FinishedRun) -> dict[str, Traits]:
    """Column name to its traits: as the run has them, or as they are today where it is of an older version."""
    own = [column.traits for column in run.spec.columns]
    if not own:
        own = [t for factory in registry.usable(registry.METRICS).values() for t in factory.traits]
    return {traits.name: traits for traits in (*own, *TRAITS)}


def _refuse_other_means(run: FinishedRun) -> None:
    """Raise UserError where the values of the rows have another mean than the summary says: one was changed."""
    for name, summary in run.summaries.items():
        values = [value.value for value in run.values.get(name, {}).values()]
        if summary.kind == "set" or summary.mean is None or not values:
            continue
        mean = math.fsum(values) / len(values)
        if not math.isclose(mean, summary.mean, rel_tol=1e-9, abs_tol=1e-12):
            raise UserError(
                f"{run.path / 'rows.parquet'}: the values of {name} have a mean of {mean:.6g}, but summary.json says "
                f"{summary.mean:.6g}; one of the files was changed: score the run again"
            )
