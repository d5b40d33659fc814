"""The regression gate: is this run worse than an accepted baseline, beyond chance and beyond what matters?

Both runs are compared clip by clip on the clips they share, column by column, in the direction that the
column declares. A column changed if the interval of the paired difference excludes zero and its mean exceeds
the tolerance; it is the same if the whole interval is within the tolerance; anything else is undecided. A
column that the run lacks, or whose clips or frames went missing, could not be measured; that is never taken for
"no change". A column that the baseline does not know is shown, but not gated.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from emojibench_metrics.cost import depends_on_device, is_cost

from emojibench.errors import UserError
from emojibench.notebooks import DASH, html_table, share_lost
from emojibench.protocol.statistics import paired_difference
from emojibench.registry import unknown
from emojibench.reports.blocks import (
    ARROWS,
    Block,
    Cell,
    Column,
    Direction,
    Footnotes,
    Heading,
    Table,
    number,
)  # fmt: skip
from emojibench.reports.calibrating import read_calibration
from emojibench.reports.load import FinishedRun, load_run
from emojibench.reports.markdown import render
from emojibench.reports.subsets import clip_rows
from emojibench.reports.verdicts import EXIT_CODES, Rule, Verdict, read_tolerances

LOST = 0.01
"""So much more of its frames a run may lose than the baseline before means of the others say nothing."""


@dataclass(frozen=True)
class Comparison:
    """One column of both runs."""

    column: str
    better: Direction
    verdict: Verdict
    reason: str = ""
    """Why it could not be measured, is not gated, or how it was compared."""
    baseline: float | None = None
    run: float | None = None
    """`baseline` and `run` are means over the common clips; for metrics of a set, over all clips."""
    baseline_lost: float | None = None
    run_lost: float | None = None
    """`baseline_lost` and `run_lost` are the shares of frames that the means leave out."""
    effect: float | None = None
    """`run` minus `baseline`."""
    low: float | None = None
    high: float | None = None
    """`low` and `high` bound the 95 % interval of the effect; None for metrics of a set."""
    minimum_detectable_effect: float | None = None
    tolerance: float | None = None
    clips: int = 0
    decimals: int = 3


COLUMNS = tuple(
    Column(title)
    for title in (
        "Column", "Baseline", "Run", "Change", "95 % interval", "Detectable", "Tolerance", "Clips", "Verdict",
    )
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class GateResult:
    """All columns and what follows from them."""

    baseline: Path
    run: Path
    comparisons: tuple[Comparison, ...]
    chosen: str = ""
    """Which of the baseline's clips were chosen; empty for all."""
    allow_undecided: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict of the worst column: regressed, could not measure, undecided (unless allowed), improved, same."""
        found = {comparison.verdict for comparison in self.comparisons}
        if self.allow_undecided and Verdict.UNDECIDED in found:
            found = found - {Verdict.UNDECIDED} | {Verdict.SAME}
        ranks = (
            Verdict.REGRESSED, Verdict.UNMEASURED, Verdict.UNDECIDED, Verdict.IMPROVED, Verdict.SAME,
        )  # fmt: skip
        for verdict in ranks:
            if verdict in found:
                return verdict
        return Verdict.UNMEASURED  # nothing was gated at all

    @property
    def exit_code(self) -> int:
        """0 same, 1 regressed, 3 could not measure or undecided, 4 improved."""
        return EXIT_CODES[self.verdict]

    def blocks(self) -> list[Block]:
        """The table for a terminal or a pull request."""
        return [
            Heading(f"Gate: {self.verdict}"),
            f"Run `{self.run}` against baseline `{self.baseline}`{self.chosen}.",
            Table(COLUMNS, tuple(map(_row, self.comparisons))),
            "Change is run minus baseline on the same clips. A column regressed or improved only if the "
            "interval excludes zero and the change exceeds the tolerance; it is the same only if the whole interval "
            "is within the tolerance, else undecided. Detectable: the smallest true change that a comparison of this "
            "size finds four times out of five. (5.0 % lost): share of frames without a face; the mean is over the "
            "others.",
            Footnotes(),
        ]

    def markdown(self) -> str:
        """The blocks as Markdown."""
        return render(self.blocks())

    def __repr__(self) -> str:
        lines = [f"Gate: {self.verdict}", f"run {self.run} against baseline {self.baseline}{self.chosen}"]
        for verdict in Verdict:
            columns = ", ".join(c.column for c in self.comparisons if c.verdict == verdict)
            if columns:
                lines.append(f"{verdict}: {textwrap.shorten(columns, 100)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [
            [
                f"{cell.text}{ARROWS[cell.better]}" + (f" ({cell.lacks})" if cell.lacks else "")
                for cell in _row(c)[:-1]
            ]
            + [": ".join(filter(None, (c.verdict, c.reason)))]
            for c in self.comparisons
        ]
        title = f"Gate: {self.verdict}. Run {self.run} against baseline {self.baseline}{self.chosen}"
        return html_table(title, [column.title for column in COLUMNS], rows)

    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "baseline": str(self.baseline),
            "run": str(self.run),
            "chosen": self.chosen,
            "allow_undecided": self.allow_undecided,
            "columns": [asdict(comparison) for comparison in self.comparisons],
        }


def gate(
    baseline: Path | str,
    run: Path | str,
    *,
    tolerances: Mapping[str, str] | None = None,
    gate_costs: bool = False,
    clips: int | Sequence[str] | None = None,
    allow_undecided: bool = False,
    calibration: Path | str | None = None,
) -> GateResult:
    """Compare a finished run with an accepted baseline.

    Args:
        baseline: run folder or accepted folder to hold against.
        run: run folder to judge.
        tolerances: column name or pattern to `0.01` or `2%`; goes before the defaults in tolerances.yaml.
        gate_costs: judge latency, arithmetic and memory too. Off by default: they depend on the machine.
        clips: compare on the baseline's first so many clips, or on these ids, only. Otherwise a run that lacks
            clips of the baseline could not be measured.
        allow_undecided: columns whose interval is neither within nor beyond the tolerance count as the same.
        calibration: file of `emojibench gate calibrate`, whose tolerances go before the defaults. A column is then
            judged by its tolerance alone, which is what unchanged runs differ by.

    Raises:
        UserError: a folder is missing or unfinished, a tolerance cannot be read or names no column, a clip is
            not the baseline's, or the runs are not comparable (other dataset digest, split or protocol).
    """
    old, new = load_run(Path(baseline)), load_run(Path(run))
    _check_comparable(old, new)
    names = sorted(old.summaries.keys() | new.summaries.keys(), key=lambda name: (is_cost(name), name))
    allowed = read_tolerances(tolerances or {}, names)
    chosen = _chosen(old, clips)
    calibrated = read_calibration(Path(calibration), old, chosen) if calibration else {}
    comparisons = []
    for name in names:
        known = old.summaries.get(name) or new.summaries[name]
        ungated = "no better direction" if known.better == "none" else ""
        if is_cost(name) and not gate_costs:
            ungated = "cost on this machine; judged with --gate-costs"
        tolerance = next(value for pattern, value in allowed.items() if fnmatchcase(name, pattern))
        about = ""
        if name in calibrated and not any(fnmatchcase(name, pattern) for pattern in tolerances or ()):
            tolerance, about = calibrated[name]
        rule = Rule(name, known.better, tolerance, ungated, known.decimals, about)
        comparisons.append(_compare(rule, old, new, chosen))
    whole = len(chosen) == len(old.spec.clips)
    on = "" if whole else f" on {len(chosen)} of the baseline's {len(old.spec.clips)} clips, as chosen"
    return GateResult(old.path, new.path, tuple(comparisons), on, allow_undecided)


def _chosen(old: FinishedRun, clips: int | Sequence[str] | None) -> frozenset[str]:
    """The baseline's clips that the run has to have."""
    there = old.spec.clips
    if clips is None:
        return frozenset(there)
    if isinstance(clips, int):
        if not 1 <= clips <= len(there):
            raise UserError(f"--clips: expected 1 to {len(there)}, the clips of the baseline, got {clips}")
        return frozenset(there[:clips])
    for clip in clips:
        if clip not in there:
            raise UserError(f"--clips: {unknown('clip', clip, there)}")
    if not clips:
        raise UserError("--clips: expected at least one clip")
    return frozenset(clips)


