"""The regression gate: is this run worse than an accepted baseline, beyond chance and beyond what matters?

Both runs are compared clip by clip on the clips they share, column by column, in the direction that the
column declares. A change counts only if the interval of the paired difference excludes zero and its mean
exceeds the tolerance. A column that only one of the two has, or whose clips lost their values, could not be
measured; that is never taken for "no change".
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from emojibench.errors import UserError
from emojibench.reporting.columns import ARROWS, is_cost
from emojibench.reporting.load import FinishedRun, load_run
from emojibench.reporting.markdown import DASH, Footnotes, table
from emojibench.statistics import paired_difference


class Verdict(StrEnum):
    """What became of one column, or of all of them."""

    SAME = "same"
    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNMEASURED = "could not measure"
    INFO = "not gated"


EXIT_CODES = {Verdict.SAME: 0, Verdict.REGRESSED: 1, Verdict.UNMEASURED: 3, Verdict.IMPROVED: 4}


@dataclass(frozen=True)
class Tolerance:
    """How much a mean may move: in the column's unit, or as a fraction of the baseline's mean."""

    amount: float
    relative: bool

    @classmethod
    def parse(cls, text: str, where: str) -> "Tolerance":
        """Read `0.01` or `2%`.

        Raises:
            UserError: neither, or negative.
        """
        number = text.strip().removesuffix("%")
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if not (math.isfinite(amount) and amount >= 0):
            raise UserError(
                f"{where}: expected a number such as 0.01 or a percentage such as 2%, got {text!r}"
            )
        relative = number != text.strip()
        return cls(amount / 100 if relative else amount, relative)

    def absolute(self, baseline: float) -> float:
        """In the column's unit."""
        return self.amount * abs(baseline) if self.relative else self.amount


@dataclass(frozen=True)
class Rule:
    """How one column is judged."""

    column: str
    better: str
    """higher, lower or none."""
    tolerance: Tolerance
    ungated: str
    """Why it is shown but not judged; empty when it is."""
    decimals: int

    @property
    def unmeasured(self) -> Verdict:
        """Verdict where there is nothing to compare."""
        return Verdict.INFO if self.ungated else Verdict.UNMEASURED

    def judge(self, effect: float, baseline: float) -> Verdict:
        """Verdict on a real effect (run - baseline)."""
        if self.ungated:
            return Verdict.INFO
        if abs(effect) <= self.tolerance.absolute(baseline):
            return Verdict.SAME
        return Verdict.IMPROVED if (effect > 0) == (self.better == "higher") else Verdict.REGRESSED


@dataclass(frozen=True)
class Comparison:
    """One column of both runs."""

    column: str
    better: str
    """higher, lower or none."""
    verdict: Verdict
    reason: str = ""
    """Why it could not be measured, is not gated, or how it was compared."""
    baseline: float | None = None
    run: float | None = None
    """Means over the common clips (values of a set: over all clips)."""
    effect: float | None = None
    """run - baseline."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the effect; None for values of a set."""
    minimum_detectable_effect: float | None = None
    tolerance: float | None = None
    clips: int = 0
    decimals: int = 3


@dataclass(frozen=True)
class GateResult:
    """All columns and what follows from them."""

    baseline: Path
    run: Path
    comparisons: tuple[Comparison, ...]

    @property
    def verdict(self) -> Verdict:
        """Worst column first: regressed, could not measure, improved, same."""
        found = {comparison.verdict for comparison in self.comparisons}
        for verdict in (Verdict.REGRESSED, Verdict.UNMEASURED, Verdict.IMPROVED, Verdict.SAME):
            if verdict in found:
                return verdict
        return Verdict.UNMEASURED  # nothing was gated at all

    @property
    def exit_code(self) -> int:
        """0 same, 1 regressed, 3 could not measure, 4 improved."""
        return EXIT_CODES[self.verdict]

    def markdown(self) -> str:
        """The table for a terminal or a pull request."""
        header = [
            "Column",
            "Baseline",
            "Run",
            "Change",
            "95 % interval",
            "Detectable",
            "Tolerance",
            "Clips",
            "Verdict",
        ]
        notes = Footnotes()
        rows = [_row(comparison, notes) for comparison in self.comparisons]
        title = f"## Gate: {self.verdict}\n\nRun `{self.run}` against baseline `{self.baseline}`."
        legend = (
            "Change is run minus baseline on the same clips. A column regressed or improved only if the "
            "interval excludes zero and the change exceeds the tolerance. Detectable: the smallest true "
            "change that a comparison of this size finds four times out of five."
        )
        return "\n".join([title, "", table(header, rows), "", legend, "", *notes.lines()]).rstrip() + "\n"

    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "baseline": str(self.baseline),
            "run": str(self.run),
            "columns": [asdict(comparison) for comparison in self.comparisons],
        }


def gate(
    baseline: Path | str,
    run: Path | str,
    *,
    tolerances: Mapping[str, str] | None = None,
    gate_costs: bool = False,
) -> GateResult:
    """Compare a finished run with an accepted baseline.

    Args:
        baseline: run folder or accepted folder to hold against.
        run: run folder to judge.
        tolerances: column name or pattern to `0.01` or `2%`; goes before the defaults in tolerances.yaml.
        gate_costs: judge latency, arithmetic and memory too. Off by default: they depend on the machine.

    Raises:
        UserError: a folder is missing or unfinished, a tolerance cannot be read or names no column, or the
            runs are not comparable (other dataset digest, split or protocol).
    """
    old, new = load_run(Path(baseline)), load_run(Path(run))
    _check_comparable(old, new)
    names = sorted(old.summaries.keys() | new.summaries.keys(), key=lambda name: (is_cost(name), name))
    allowed = _tolerances(tolerances or {}, names)
    comparisons = []
    for name in names:
        known = old.summaries.get(name) or new.summaries[name]
        ungated = "no better direction" if known.better == "none" else ""
        if is_cost(name) and not gate_costs:
            ungated = "cost on this machine; judged with --gate-costs"
        tolerance = next(value for pattern, value in allowed.items() if fnmatchcase(name, pattern))
        rule = Rule(name, known.better, tolerance, ungated, known.decimals)
        comparisons.append(_compare(rule, old, new))
    return GateResult(old.path, new.path, tuple(comparisons))


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


