"""What objects of the API look like in a notebook, and figures wherever they are shown."""

from collections.abc import Iterable, Sequence
from html import escape

DASH = "–"
"""Stands for a value that is missing."""


def html_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table with a caption; all text is escaped."""
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def share_lost(share: float) -> str:
    """What a mean over surviving frames is not of: `5.0 % lost`; never 0.0."""
    return f"{max(100 * share, 0.1):.1f} % lost"
