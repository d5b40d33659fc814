"""What pages are made of, as values: a renderer (`markdown.render` is one) prints them, whatever the format.

A page is a sequence of blocks: `Heading`, `Table`, `Bullets`, `Footnotes`, and text, one string a paragraph. Paragraphs
and bullets may hold `code` and **strong** words. Cells hold what is shown as plain text, their numbers unrounded beside
it, and the reasons for which something is missing; renderers number these reasons and list them in `Footnotes`.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from emojibench.notebooks import DASH
from emojibench.runs.summary import ColumnSummary

Direction: TypeAlias = Literal["higher", "lower", "none"]
Style: TypeAlias = Literal["", "strong", "underline", "code"]
ARROWS: dict[Direction, str] = {"higher": " ↑", "lower": " ↓", "none": ""}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    name: str = ""
    """The column's name in rows and summaries; empty if it holds no measured values."""
    split: str = ""
    unit: str = ""
    better: Direction = "none"
    group: str = ""
    """Title above several columns, such as `Self`."""

    @property
    def heading(self) -> str:
        """Title with its group, and the arrow that says which way is better."""
        title = f"{self.group}: {self.title}" if self.group else self.title
        return title + ARROWS[self.better]


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    """What a reader sees, without markup."""
    style: Style = ""
    better: Direction = "none"
    """Which way is better, if the cell names a column of runs."""
    lacks: str = ""
    """Clips or frames that a mean leaves out; printed in brackets behind it."""
    notes: tuple[str, ...] = ()
    """Texts of the cell's footnotes."""
    value: float | None = None
    """The number that `text` shows, unrounded and unscaled; None if it is missing or the cell holds words."""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    """How many of the `expected` clips the number rests on; None if it does not rest on clips."""
    expected: int | None = None
    of: Column | None = None
    """The column of runs that the number comes from, if it is not the table's column."""


@dataclass(frozen=True)
class Heading:
    """Title of a page (level 1) or of a part of it."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Bullets:
    """A list."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Columns across, rows down; every row has a cell for each column."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[str, ...] = ()
    """For each row the title above its group of rows; empty if the rows have no groups."""

    def __post_init__(self) -> None:
        if self.groups and len(self.groups) != len(self.rows):
            raise ValueError(f"{len(self.rows)} rows, but {len(self.groups)} titles of groups")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(self.columns)} columns, but a row of {len(row)} cells")

    def grouped(self) -> Iterator[tuple[str, tuple[tuple[Cell, ...], ...]]]:
        """Titles of groups and their rows, in order; one without a title where there are no groups."""
        start = 0
        for end in range(1, len(self.rows) + 1):
            if end == len(self.rows) or (self.groups and self.groups[end] != self.groups[start]):
                yield (self.groups[start] if self.groups else ""), self.rows[start:end]
                start = end


@dataclass(frozen=True)
class Footnotes:
    """The notes of all cells above, below a title of their own; nothing where there are none."""

    title: str = ""


Block: TypeAlias = str | Heading | Bullets | Table | Footnotes
_SPAN = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*")


def spans(text: str) -> Iterator[tuple[Style, str]]:
    """A paragraph, bullet or footnote as pieces of one style each."""
    end = 0
    for match in _SPAN.finditer(text):
        if match.start() > end:
            yield "", text[end : match.start()]
        yield ("code", match[1]) if match[1] else ("strong", match[2])
        end = match.end()
    if end < len(text):
        yield "", text[end:]


class Numbered(dict[str, int]):
    """Footnotes of a page, numbered in the order in which cells name them."""

    def of(self, cell: Cell) -> list[int]:
        """The numbers of a cell's notes."""
        return [self.setdefault(" ".join(note.split()), len(self) + 1) for note in cell.notes]


def missing(reason: str) -> Cell:
    """A dash, with the reason as its footnote."""
    return Cell(DASH, notes=(reason,))


def number(
    mean: float,
    low: float | None = None,
    high: float | None = None,
    *,
    form: str,
    scale: float = 1,
    strong: bool = False,
    lacks: str = "",
    notes: tuple[str, ...] = (),
) -> Cell:
    """`mean [low, high]`, or the mean alone where the bounds are not known; `form` as in `format`."""
    text = format(mean * scale, form)
    if low is None or high is None or not math.isfinite(low + high):
        low = high = None
    else:
        text += f" [{low * scale:{form}}, {high * scale:{form}}]"
    return Cell(text, "strong" if strong else "", "none", lacks, notes, mean, low, high)


def measured(summary: ColumnSummary, *, best: bool = False) -> Cell:
    """The cell of one column of one run: what the mean lacks and why, or a dash where there is none."""
    if summary.mean is None:
        empty = missing(summary.reason or summary.status)
        return replace(empty, n=summary.n_clips, expected=summary.expected)
    lacks = f"N = {summary.n_clips}" if summary.kind == "set" else summary.lacks
    notes = tuple(why for why in (summary.reason, summary.note) if why)
    form = f".{summary.decimals}f"
    cell = number(summary.mean, summary.low, summary.high, form=form, strong=best, lacks=lacks, notes=notes)
    return replace(cell, n=summary.n_clips, expected=summary.expected)
