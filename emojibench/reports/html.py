"""Blocks as one HTML document without scripts. The same blocks give the same bytes."""

from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby

from emojibench.reports.blocks import (
    ARROWS,
    Block,
    Bullets,
    Cell,
    Column,
    Footnotes,
    Heading,
    Numbered,
    Style,
    Table,
    spans,
)

_STYLES: dict[Style, str] = {
    "": "{}", "strong": "<strong>{}</strong>", "underline": "<u>{}</u>", "code": "<code>{}</code>",
}  # fmt: skip
_SHEET = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:clamp(1rem,4vw,2rem);max-width:90rem}"
    "h1{font-size:clamp(1.3rem,1rem + 1.6vw,1.9rem);line-height:1.25;overflow-wrap:anywhere}"
    "p,li{overflow-wrap:anywhere}"
    ".scroll{overflow-x:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .6rem;text-align:left;vertical-align:top;white-space:nowrap}"
    "tbody th{font-weight:400;position:sticky;left:0;background:Canvas;min-width:min(12rem,35vw);max-width:16rem;"
    "white-space:normal;overflow-wrap:anywhere}"
    "tbody th[scope=rowgroup]{font-weight:700;max-width:none;white-space:nowrap}"
    "thead{border-top:2px solid;border-bottom:1px solid}tbody{border-bottom:1px solid}"
)


def render(blocks: Iterable[Block]) -> str:
    """A whole document, titled by its first heading; footnotes are numbered in the order in which cells name them."""
    blocks = list(blocks)
    notes = Numbered()
    title = next((block.text for block in blocks if isinstance(block, Heading)), "")
    body = "\n".join(part for block in blocks if (part := _block(block, notes)))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_SHEET}</style>\n{body}\n</html>\n"
    )


def _block(block: Block, notes: Numbered) -> str:
    match block:
        case str():
            return f"<p>{_text(block)}</p>"
        case Heading(text, level):
            return f"<h{level}>{_text(text)}</h{level}>"
        case Bullets(lines):
            return "<ul>\n" + "\n".join(f"<li>{_text(line)}</li>" for line in lines) + "\n</ul>"
        case Table():
            return _table(block, notes)
        case Footnotes(title):
            items = [f'<li id="note-{n}">{_text(note)}</li>' for note, n in notes.items()]
            heading = f"<h2>{_text(title)}</h2>\n" if title and items else ""
            return heading + "<ol>\n" + "\n".join(items) + "\n</ol>" if items else ""


def _text(paragraph: str) -> str:
    return "".join(_STYLES[style].format(escape(piece)) for style, piece in spans(paragraph))


def _table(table: Table, notes: Numbered) -> str:
    lines = ['<div class="scroll" role="region" aria-label="Table" tabindex="0">', "<table>"]
    lines += ["<thead>", *_header(table.columns), "</thead>"]
    for title, rows in table.grouped():
        lines.append("<tbody>")
        if title:
            lines.append(f'<tr><th colspan="{len(table.columns)}" scope="rowgroup">{_text(title)}</th></tr>')
        lines += ["<tr>" + "".join(_cells(row, notes)) + "</tr>" for row in rows]
        lines.append("</tbody>")
    return "\n".join((*lines, "</table>", "</div>"))


def _header(columns: tuple[Column, ...]) -> list[str]:
    titles = "".join(f'<th scope="col">{escape(c.title + ARROWS[c.better])}</th>' for c in columns)
    groups = [(group, len(list(members))) for group, members in groupby(columns, lambda column: column.group)]
    above = "".join(
        f'<th colspan="{span}" scope="colgroup">{escape(g)}</th>' if g else f'<td colspan="{span}"></td>'
        for g, span in groups
    )
    rows = [above, titles] if any(group for group, _ in groups) else [titles]
    return [f"<tr>{row}</tr>" for row in rows]


def _cells(row: Iterable[Cell], notes: Numbered) -> Iterator[str]:
    """The first cell says what the row is of."""
    for place, cell in enumerate(row):
        yield f"<td>{_cell(cell, notes)}</td>" if place else f'<th scope="row">{_cell(cell, notes)}</th>'


def _cell(cell: Cell, notes: Numbered) -> str:
    text = _STYLES[cell.style].format(escape(cell.text)) + ARROWS[cell.better]
    lacks = f" ({escape(cell.lacks)})" if cell.lacks else ""
    links = ", ".join(f'<a href="#note-{n}">{n}</a>' for n in notes.of(cell))
    return f"{text}{lacks}{f'<sup>{links}</sup>' if links else ''}"
