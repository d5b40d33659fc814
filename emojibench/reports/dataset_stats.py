"""Figures of datasets side by side: a table, plain data, and the radar plot of the paper's Fig. 6."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emojibench.dataset.facts import ABOUT, Fact
from emojibench.dataset.stats import DatasetStats
from emojibench.reports.blocks import Block, Cell, Column, Footnotes, Heading, Table, missing, number
from emojibench.reports.figures import style

_WORDS = (
    "In brackets: what a figure is of. Every sequence counts the same whatever its length. docs/datasets.md has the "
    "definitions; the paper states none of its own."
)
_RADAR = {
    "resolution": "resolution\n{:g} px",
    "expression_coverage": "expressions\ncovered\n{:.0%}",
    "expression_entropy": "expression\nentropy\n{:g}",
    "yaw": "range of\nyaw\n{:g}°",
    "motion": "motion\n{:g} eye dist.",
    "gaze": "range of\ngaze\n{:g}",
    "aesthetic": "aesthetic\n{:g}",
    "dynamic": "dynamic\n{:g}",
    "cartoon": "cartoon\n{:g}",
}
"""Axes of the radar plot, and what they are called there, with where they end."""


def stats_page(found: Sequence[DatasetStats]) -> list[Block]:
    """Figures down, datasets across."""
    columns = (Column("Figure"), Column("Unit"), *(Column(one.title, one.title) for one in found))
    rows = [
        (Cell(about.title), Cell(about.unit), *(fact_cell(name, one.facts[name]) for one in found))
        for name, about in ABOUT.items()
    ]
    domains = "; ".join(f"{one.title}: {', '.join(one.domains)}" for one in found)
    detectors = "; ".join(f"{one.title}: `{one.detector}`" for one in found)
    return [
        Heading("Datasets compared", 1),
        Table(columns, tuple(rows)),
        _WORDS,
        f"Domains: {domains}. Landmarks of {detectors}.",
        Footnotes("Notes"),
    ]


def fact_cell(name: str, fact: Fact) -> Cell:
    """A figure with what it is of, or a dash and why."""
    if fact.value is None:
        return missing(fact.reason)
    about = ABOUT[name]
    cell = number(fact.value, form=f".{about.decimals}f")
    return replace(cell, n=fact.n, lacks="" if name == "clips" else f"{fact.n} {about.of}")


def stats_data(found: Sequence[DatasetStats]) -> list[dict[str, Any]]:
    """Everything unrounded."""
    return [
        {
            "name": one.name,
            "version": one.version,
            "digest": one.digest,
            "detector": one.detector,
            "domains": list(one.domains),
            "facts": {name: _fact(name, fact) for name, fact in one.facts.items()},
        }
        for one in found
    ]


def _fact(name: str, fact: Fact) -> dict[str, Any]:
    about = ABOUT[name]
    return {"value": fact.value, "n": fact.n, "of": about.of, "unit": about.unit, "reason": fact.reason}


def write_radar(found: Sequence[DatasetStats], file: Path) -> list[Path]:
    """Write the radar plot beside `file`, whose ending does not matter; returns its files.

    Raises:
        UnavailableError: matplotlib is not installed.
        WriteError: a file cannot be written.
    """
    with style.paper() as pyplot:
        return replace(radar(found, pyplot), name=file.stem).write(file.parent)


def radar(found: Sequence[DatasetStats], pyplot: Any) -> style.Figure:
    """Each figure as a share of a fixed end of its axis, so that a dataset looks the same in any company.

    An axis that a dataset has no figure for interrupts its line.
    """
    import numpy as np

    angles = np.linspace(0, 2 * np.pi, len(_RADAR), endpoint=False)
    absent = [name for name in _RADAR if all(one.facts[name].value is None for one in found)]
    notes = "Each axis ends at the number at its rim; beyond it is cut off. Sequences: "
    notes += ", ".join(f"{one.facts['duration'].n} of {one.name}" for one in found) + "."
    if absent:
        notes += f" Not measured (no value drawn): {', '.join(absent)}."
    drawing = pyplot.figure(figsize=(style.WIDTH, 3.35 + 0.14 * len(notes) / 50 + 0.16 * -(-len(found) // 2)))
    panel = drawing.add_subplot(projection="polar")
    data: list[Sequence[object]] = [("dataset", "figure", "value", "end_of_axis", "share", "n", "reason")]
    lines = []
    for number_, one in enumerate(found):
        shares = []
        for name in _RADAR:
            fact, full = one.facts[name], ABOUT[name].full
            assert full is not None
            share = np.nan if fact.value is None else min(fact.value / full, 1.0)
            shares.append(share)
            shown = ("", full, "") if fact.value is None else (fact.value, full, share)
            data.append((one.title, name, *shown, fact.n, fact.reason))
        look = style.look(number_)
        ring = np.append(shares, shares[0])
        lines += panel.plot(np.append(angles, angles[0]), ring, style.line(number_), **look)
        if np.isfinite(ring).all():
            panel.fill(angles, shares, color=look["color"], alpha=0.12)
    ends = [
        words.format(ABOUT[name].full) + (" (–)" if name in absent else "") for name, words in _RADAR.items()
    ]
    panel.set_xticks(angles, ends, linespacing=1.05)
    panel.set_yticks([0.25, 0.5, 0.75, 1.0], [])
    panel.set_ylim(0, 1)
    panel.set_theta_zero_location("N")
    panel.set_theta_direction(-1)
    panel.tick_params(pad=9)
    style.add_notes(drawing, notes)
    style.legend(drawing, lines, [one.title for one in found])
    return style.Figure("radar", drawing, data)
