"""Published figures: the eight tables of the paper as data, never mixed with measured ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from emojibench.reports.blocks import Column
from emojibench.runs.spec import RunSpec

TABLES = range(1, 9)


@dataclass(frozen=True)
class Pattern:
    """Which runs ask the question of a printed row."""

    method: str = ""
    """Name of the method; empty for any."""
    name: str = ""
    """Name of the run; empty for any."""
    detector: str = ""
    """How the name of the landmark detector begins."""
    options: Mapping[str, str] | None = None
    """Options of the method; None for any."""

    def matches(self, spec: RunSpec) -> bool:
        """Whether a run is one of them."""
        return (
            self.method in ("", spec.method)
            and self.name in ("", spec.name)
            and spec.protocol.detector.startswith(self.detector)
            and self.options in (None, spec.options)
        )


@dataclass(frozen=True)
class PublishedRow:
    """A row as printed."""

    method: str
    """Name of the method, in our words."""
    printed: str
    """Name as the paper prints it, with its citation."""
    cells: Mapping[str, str]
    """Column name to the cell, digit by digit; every column is there."""
    runs: tuple[Pattern, ...] = ()
    """Which runs stand in its place in a measured table."""


@dataclass(frozen=True)
class PublishedTable:
    """One table of the paper."""

    number: int
    title: str
    citation: str
    section: str
    setting: str
    columns: tuple[Column, ...]
    """Columns of the table. A unit also says what the paper leaves open."""
    rows: tuple[PublishedRow, ...]
    notes: tuple[str, ...]
    """Oddities that a reader of the numbers should know."""


def load_table(number: int) -> PublishedTable:
    """Read one of the paper's tables from the package data.

    Raises:
        ValueError: no such table, or its file has a row with another number of cells than there are columns.
    """
    import yaml

    if number not in TABLES:
        raise ValueError(f"the paper has tables 1 to {len(TABLES)}, asked for {number}")
    file = _leaderboards() / "published" / f"table{number}.yaml"
    # The base loader leaves scalars alone: 0.710 keeps its last digit.
    data = yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)
    columns = tuple(Column(name=column.pop("key"), **column) for column in data["columns"])
    return PublishedTable(
        number=int(data["table"]),
        title=data["title"],
        citation=data["citation"],
        section=data["section"],
        setting=data["setting"],
        columns=columns,
        rows=tuple(_row(row, columns) for row in data["rows"]),
        notes=tuple(data["notes"]),
    )


def _leaderboards() -> Traversable:
    """Data of the leaderboards: in the installed package, or beside it in a checkout."""
    installed = files("emojibench") / "leaderboards"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "leaderboards"


def _row(row: dict[str, Any], columns: tuple[Column, ...]) -> PublishedRow:
    if len(row["cells"]) != len(columns):
        raise ValueError(f"{row['printed']}: expected {len(columns)} cells, got {len(row['cells'])}")
    keys = [column.name for column in columns]
    runs = tuple(Pattern(**pattern) for pattern in row.get("runs", ()))
    return PublishedRow(row["method"], row["printed"], dict(zip(keys, row["cells"], strict=True)), runs)
