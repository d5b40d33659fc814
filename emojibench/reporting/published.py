"""Published figures: the eight tables of the paper as data, never mixed with measured ones."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

CITATION = (
    "Y. Ma et al., Follow-Your-Emoji-Faster: Towards Efficient, Fine-Controllable, and Expressive Freestyle "
    "Portrait Animation, IJCV 2025, arXiv:2509.16630"
)
TABLES = range(1, 9)


@dataclass(frozen=True)
class PublishedCell:
    """A number as printed, or the reason why it is not carried here."""

    value: float | None
    found: str
    """Where the number was read; empty without one."""
    reason: str
    """Why there is none; empty with one."""


@dataclass(frozen=True)
class PublishedColumn:
    """A column as printed."""

    key: str
    title: str
    better: str
    unit: str
    group: str
    """`self`, `cross` or nothing."""


@dataclass(frozen=True)
class PublishedTable:
    """One table of the paper."""

    number: int
    title: str
    setting: str
    columns: tuple[PublishedColumn, ...]
    rows: dict[tuple[str, str], dict[str, PublishedCell]]
    """(method, citation as in the paper) to column key to cell; every cell is there."""
    notes: tuple[str, ...]
    """Oddities that a reader of the numbers should know."""


def load_table(number: int) -> PublishedTable:
    """Read one of the paper's tables from the package data.

    Raises:
        ValueError: no such table, or its file names a column that it does not declare.
    """
    import yaml

    if number not in TABLES:
        raise ValueError(f"the paper has tables 1 to {len(TABLES)}, asked for {number}")
    file = files("leaderboards") / "published" / f"table{number}.yaml"
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    columns = tuple(PublishedColumn(group=c.pop("group", ""), **c) for c in data["columns"])
    rows = {
        (row["method"], row["citation"]): _cells(row, columns, data["unverified"]) for row in data["rows"]
    }
    return PublishedTable(number, data["title"], data["setting"], columns, rows, tuple(data["notes"]))


def _cells(
    row: dict[str, Any], columns: tuple[PublishedColumn, ...], reason: str
) -> dict[str, PublishedCell]:
    given = row.get("cells", {})
    if unknown := set(given) - {column.key for column in columns}:
        raise ValueError(f"{row['method']}: no column is called {', '.join(sorted(unknown))}")
    return {
        column.key: PublishedCell(**given[column.key], reason="")
        if column.key in given
        else PublishedCell(None, "", reason.strip())
        for column in columns
    }
