"""Blocks as LaTeX (booktabs). The same blocks give the same bytes.

Tables are floats whose caption is the heading above them, so that one can be pasted into a paper as it is.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
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

_PREAMBLE = "% needs \\usepackage[T1]{fontenc}, {amssymb}, {booktabs} and {graphicx}"
_ESCAPED = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}",
    "–": "--", "…": r"\ldots{}", "²": "$^2$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "✓": r"$\checkmark$", "✗": r"$\times$", "★": r"$\star$",
}  # fmt: skip
"""Brackets too, since one that begins a row would be an option of the line break before it."""
_NUMBER = re.compile(r"^Table \d+: ")
"""What a heading has in front and LaTeX counts itself."""
_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
_ROWS = 36
"""Most rows of one float: a page holds no more, and a float does not break."""
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Makes a table smaller if it is wider than the page, and never larger."""
_SPECIAL = re.compile("[" + "".join(map(re.escape, _ESCAPED)) + "]")
_STYLES: dict[Style, str] = {
    "": "{}", "strong": r"\textbf{{{}}}", "underline": r"\underline{{{}}}", "code": r"\texttt{{{}}}",
}  # fmt: skip


def render(blocks: Iterable[Block]) -> str:
    """All blocks; footnotes are numbered in the order in which cells name them."""
    notes, caption = Numbered(), ""
    parts = [_PREAMBLE]
    for block in blocks:
        match block:
            case Heading(text):
                caption = text
            case Table():
                parts += _floats(block, _NUMBER.sub("", caption), notes)
                caption = ""
            case Bullets(lines):
                parts.append(_list(_text(line) for line in lines))
            case Footnotes():
                parts.append(_list(f"[{number}] {_text(note)}" for note, number in notes.items()))
            case str():
                parts.append(f"\\noindent {_text(block)}")
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Any text as LaTeX that prints it: one line, no character of it is a command."""
    printable = "".join(c for c in re.sub(r"\s+", " ", text) if c.isprintable())
    return _SPECIAL.sub(lambda match: _ESCAPED[match[0]], printable)


def _text(paragraph: str) -> str:
    return "".join(_styled(piece, style) for style, piece in spans(paragraph))


def _styled(text: str, style: Style) -> str:
    escaped = escape(text)
    if style == "code":
        escaped = escaped.replace("--", "-{}-")  # or flags are set as dashes
    return _STYLES[style].format(escaped)


def _list(items: Iterable[str]) -> str:
    lines = [f"  \\item{item}" if item.startswith("[") else f"  \\item {item}" for item in items]
    return "\n".join(("\\begin{itemize}\\raggedright", *lines, "\\end{itemize}")) if lines else ""


def _floats(table: Table, caption: str, notes: Numbered) -> Iterator[str]:
    """The table, on as many floats as it needs."""
    for start in range(0, max(1, len(table.rows)), _ROWS):
        part = replace(
            table, rows=table.rows[start : start + _ROWS], groups=table.groups[start : start + _ROWS]
        )
        yield _table(part, f"{caption} (continued)" if start else caption, notes)


def _table(table: Table, caption: str, notes: Numbered) -> str:
    width = len(table.columns)
    lines = [
        r"\begin{table*}",
        r"\centering",
        f"\\caption{{{_text(caption)}}}\\smallskip",
        _FIT,
        f"\\begin{{tabular}}{{{''.join('c' if column.name else 'l' for column in table.columns)}}}",
        r"\toprule",
        *_header(table.columns),
    ]
    for title, rows in table.grouped():
        lines.append(r"\midrule")
        if title:
            lines.append(f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{_text(title)}}}}} \\\\")
        lines += [" & ".join(_cell(cell, notes) for cell in row) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]
    return "\n".join(lines)


def _header(columns: tuple[Column, ...]) -> list[str]:
    titles = " & ".join(escape(c.title + ARROWS[c.better]) for c in columns) + r" \\"
    if not any(column.group for column in columns):
        return [titles]
    cells, rules, first = [], [], 1
    for group, members in groupby(columns, lambda column: column.group):
        span = len(list(members))
        cells.append(f"\\multicolumn{{{span}}}{{c}}{{{escape(group)}}}" if group else " & " * (span - 1))
        rules += [f"\\cmidrule(lr){{{first}-{first + span - 1}}}"] if group else []
        first += span
    return [" & ".join(cells) + r" \\", " ".join(rules), titles]


def _cell(cell: Cell, notes: Numbered) -> str:
    text = _styled(cell.text, cell.style) + escape(ARROWS[cell.better])
    if cell.value is not None:
        text = _MINUS.sub("$-$", text)
    lacks = f" ({escape(cell.lacks)})" if cell.lacks else ""
    numbers = ",".join(map(str, notes.of(cell)))
    return text + lacks + (f"$^{{{numbers}}}$" if numbers else "")
