"""Rows of pictures with labels, as one picture: contact sheets, and the frames of videos that show several things.

The font is matplotlib's, which has many scripts, or Pillow's own where matplotlib is not installed. Characters that it
lacks are printed as their codes (`\\u4eba`), so that two names never look the same.
"""

import functools
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from emojibench.media.images import resize
from emojibench.types import Image

PAPER, INK, SOFT, SUNK = "#ffffff", "#1b1c1e", "#5d6066", "#ecece6"
GAP, BREAK = 2, 10
"""Pixels between pictures, and between groups of them."""
_NOWHERE = "\uffff"
"""No font has it."""


@dataclass(frozen=True)
class Group:
    """Columns that belong together."""

    columns: tuple[str, ...]
    """What stands above each."""
    title: str = ""
    """What stands above all of them."""


@dataclass(frozen=True)
class Row:
    """Pictures side by side."""

    pictures: Sequence[Image | str]
    """One for each column, square (H, H, 3), or why there is none."""
    label: tuple[str, ...] = ()
    """Lines that stand beside them; the first is the row's name."""


class Sheet:
    """Draws rows of one layout."""

    def __init__(self, groups: Sequence[Group], side: int, *, labelled: bool = False) -> None:
        """Lay out the columns.

        Args:
            groups: of columns, from left to right.
            side: of each picture, pixels.
            labelled: whether rows have labels.
        """
        self.groups, self.side = groups, side
        self._font = max(10, min(16, side // 9))
        self._margin = 11 * self._font if labelled else 0
        self._lefts: list[int] = []
        left = self._margin
        for group in groups:
            for _ in group.columns:
                self._lefts.append(left)
                left += side + GAP
            left += BREAK - GAP
        self.width = left - BREAK

    def header(self) -> Image:
        """The titles of columns and groups."""
        high = self._font + 4
        names = [name for group in self.groups for name in group.columns]
        wrapped = [fitted(name, self.side - 4, self._font, lines=2) for name in names]
        grouped = any(group.title for group in self.groups)
        lines = max(map(len, wrapped))
        canvas = Pillow.new("RGB", (self.width, high * (lines + grouped) + 4), PAPER)
        draw, column = ImageDraw.Draw(canvas), 0
        for group in self.groups:
            width = len(group.columns) * (self.side + GAP) - GAP
            for line in fitted(group.title, width - 4, self._font, lines=1):
                draw.text((self._lefts[column] + 2, 2), line, SOFT, _font(self._font))
            column += len(group.columns)
        for left, text in zip(self._lefts, wrapped, strict=True):
            first = high * (grouped + lines - len(text)) + 2
            for number, line in enumerate(text):
                draw.text((left + 2, first + high * number), line, INK, _font(self._font))
        return np.asarray(canvas)

    def strip(self, row: Row) -> Image:
        """One row, (side, width, 3)."""
        canvas = np.full((self.side, self.width, 3), 255, np.uint8)
        for left, picture in zip(self._lefts, row.pictures, strict=True):
            tile = self._reason(picture) if isinstance(picture, str) else resize(picture, self.side)
            canvas[:, left : left + self.side] = tile
        if row.label and self._margin:
            canvas[:, : self._margin] = self._label(row.label)
        return canvas

    def draw(self, rows: Iterable[Row]) -> Image:
        """All rows below the header."""
        parts = [self.header()]
        for row in rows:
            parts += [self.strip(row), np.full((GAP, self.width, 3), 255, np.uint8)]
        return np.concatenate(parts)

    def _label(self, label: Sequence[str]) -> Image:
        lines = [
            (line, SOFT if number else INK)
            for number, text in enumerate(label)
            for line in fitted(text, self._margin - 10, self._font, lines=3)
        ]
        return self._text(lines, self._margin, PAPER)

    def _reason(self, reason: str) -> Image:
        most = max(1, (self.side - 8) // (self._font + 3))
        lines = [(line, SOFT) for line in fitted(reason, self.side - 12, self._font, lines=most)]
        return self._text(lines, self.side, SUNK)

    def _text(self, lines: Iterable[tuple[str, str]], width: int, paper: str) -> Image:
        canvas = Pillow.new("RGB", (width, self.side), paper)
        draw = ImageDraw.Draw(canvas)
        for number, (line, ink) in enumerate(lines):
            draw.text((5, 4 + number * (self._font + 3)), line, ink, _font(self._font))
        return np.asarray(canvas)


def fitted(text: str, width: int, size: int, *, lines: int) -> list[str]:
    """A text broken into lines of at most `width` pixels; the middle of one that is too long is left out.

    Args:
        text: any; characters without a glyph are printed as their codes.
        width: in pixels.
        size: of the font, pixels.
        lines: most lines.
    """
    text = "".join(_printed(character) for character in " ".join(text.split()))
    most = lines * width // 2  # no more characters fit than there are pixels for
    if len(text) <= most and len(whole := _broken(text, width, size)) <= lines:
        return whole

    def shortened(kept: int) -> list[str]:
        return _broken(f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}", width, size)

    kept = bisect_left(range(1, min(most, len(text))), True, key=lambda count: len(shortened(count)) > lines)
    return shortened(kept)


def _broken(text: str, width: int, size: int) -> list[str]:
    """Lines, broken where a name may be, else anywhere."""
    lines, line = [], ""
    for piece in _pieces(text, width, size):
        if line and _font(size).getlength((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str, width: int, size: int) -> Iterator[str]:
    """Parts that stay together, none wider than a line."""
    for piece in re.findall(r"[^\s\-_/+.,]*[\s\-_/+.,]*", text):
        while _font(size).getlength(piece.rstrip()) > width and len(piece) > 1:
            fits = bisect_left(
                range(2, len(piece)), True, key=lambda end: _font(size).getlength(piece[:end]) > width
            )
            yield piece[: fits + 1]
            piece = piece[fits + 1 :]
        if piece:
            yield piece


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    if (found := find_spec("matplotlib")) and found.origin:
        return ImageFont.truetype(Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf", size - 1)
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@functools.cache
def _printed(character: str) -> str:
    """The character, or its code where the font lacks it."""
    if character == " ":
        return character
    glyph, absent = (bytes(_font(16).getmask(one)) for one in (character, _NOWHERE))
    if character.isprintable() and glyph != absent and any(glyph):
        return character
    return character.encode("ascii", "backslashreplace").decode()
