"""How all figures look: one column of a paper wide, fonts of 7 points and more, colours that colour-blind readers tell
apart, shapes beside colours, fonts embedded. The same figure gives the same bytes."""

import csv
import io
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emojibench import extras
from emojibench.files.writing import atomic, write_text

WIDTH = 3.3
"""Inches of a column of a two-column paper."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's (2008), without their yellow, which is too light for lines, and with a grey."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
LINES = ("-", "--", "-.", ":")
DIVERGING = "PuOr"
SMALL, LABEL = 7.0, 7.5
"""Points."""
_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": LABEL,
    "axes.titlesize": LABEL,
    "axes.labelsize": LABEL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "figure.titlesize": SMALL,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
    "text.parse_math": False,  # names of methods may have dollars
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
}
_LINE = 58
"""Signs of a line of notes."""


@dataclass
class Figure:
    """One drawn figure."""

    name: str
    """Of its files."""
    drawing: Any
    """matplotlib's."""
    data: list[Sequence[object]] = field(default_factory=list)
    """What it shows, as lines of CSV, the first one with titles."""

    def write(self, folder: Path) -> list[Path]:
        """Write NAME.pdf, NAME.png and NAME.csv; returns their paths.

        Raises:
            WriteError: a file cannot be written.
        """
        files = [folder / f"{self.name}.{ending}" for ending in ("pdf", "png", "csv")]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(self.data)
        write_text(files[2], text.getvalue())
        for file, metadata in zip(files[:2], ({"CreationDate": None}, {"Software": None}), strict=True):
            with atomic(file) as temporary:
                self.drawing.savefig(temporary, format=file.suffix[1:], metadata=metadata)
        return files


@contextmanager
def paper() -> Iterator[Any]:
    """Draw in this style; gives `matplotlib.pyplot`, and closes what was drawn.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    extras.require("matplotlib", what="drawing figures")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(_RC):
        yield pyplot
        pyplot.close("all")


def look(number: int) -> dict[str, Any]:
    """Colour and marker of the row of this number, the same in every figure."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def line(number: int) -> str:
    """Line style of the row of this number: another one where colours begin again."""
    return LINES[(number + number // len(COLOURS)) % len(LINES)]


def panels(
    pyplot: Any, count: int, *, height: float = 1.45, legend: int = 0, notes: str = "", **shared: Any
) -> tuple[Any, list[Any]]:
    """A drawing with so many panels, two beside each other, and room for a legend of so many rows.

    `notes` stands above all panels.
    """
    beside = 1 if count == 1 else 2
    rows = -(-count // beside)
    tall = rows * (height + (0.5 if count == 1 else 0.0)) + 0.14 * len(_lines(notes)) + 0.16 * -(-legend // 2)
    drawing, axes = pyplot.subplots(rows, beside, figsize=(WIDTH, tall), squeeze=False, **shared)
    for spare in axes.flat[count:]:
        spare.set_visible(False)
    add_notes(drawing, notes)
    return drawing, list(axes.flat[:count])


def add_notes(drawing: Any, text: str) -> None:
    """What all panels are of, above them."""
    if text:
        drawing.suptitle("\n".join(_lines(text)), x=0.01, ha="left", linespacing=1.15)


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text, _LINE)


def title(panel: Any, text: str) -> None:
    """What the panel's vertical axis shows, above it, where long names have room."""
    panel.set_title("\n".join(textwrap.wrap(text, 18)), loc="left")


def plain_ticks(ticks: Any) -> None:
    """Few ticks with plain numbers on a logarithmic axis (`panel.xaxis`) whose data are drawn."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

    low, high = ticks.get_view_interval()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    for leading in ((1,), (1, 3), (1, 2, 5), (1.5, 3, 6), (1, 1.5, 2, 3, 5, 7)):
        at = [digit * 10.0**decade for decade in decades for digit in leading]
        at = [value for value in at if low <= value <= high]
        if len(at) >= 3:
            ticks.set_major_locator(FixedLocator(at))
            break
    else:  # less than half a decade
        ticks.set_major_locator(MaxNLocator(3))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    ticks.set_minor_formatter(NullFormatter())


def _plain(value: float) -> str:
    """Six digits without an exponent."""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def bottom(panels: Sequence[Any], text: str) -> None:
    """The title of the horizontal axis, below the panels that have none below them."""
    for panel in panels[-2:]:
        panel.set_xlabel(text)


def legend(drawing: Any, handles: Sequence[Any], labels: Sequence[str], *, dots: bool = False) -> None:
    """One legend below all panels, long names cut; `dots` take less room than lines."""
    longest = 32 if dots else 30
    short = [label if len(label) <= longest else f"{label[: longest - 1]}…" for label in labels]
    drawing.legend(
        handles, short, loc="outside lower left", ncols=2, frameon=False, columnspacing=1.0, handletextpad=0.4,
        borderaxespad=0.1, handlelength=0.8 if dots else 2.0,
    )  # fmt: skip


def name_dots(drawing: Any, panels: Mapping[Any, Mapping[str, tuple[float, float]]]) -> None:
    """Write a short name beside each dot, clear of the others; one that has to stand far from its dot has a line to it.

    Args:
        drawing: finished but for the names.
        panels: panel to names, and where their dots are in its data.
    """
    drawing.canvas.draw()  # only now does anybody know how large panels are
    points = 72 / drawing.dpi
    for panel, dots in panels.items():
        places = {name: tuple(panel.transData.transform(xy) * points) for name, xy in dots.items()}
        left, bottom, right, top = (edge * points for edge in panel.bbox.extents)
        taken: list[_Box] = [(*place, _DOT, _DOT) for place in places.values()]
        for name, (x, y) in places.items():
            half = 0.32 * SMALL * len(name), 0.42 * SMALL
            others = [place for place in places.values() if place != (x, y)]
            best, at = math.inf, (0.0, 0.0)
            for away, dx, dy in _AROUND:
                box = (x + dx, y + dy, *half)
                if (
                    left <= box[0] - half[0]
                    and box[0] + half[0] <= right
                    and bottom <= box[1] - half[1] <= top
                ):
                    meets = sum(_meet(box, other) for other in taken)
                    strange = sum(max(0.0, away - math.dist(box[:2], other)) for other in others)
                    if (cost := 100 * meets + away + strange) < best:
                        best, at = cost, (dx, dy)
            taken.append((x + at[0], y + at[1], *half))
            panel.annotate(
                name, dots[name], xytext=at, textcoords="offset points", fontsize=SMALL, ha="center",
                va="center_baseline", in_layout=False,
                arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "0.4", "shrinkA": 2.5, "shrinkB": 0},
            )  # fmt: skip


_DOT = 2.2
"""Half the side of a dot, points."""
_AROUND = [
    (away, away * math.cos(turn * math.pi / 8), 0.8 * away * math.sin(turn * math.pi / 8))
    for away in (6.5, 9.0, 12.0, 16.0, 21.0, 27.0, 34.0)
    for turn in range(16)
]
"""How far from its dot a name may stand, and where, points."""
_Box = tuple[float, float, float, float]
"""Middle, half the width and half the height."""


def _meet(one: _Box, other: _Box) -> bool:
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < one[3] + other[3]
