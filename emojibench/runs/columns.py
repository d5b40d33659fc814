"""The columns of a run, as spec.json keeps them: readable where the plug-in that filled them is gone."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from emojibench_metrics.cost import is_cost
from emojibench_metrics.interface import Traits
from pydantic import BaseModel, ConfigDict

from emojibench.runs.summary import ColumnSummary

ABSENT = "no metric that is installed here has this column"
KEPT = f"kept as it was measured: {ABSENT}"
MOTION = Traits(
    "driving_motion",
    "none",
    "eye distances",
    (0.0, math.inf),
    "how far the points of the driving face that move most stray, emojibench/dataset/motion.py",
)
TURN = Traits(
    "driving_turn",
    "none",
    "degrees",
    (0.0, 180.0),
    "yaw of the driving head against the portrait's, absolute, 95th percentile, emojibench/runs/driving.py",
    decimals=1,
)


def _share(name: str, what: str) -> Traits:
    return Traits(
        f"driving_{name}",
        "none",
        "share",
        (0.0, 1.0),
        f"driving frames with {what}, emojibench/face/measures.py",
    )


EXPRESSIONS = (
    _share("mouth_open", "an open mouth"),
    _share("smile", "a smile"),
    _share("eyes_closed", "both eyes closed"),
)
DRIVING = (MOTION, TURN, *EXPRESSIONS)
"""What a clip's driving does (`emojibench.runs.driving`): the same for every method, hence never judged."""


class ColumnSpec(BaseModel):
    """A column as spec.json declares it: all that a reader of its values must know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["clip", "set"]
    better: Literal["higher", "lower", "none"]
    unit: str
    lowest: float | None
    """Smallest possible value; None if there is no bound."""
    highest: float | None
    decimals: int
    version: int
    kept: bool = False
    """Whether its metric was absent when the run was last scored, so that its values are those of an earlier time."""

    @property
    def traits(self) -> Traits:
        """The same as a metric declares it."""
        low, high = -math.inf, math.inf
        valid = (
            low if self.lowest is None else self.lowest,
            high if self.highest is None else self.highest,
        )
        return Traits(
            self.name, self.better, self.unit, valid, "", decimals=self.decimals, version=self.version
        )


def declared(factories: Iterable[Any]) -> tuple[ColumnSpec, ...]:
    """The columns of metrics that are installed here."""
    return tuple(_column(traits, factory.kind) for factory in factories for traits in factory.traits)


def filled_here(traits: Iterable[Traits]) -> tuple[ColumnSpec, ...]:
    """The columns that the harness fills itself, without a metric."""
    return tuple(_column(one, "clip") for one in traits)


def summarised(columns: Mapping[str, ColumnSummary]) -> tuple[ColumnSpec, ...]:
    """The columns of a run of an older version, whose spec.json has none: read off its summary."""
    return tuple(
        ColumnSpec(
            name=name, kind=about.kind, better=about.better, unit=about.unit, decimals=about.decimals,
            version=about.version or 1, lowest=None, highest=None,
        )
        for name, about in columns.items()
        if not is_cost(name) and name not in {traits.name for traits in DRIVING}
    )  # fmt: skip


def with_kept(today: tuple[ColumnSpec, ...], earlier: Iterable[ColumnSpec]) -> tuple[ColumnSpec, ...]:
    """Today's columns, and earlier ones that nothing fills today."""
    names = {column.name for column in today}
    return (*today, *(c.model_copy(update={"kept": True}) for c in earlier if c.name not in names))


def _column(traits: Traits, kind: Literal["clip", "set"]) -> ColumnSpec:
    low, high = traits.valid_range
    return ColumnSpec(
        name=traits.name, kind=kind, better=traits.better, unit=traits.unit, decimals=traits.decimals,
        version=traits.version, lowest=_finite(low), highest=_finite(high),
    )  # fmt: skip


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
