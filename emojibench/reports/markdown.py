"""Blocks as Markdown. The same blocks give the same bytes."""

from collections.abc import Iterable

from emojibench.reports.blocks import ARROWS, Block, Bullets, Cell, Footnotes, Heading, Table


def render(blocks: Iterable[Block]) -> str:
    """A whole page; footnotes are numbered in the order in which cells name them."""
    notes: dict[str, int] = {}
    parts = (_block(block, notes) for block in blocks)
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block, notes: dict[str, int]) -> str:
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


def _table(table: Table, notes: dict[str, int]) -> str:
    """Padded, so that it also reads well as plain text."""
    rows = ([_cell(cell, notes) for cell in row] for row in table.rows)
    header = [column.heading for column in table.columns]
    lines = [[" ".join(text.split()).replace("|", "\\|") for text in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _cell(cell: Cell, notes: dict[str, int]) -> str:
    mark = {"": "", "strong": "**", "code": "`"}[cell.style]
    lacks = f" ({cell.lacks})" if cell.lacks else ""
    reasons = (" ".join(reason.split()) for reason in cell.notes)
    numbers = "".join(f"[{notes.setdefault(reason, len(notes) + 1)}]" for reason in reasons)
    return f"{mark}{cell.text}{mark}{ARROWS[cell.better]}{lacks}{numbers}"
