"""Published figures: traceable, never guessed, and the committed page is what they render to."""

from pathlib import Path

import pytest

from emojibench.reporting.markdown import published_page
from emojibench.reporting.published import TABLES, load_table

PAGE = Path(__file__).parents[2] / "leaderboards" / "published.md"


@pytest.mark.parametrize("number", TABLES)
def test_every_cell_has_a_source_or_a_reason(number: int) -> None:
    table = load_table(number)
    assert table.rows
    for cells in table.rows.values():
        assert list(cells) == [column.key for column in table.columns]
        for cell in cells.values():
            assert (cell.value is None) == bool(cell.reason)
            assert (cell.value is None) != bool(cell.found)


def test_figures_agree_with_each_other() -> None:
    """What the paper's own arithmetic allows to check: speed-ups follow from latency and FLOPs."""
    rows = {method: cells for (method, _), cells in load_table(3).rows.items()}
    full, tic, half = rows["Uncached, 30 steps"], rows["TIC"], rows["Half steps, 15 steps"]
    assert full["latency"].value / tic["latency"].value == pytest.approx(
        tic["latency_speedup"].value, abs=0.005
    )
    assert full["flops"].value / tic["flops"].value == pytest.approx(tic["flops_speedup"].value, abs=0.006)
    assert full["latency"].value / half["latency"].value == pytest.approx(
        half["latency_speedup"].value, abs=0.005
    )


def test_table_1_has_the_papers_columns_and_methods() -> None:
    table = load_table(1)
    assert [(c.group, c.better) for c in table.columns] == [
        ("self", "lower"), ("self", "higher"), ("self", "lower"), ("self", "lower"),
        ("cross", "higher"), ("cross", "higher"), ("cross", "higher"),
    ]  # fmt: skip
    assert len(table.rows) == 9


def test_no_such_table() -> None:
    with pytest.raises(ValueError, match="tables 1 to 8"):
        load_table(9)


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == published_page(map(load_table, TABLES))
