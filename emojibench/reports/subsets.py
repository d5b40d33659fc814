"""Runs cut down to some of their clips, such as those of a domain: the same statistics over fewer clips."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emojibench_metrics.cost import TRAITS
from emojibench_metrics.interface import Traits

from emojibench import registry
from emojibench.errors import UserError
from emojibench.reports.load import FinishedRun
from emojibench.reports.rows import as_row, rows_of
from emojibench.runs.columns import EXPRESSIONS, TURN
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

    def values(self, column: str) -> dict[str, float]:
        """Clip id to the value of a column, for clips that have one."""
        rows = self.rows.get(column, {}).items()
        return {clip: row.value for clip, row in rows if row.status == "ok" and row.value is not None}


@dataclass(frozen=True)
class Parts:
    """Runs cut down, several times over."""

    runs: dict[str, list[FinishedRun]]
    """Title of a part to the runs that have clips of it, in order."""
    outside: tuple[str, ...]
    """Clips that belong to no part."""

    def about(self, by: str) -> str:
        """What the parts are, in a paragraph; empty where their titles say all."""
        rest = f"In no part, since their rows do not say: {', '.join(self.outside)}." if self.outside else ""
        return " ".join(filter(None, (BY[by].meaning, rest)))


@dataclass(frozen=True)
class _By:
    """One way to put clips together."""

    word: str
    """What stands before a title."""
    groups: Callable[[ClipRows], dict[str, list[str]]]
    """Clip id to the titles it belongs to; none where the rows do not say."""
    lacking: str
    order: tuple[str, ...] = ()
    """Titles in their order; empty: alphabetical."""
    meaning: str = ""
    """A paragraph for readers."""


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
        found.rows.setdefault(row["metric"], {})[clip] = as_row(row)
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
        if (
            whole.kind == "clip" and whole.mean is None
        ):  # perhaps of an older version, with values in the rows
            summaries[name] = whole.model_copy(update={"expected": len(kept)})
            continue
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


def parts_by(by: str, runs: Sequence[FinishedRun], rows: Mapping[Path, ClipRows]) -> Parts:
    """Runs cut down to the clips that one of `BY` puts together.

    What a clip shows is the same for every method, so runs whose rows do not say take it from those that do.

    Args:
        by: key of `BY`.
        runs: of one track.
        rows: the `clip_rows` of each run, by its path.

    Raises:
        UserError: the rows say of no clip where it belongs.
    """
    groups: dict[tuple[str, str], Collection[str]] = {}
    for run in runs:
        for clip, titles in BY[by].groups(rows[run.path]).items():
            groups[run.spec.split, clip] = titles or groups.get((run.spec.split, clip), ())
    order = BY[by].order or sorted({title for titles in groups.values() for title in titles})
    parts: dict[str, list[FinishedRun]] = {}
    for title in order:
        for run in runs:
            clips = {clip for clip in run.spec.clips if title in groups.get((run.spec.split, clip), ())}
            if clips:
                parts.setdefault(title, []).append(part(run, clips, rows[run.path]))
    if not parts:
        raise UserError(
            f"{runs[0].path / 'rows.parquet'}: says of no clip {BY[by].lacking}; score the run again"
        )
    outside = sorted(clip for (_, clip), titles in groups.items() if not titles)
    return Parts(parts, tuple(outside))


def _domains(rows: ClipRows) -> dict[str, list[str]]:
    return {clip: [domain] if domain else [] for clip, domain in rows.domains.items()}


def _turns(rows: ClipRows) -> dict[str, list[str]]:
    turns = rows.values(TURN.name)
    return {clip: [_turned(turns[clip])] if clip in turns else [] for clip in rows.subjects}


def _turned(degrees: float) -> str:
    return next((title for title, most in _TURNS.items() if degrees <= most), _FAR)


def _expressions(rows: ClipRows) -> dict[str, list[str]]:
    shares = {title: rows.values(name) for title, name in _EXPRESSIONS.items()}
    found: dict[str, list[str]] = {}
    for clip in rows.subjects:
        if any(clip not in of_clips for of_clips in shares.values()):
            found[clip] = []
        else:
            shown = [title for title, of_clips in shares.items() if of_clips[clip] >= _SHOWN]
            found[clip] = shown or [_CALM]
    return found


_TURNS = {"up to 15°": 15.0, "15° to 30°": 30.0}
_FAR = "over 30°"
_SHOWN = 0.25
_CALM = "none of them"
_EXPRESSIONS = {t.name.removeprefix("driving_").replace("_", " "): t.name for t in EXPRESSIONS}
BY = {
    "domain": _By("domain", _domains, "which domain it is of"),
    "turn": _By(
        "head turn", _turns, "how far its driving turns", (*_TURNS, _FAR),
        "Head turn: how far the driving head's yaw is from the portrait's in 95 % of the frames (`driving_turn`).",
    ),
    "expression": _By(
        "expression", _expressions, "which expressions its driving shows", (*_EXPRESSIONS, _CALM),
        f"Expression: what at least {_SHOWN:.0%} of the driving frames show (`driving_mouth_open`, `driving_smile`, "
        "`driving_eyes_closed`); a clip may show several, so tables share clips.",
    ),
}  # fmt: skip
"""What clips can be put together by."""


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
