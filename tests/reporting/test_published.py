"""Published figures: every cell of the paper's tables as printed, and the committed page is what they render to."""

import csv
from pathlib import Path

import pytest

from emojibench.reports.markdown import render
from emojibench.reports.pages import published_page
from emojibench.reports.published import TABLES, load_table

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "leaderboards" / "published.md"
FACTS = REPOSITORY / "../shared/facts/published"

SHAPES = {1: (9, 10), 2: (3, 7), 3: (6, 10), 4: (9, 7), 5: (7, 12), 6: (3, 4), 7: (5, 4), 8: (4, 4)}
"""Table to its rows and columns."""
STARS = {"resolution", "nationality", "expression"}
TEXT = {"steps", "settings", "talking_head", "landmark", "anime_style", "year", *STARS}
"""Columns that are not measurements."""
SPOTS = {
    (1, "DaGAN", "overall_rank"): "6.95",
    (1, "Follow-Your-Emoji-Faster", "quality"): "60.147",
    (2, "VFHQ", "anime_style"): "✗",
    (3, "Token merging", "speed"): "1.20",
    (4, "Loss without expression mask", "ssim"): "0.710",
    (5, "TIC (d)", "settings"): "O=2, N=2",
    (5, "TIC (f)", "flops"): "1145.62",
    (6, "X-Pose", "fvd"): "102.7",
    (7, "V-Express", "fvd"): "2502.243",
    (8, "Wan 2.1", "fid"): "98.103",
}


def cells(number: int) -> dict[str, dict[str, str]]:
    return {row.method: dict(row.cells) for row in load_table(number).rows}


@pytest.mark.parametrize("number", TABLES)
def test_tables_are_complete(number: int) -> None:
    table = load_table(number)
    assert table.number == number
    assert "arXiv:2509.16630" in table.citation
    assert table.title
    assert table.section
    assert table.notes
    assert (len(cells(number)), len(table.columns)) == SHAPES[number]
    for column in table.columns:
        assert column.unit
        assert (column.better == "none") == (column.name in TEXT - STARS)
        assert column.better in ("higher", "lower", "none")
    for row in table.rows:
        assert row.printed
        for key, cell in row.cells.items():
            assert key in TEXT or float(cell) >= 0


def test_cells_keep_every_printed_digit() -> None:
    assert {spot: cells(spot[0])[spot[1]][spot[2]] for spot in SPOTS} == SPOTS


@pytest.mark.skipif(not FACTS.is_dir(), reason="the paper's tables are not in ../shared/facts")
@pytest.mark.parametrize("number", TABLES)
def test_cells_are_those_of_the_paper(number: int) -> None:
    with (FACTS / f"table{number}.tsv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    table = load_table(number)
    assert [[row.printed, *row.cells.values()] for row in table.rows] == rows
    for title, column in zip(header[1:], table.columns, strict=True):
        assert column.better in title or "(" not in title


@pytest.mark.parametrize(
    ("number", "cost", "speed"),
    [(3, "latency", "speed"), (5, "latency", "latency_speed"), (5, "flops", "flops_speed")],
)
def test_speed_follows_from_cost(number: int, cost: str, speed: str) -> None:
    """What the paper's own arithmetic allows to check."""
    rows = cells(number)
    for row in rows.values():
        assert float(rows["Uncached"][cost]) / float(row[cost]) == pytest.approx(
            float(row[speed]), abs=0.0051
        )


def test_no_such_table() -> None:
    with pytest.raises(ValueError, match="tables 1 to 8"):
        load_table(9)


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(published_page(map(load_table, TABLES)))
