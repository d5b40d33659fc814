"""What pages are made of, printed as Markdown."""

import math

import pytest

from emojibench.reports.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Footnotes,
    Heading,
    Table,
    missing,
    number,
)
from emojibench.reports.markdown import render


def test_cells_carry_style_gaps_and_footnotes_that_are_numbered_over_the_page() -> None:
    columns = (Column("Row"), Column("L1", better="lower", group="Self"))
    first = Table(
        columns,
        (
            (
                Cell("a|b"),
                number(0.1234, 0.1, 0.2, form=".2f", strong=True, lacks="3 of 4", notes=("no face",)),
            ),
            (Cell("l1", "code", "lower"), missing("not run")),
            (Cell("c"), number(2.0, math.nan, 3.0, form=".1f", scale=10)),
        ),
    )
    second = Table((Column("x"),), ((missing("no   face"),),))
    blocks: list[Block] = [Heading("T", 1), "words", first, second, Bullets(("one",)), Footnotes("Why")]
    assert render(blocks) == (
        "# T\n\nwords\n\n"
        "| Row    | Self: L1 ↓                        |\n"
        "| ------ | --------------------------------- |\n"
        "| a\\|b   | **0.12 [0.10, 0.20]** (3 of 4)[1] |\n"
        "| `l1` ↓ | –[2]                              |\n"
        "| c      | 20.0                              |\n\n"
        "| x    |\n| ---- |\n| –[1] |\n\n- one\n\n## Why\n\n- [1] no face\n- [2] not run\n"
    )
    assert render(["words", Footnotes("Why")]) == "words\n"
    cell = first.rows[0][1]
    assert (cell.value, cell.low, cell.high) == (0.1234, 0.1, 0.2)


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1 cells"):
        Table((Column("a"), Column("b")), ((Cell("c"),),))
