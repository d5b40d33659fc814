"""What the gate can say about a column, and the rules by which it does."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib.resources import files

from emojibench.errors import UserError
from emojibench.reports.blocks import Direction


class Verdict(StrEnum):
    """What the gate says of one column, or of all of them."""

    SAME = "same"
    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNMEASURED = "could not measure"
    UNDECIDED = "undecided"
    INFO = "not gated"


EXIT_CODES = {
    Verdict.SAME: 0, Verdict.REGRESSED: 1, Verdict.UNMEASURED: 3, Verdict.UNDECIDED: 3, Verdict.IMPROVED: 4,
}  # fmt: skip


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

    def absolute(self, baseline: float, decimals: int) -> float:
        """The tolerance in the column's unit.

        A percentage of a small mean is no less than one unit of the last printed digit.
        """
        return max(self.amount * abs(baseline), 10.0**-decimals) if self.relative else self.amount


@dataclass(frozen=True)
class Rule:
    """How one column is judged."""

    column: str
    better: Direction
    tolerance: Tolerance
    ungated: str
    """Why the column is shown but not judged; empty if it is judged."""
    decimals: int
    calibrated: str = ""
    """What unchanged runs the tolerance comes from; empty where it is a judgement of what matters."""

    @property
    def unmeasured(self) -> Verdict:
        """Verdict where there is nothing to compare."""
        return Verdict.INFO if self.ungated else Verdict.UNMEASURED

    def allowed(self, baseline: float) -> float:
        """How much the mean may move, in the column's unit."""
        return self.tolerance.absolute(baseline, self.decimals)

    def judge(self, effect: float, low: float, high: float, baseline: float) -> Verdict:
        """Verdict on a change (run - baseline) that lies between two bounds."""
        if self.ungated:
            return Verdict.INFO
        allowed = self.allowed(baseline)
        if self.calibrated:  # the tolerance is what chance can do: whatever is within may be unchanged
            low = high = effect
        if abs(effect) > allowed and (low > 0 or high < 0):
            return Verdict.IMPROVED if (effect > 0) == (self.better == "higher") else Verdict.REGRESSED
        return Verdict.SAME if -allowed <= low and high <= allowed else Verdict.UNDECIDED


def read_tolerances(given: Mapping[str, str], names: Iterable[str]) -> dict[str, Tolerance]:
    """Pattern of column names to tolerance: those given, then the defaults; the first that matches counts.

    Raises:
        UserError: one cannot be read, or names no column.
    """
    import yaml

    for pattern in given:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"--tolerance {pattern}: no such column; there are {', '.join(names)}")
    file = files("emojibench.reports") / "tolerances.yaml"
    defaults = {key: str(value) for key, value in yaml.safe_load(file.read_text("utf-8"))["columns"].items()}
    wanted = {**given, **{key: value for key, value in defaults.items() if key not in given}}
    return {key: Tolerance.parse(value, f"tolerance of {key}") for key, value in wanted.items()}