def _check_comparable(old: FinishedRun, new: FinishedRun) -> None:
    differences = []
    if old.spec.dataset_digest != new.spec.dataset_digest:
        names = [f"{r.spec.dataset} {r.spec.dataset_version} ({r.spec.dataset_digest})" for r in (old, new)]
        differences.append(f"dataset: {names[0]} / {names[1]}")
    if old.spec.split != new.spec.split:
        differences.append(f"split: {old.spec.split} / {new.spec.split}")
    differences += [f"protocol {line}" for line in old.spec.protocol.differences(new.spec.protocol)]
    if differences:
        lines = "".join(f"\n  {line}" for line in differences)
        raise UserError(
            f"{old.path} and {new.path} cannot be compared; they differ in (baseline / run):{lines}\n"
            "Make the run with the baseline's dataset, split and protocol, or choose another --baseline."
        )


def _compare(rule: Rule, old: FinishedRun, new: FinishedRun, chosen: frozenset[str]) -> Comparison:
    if rule.column not in old.summaries:
        reason = rule.ungated or "not in the baseline; accept a run that has it to gate it"
        return _without_value(rule, Verdict.INFO, reason)
    gaps = [_gap(rule.column, side, run) for side, run in (("baseline", old), ("run", new))]
    if all(gaps):
        return _without_value(rule, Verdict.INFO, f"in neither run ({gaps[0]})")
    if any(gaps):
        return _without_value(rule, rule.unmeasured, "".join(gaps))
    if depends_on_device(rule.column) and not rule.ungated and (gap := old.cost_gap(new)):
        return _without_value(rule, rule.unmeasured, gap)
    versions = [run.summaries[rule.column].version for run in (old, new)]
    if None not in versions and versions[0] != versions[1]:
        reason = f"version {versions[0]} of the metric in the baseline, {versions[1]} in the run"
        return _without_value(rule, rule.unmeasured, reason)
    if old.summaries[rule.column].kind == "set":
        return _compare_sets(rule, old, new, chosen)
    return _compare_clips(rule, old, new, chosen)