def _tolerances(given: Mapping[str, str], names: list[str]) -> dict[str, Tolerance]:
    import yaml

    for pattern in given:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"--tolerance {pattern}: no such column; there are {', '.join(names)}")
    file = files("emojibench") / "tolerances.yaml"
    defaults = {key: str(value) for key, value in yaml.safe_load(file.read_text("utf-8"))["columns"].items()}
    wanted = {**given, **{key: value for key, value in defaults.items() if key not in given}}
    return {key: Tolerance.parse(value, f"tolerance of {key}") for key, value in wanted.items()}


def _compare(rule: Rule, old: FinishedRun, new: FinishedRun) -> Comparison:
    gaps = [_gap(rule.column, side, run) for side, run in (("baseline", old), ("run", new))]
    if all(gaps):
        return _without_value(rule, Verdict.INFO, f"in neither run ({gaps[0]})")
    if any(gaps):
        return _without_value(rule, rule.unmeasured, "".join(gaps))
    versions = [run.summaries[rule.column].version for run in (old, new)]
    if None not in versions and versions[0] != versions[1]:
        reason = f"version {versions[0]} of the metric in the baseline, {versions[1]} in the run"
        return _without_value(rule, rule.unmeasured, reason)
    if old.summaries[rule.column].kind == "set":
        return _compare_sets(rule, old, new)
    return _compare_clips(rule, old, new)


def _gap(name: str, side: str, run: FinishedRun) -> str:
    summary = run.summaries.get(name)
    if summary is None:
        return f"not in the {side}"
    return "" if summary.mean is not None else f"{side}: {summary.reason or summary.status}"


def _without_value(rule: Rule, verdict: Verdict, reason: str) -> Comparison:
    return Comparison(rule.column, rule.better, verdict, reason, decimals=rule.decimals)


def _compare_sets(rule: Rule, old: FinishedRun, new: FinishedRun) -> Comparison:
    first, second = old.summaries[rule.column], new.summaries[rule.column]
    assert first.mean is not None
    assert second.mean is not None
    if first.n_clips != second.n_clips or set(old.spec.clips) != set(new.spec.clips):
        reason = f"value of a set: N = {first.n_clips} and {second.n_clips} or other clips do not compare"
        return _without_value(rule, rule.unmeasured, reason)
    return Comparison(
        rule.column,
        rule.better,
        rule.judge(second.mean - first.mean, first.mean),
        rule.ungated or f"value of a set (N = {first.n_clips}): by tolerance alone, it has no interval",
        baseline=first.mean,
        run=second.mean,
        effect=second.mean - first.mean,
        tolerance=rule.tolerance.absolute(first.mean),
        clips=first.n_clips,
        decimals=rule.decimals,
    )


def _compare_clips(rule: Rule, old: FinishedRun, new: FinishedRun) -> Comparison:
    before, after = old.values[rule.column], new.values[rule.column]
    common = sorted(before.keys() & after.keys())
    if not common:
        return _without_value(rule, rule.unmeasured, "no clip has a value in both")
    difference = paired_difference(
        [after[clip].value for clip in common],
        [before[clip].value for clip in common],
        [before[clip].subject for clip in common],
    )
    baseline = math.fsum(before[clip].value for clip in common) / len(common)
    warm_ups = new.warm_ups.get(rule.column, frozenset())
    lost = sorted((before.keys() & set(new.spec.clips)) - after.keys() - warm_ups)
    verdict, reason = Verdict.SAME, rule.ungated
    if lost:
        verdict, reason = rule.unmeasured, f"{len(lost)} clips lost their value ({lost[0]} is the first)"
    elif difference.clusters < 2:
        verdict, reason = rule.unmeasured, "clips of a single portrait give no interval"
    elif rule.ungated or difference.excludes_zero:
        verdict = rule.judge(difference.mean, baseline)
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
        effect=difference.mean,
        low=low,
        high=high,
        minimum_detectable_effect=detectable,
        tolerance=rule.tolerance.absolute(baseline),
        clips=len(common),
        decimals=rule.decimals,
    )


def _row(c: Comparison, notes: Footnotes) -> list[str]:
    def shown(value: float | None, sign: str = "") -> str:
        return DASH if value is None else f"{value:{sign}.{c.decimals + 1}f}"

    interval = DASH if c.low is None else f"[{shown(c.low, '+')}, {shown(c.high, '+')}]"
    verdict = f"**{c.verdict}**" if c.verdict in (Verdict.REGRESSED, Verdict.IMPROVED) else str(c.verdict)
    return [
        c.column + ARROWS[c.better],
        shown(c.baseline),
        shown(c.run),
        shown(c.effect, "+"),
        interval,
        shown(c.minimum_detectable_effect),
        shown(c.tolerance),
        str(c.clips) if c.clips else DASH,
        f"{verdict} {notes.mark(c.reason)}" if c.reason else verdict,
    ]
