"""Rows of pictures with labels."""

import numpy as np
import pytest

from emojibench.media.contact import Group, Row, Sheet, fitted

LONG = "fye-faster-with-a-name-that-no-column-holds-" * 4


@pytest.mark.parametrize(
    "text", ["copy-reference", LONG + "1", "x" * 300, "אבגד", "人物" * 30, "a\nb\x00c", ""]
)
@pytest.mark.parametrize("lines", [1, 3])
def test_any_text_fits(text: str, lines: int) -> None:
    assert len(fitted(text, 120, 14, lines=lines)) <= lines


def test_names_that_end_differently_stay_apart_and_unknown_characters_are_told() -> None:
    assert fitted(LONG + "1", 120, 14, lines=2) != fitted(LONG + "2", 120, 14, lines=2)
    assert fitted("\U00016f4d", 300, 14, lines=1) == ["\\U00016f4d"]


def test_pictures_stand_where_their_titles_do_and_gaps_are_told() -> None:
    red, blue = (np.full((20, 20, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    sheet = Sheet((Group(("portrait",)), Group(("one", LONG), "at 50%")), 60, labelled=True)
    drawn = sheet.draw([Row((red, "no frames", blue), ("clip", "cartoon")), Row((blue, red, red))])
    assert drawn.shape[1] == sheet.width
    strip = drawn[-62]
    columns = [np.flatnonzero((strip == colour).all(axis=1)) for colour in ((0, 0, 255), (255, 0, 0))]
    assert len(columns[0]) == 60
    assert len(columns[1]) == 120
    assert columns[0].max() < columns[1].min()
    assert len(sheet.header()) < len(drawn) - 2 * 60