def _gap(name: str, side: str, run: FinishedRun) -> str:
    summary = run.summaries.get(name)
    if summary is None:
        return f"not in the {side}"
    return "" if summary.mean is not None else f"{side}: {summary.reason or summary.status}"


def _without_value(rule: Rule, verdict: Verdict, reason: str) -> Comparison:
    return Comparison(rule.column, rule.better, verdict, reason, decimals=rule.decimals)


def _compare_sets(rule: Rule, old: FinishedRun, new: FinishedRun, chosen: frozenset[str]) -> Comparison:
    first, second = old.summaries[rule.column], new.summaries[rule.column]
    assert first.mean is not None
    assert second.mean is not None
    if chosen != set(old.spec.clips):
        return _without_value(rule, Verdict.INFO, "value of a set: of all clips, not of those chosen")
    if _members(old, rule.column) != _members(new, rule.column):
        reason = f"value of a set: N = {first.n_clips} and {second.n_clips} or other clips do not compare"
        return _without_value(rule, rule.unmeasured, reason)
    effect = second.mean - first.mean
    return Comparison(
        rule.column,
        rule.better,
        rule.judge(effect, effect, effect, first.mean),
        rule.ungated
        or rule.calibrated
        or f"value of a set (N = {first.n_clips}): by tolerance alone, it has no interval",
        baseline=first.mean,
        run=second.mean,
        effect=effect,
        tolerance=rule.allowed(first.mean),
        clips=first.n_clips,
        decimals=rule.decimals,
    )


