"""Tables on stdout."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160
"""Columns of a file or a pipe, which have no width to fit into."""


def console(*, soft_wrap: bool = False) -> "Console":
    """Stdout, never narrower than `PIPE_WIDTH` unless it is a terminal."""
    from rich.console import Console

    out = Console(soft_wrap=soft_wrap)
    if not out.is_terminal:
        out.width = max(out.width, PIPE_WIDTH)
    return out


def show(header: Sequence[str], rows: Iterable[Sequence[str]], *, names: int) -> None:
    """Print rows. The first `names` columns are what a user types or copies: they stay whole, others wrap."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(header):
        table.add_column(title, no_wrap=number < names, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)
