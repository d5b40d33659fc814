"""Tables of blocks as CSV, one line a cell, so that tables of any shape share one header. Numbers are unrounded."""

import csv
import io
from collections.abc import Iterable

from emojibench.reports.blocks import Block, Cell, Column, Heading, Table

HEADER = (
    "table", "group", "row", "column", "title", "split", "unit", "better", "value", "low", "high", "n", "expected",
    "coverage", "mark", "text", "reason",
)  # fmt: skip
_MARKS = {"strong": "best", "underline": "second"}
_FORMULAS = ("=", "+", "-", "@")


def render(blocks: Iterable[Block]) -> str:
    """All tables. Columns without a name say which row a cell is of; text between tables is left out."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    heading = ""
    for block in blocks:
        match block:
            case Heading(text):
                heading = text
            case Table():
                for group, rows in block.grouped():
                    for row in rows:
                        writer.writerows(_lines(heading, group, block.columns, row))
    return out.getvalue()


def _lines(table: str, group: str, columns: tuple[Column, ...], row: tuple[Cell, ...]) -> Iterable[list[str]]:
    cells = list(zip(columns, row, strict=True))
    title = " | ".join(cell.text for column, cell in cells if not column.name)
    for column, cell in cells:
        if column.name:
            heading = f"{column.group}: {column.title}" if column.group else column.title
            source = cell.of or column
            about = (source.name, heading, source.split, source.unit, source.better)
            coverage = cell.n / cell.expected if cell.n is not None and cell.expected else None
            numbers = (cell.value, cell.low, cell.high, cell.n, cell.expected, coverage)
            yield [
                *map(_words, (table, group, title, *about)),
                *("" if number is None else repr(number) for number in numbers),
                _MARKS.get(cell.style, ""),
                _words(cell.text) if cell.value is None else cell.text,
                _words("; ".join(cell.notes)),
            ]


def _words(text: str) -> str:
    """One line, which no spreadsheet takes for a formula."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(_FORMULAS) else line