def _members(run: FinishedRun, column: str) -> set[str]:
    """Clips that the value of a set is of: the others have a row that says why not."""
    return set(run.spec.clips) - clip_rows(run).rows.get(column, {}).keys()


def _compare_clips(rule: Rule, old: FinishedRun, new: FinishedRun, chosen: frozenset[str]) -> Comparison:
    before, after = old.values[rule.column], new.values[rule.column]
    common = sorted(before.keys() & after.keys() & chosen)
    if not common:
        return _without_value(rule, rule.unmeasured, "no clip has a value in both")
    difference = paired_difference(
        [after[clip].value for clip in common],
        [before[clip].value for clip in common],
        [before[clip].subject for clip in common],
    )
    baseline = math.fsum(before[clip].value for clip in common) / len(common)
    verdict = rule.judge(difference.mean, difference.low, difference.high, baseline)
    reason = rule.ungated or rule.calibrated
    lost = [run.lost(rule.column, common) for run in (old, new)]
    if not rule.ungated and (gap := _missing(rule.column, old, new, chosen, lost)):
        verdict, reason = verdict if verdict == Verdict.REGRESSED else Verdict.UNMEASURED, gap
    elif difference.clusters < 2 and not rule.calibrated:
        verdict, reason = rule.unmeasured, "clips of a single portrait give no interval"
    low, high, detectable = (
        value if math.isfinite(value) else None
        for value in (difference.low, difference.high, difference.minimum_detectable_effect)
    )
    return Comparison(
        rule.column,
        rule.better,
        verdict,
        reason,
        baseline=baseline,
        run=baseline + difference.mean,
        baseline_lost=lost[0],
        run_lost=lost[1],
        effect=difference.mean,
        low=low,
        high=high,
        minimum_detectable_effect=detectable,
        tolerance=rule.allowed(baseline),
        clips=len(common),
        decimals=rule.decimals,
    )


def _missing(
    column: str, old: FinishedRun, new: FinishedRun, chosen: frozenset[str], shares: Sequence[float | None]
) -> str:
    """What the baseline measured and the run did not, `shares` of lost frames included; empty for nothing."""
    before, after = old.values[column].keys(), new.values[column].keys()
    warm_ups = new.warm_ups.get(column, frozenset())
    parts = []
    if absent := sorted(chosen & before - set(new.spec.clips)):
        parts.append(
            f"{len(absent)} of the baseline's {len(old.spec.clips)} clips are not in the run ({absent[0]} is the "
            "first); --clips compares on some of them"
        )
    if lost := sorted((chosen & before & set(new.spec.clips)) - after - warm_ups):
        parts.append(f"{len(lost)} clips lost their value ({lost[0]} is the first)")
    known, now = (share or 0.0 for share in shares)
    if now - known > LOST:
        parts.append(f"the run lost {now:.1%} of its frames, the baseline {known:.1%}")
    return "; ".join(parts)


def _row(c: Comparison) -> tuple[Cell, ...]:
    def shown(value: float | None, sign: str = "", lost: float | None = None) -> Cell:
        if value is None:
            return Cell(DASH)
        return number(value, form=f"{sign}.{c.decimals + 1}f", lacks=share_lost(lost) if lost else "")

    known = c.low is not None and c.high is not None
    interval = f"[{shown(c.low, '+').text}, {shown(c.high, '+').text}]" if known else DASH
    return (
        Cell(c.column, better=c.better),
        shown(c.baseline, lost=c.baseline_lost),
        shown(c.run, lost=c.run_lost),
        shown(c.effect, "+"),
        Cell(interval, low=c.low, high=c.high),
        shown(c.minimum_detectable_effect),
        shown(c.tolerance),
        Cell(str(c.clips) if c.clips else DASH),
        Cell(
            c.verdict,
            "strong" if c.verdict in (Verdict.REGRESSED, Verdict.IMPROVED) else "",
            notes=(c.reason,) if c.reason else (),
        ),
    )
