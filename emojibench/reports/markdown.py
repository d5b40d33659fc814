"""Blocks as Markdown. The same blocks give the same bytes."""

from collections.abc import Iterable

from emojibench.reports.blocks import ARROWS, Block, Bullets, Cell, Footnotes, Heading, Numbered, Table

_MARKS = {"": ("", ""), "strong": ("**", "**"), "underline": ("<ins>", "</ins>"), "code": ("`", "`")}
"""Styles of cells; Markdown has no underlining of its own."""


def render(blocks: Iterable[Block]) -> str:
    """A whole page; footnotes are numbered in the order in which cells name them."""
    notes = Numbered()
    parts = (_block(block, notes) for block in blocks)
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block, notes: Numbered) -> str:
    match block:
        case str():
            return block
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Bullets(lines):
            return "\n".join(f"- {line}" for line in lines)
        case Table():
            return _table(block, notes)
        case Footnotes(title):
            heading = f"## {title}\n\n" if title and notes else ""
            return heading + "\n".join(f"- [{number}] {reason}" for reason, number in notes.items())


def _table(table: Table, notes: Numbered) -> str:
    """Padded, so that it also reads well as plain text."""
    rows = []
    for title, members in table.grouped():
        rows += [[f"**{title}**", *[""] * (len(table.columns) - 1)]] if title else []
        rows += [[_cell(cell, notes) for cell in row] for row in members]
    header = [column.heading for column in table.columns]
    lines = [[" ".join(text.split()).replace("|", "\\|") for text in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _cell(cell: Cell, notes: Numbered) -> str:
    before, behind = _MARKS[cell.style]
    lacks = f" ({cell.lacks})" if cell.lacks else ""
    numbers = "".join(f"[{number}]" for number in notes.of(cell))
    return f"{before}{cell.text}{behind}{ARROWS[cell.better]}{lacks}{numbers}"
