"""What the page says, as plain data: leaderboards with their cells, and the values of every clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from emojibench_metrics.cost import is_cost

from emojibench.protocol import AGGREGATION
from emojibench.reports.accepting import without_folders
from emojibench.reports.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Footnotes,
    Heading,
    Table,
    measured,
    missing,
)  # fmt: skip
from emojibench.reports.load import FinishedRun
from emojibench.reports.page.clips import Shown
from emojibench.reports.page.folder import key
from emojibench.reports.published import PublishedTable
from emojibench.reports.subsets import ClipRows, parts_by
from emojibench.reports.tables import SPLITS, Track, build_track

ALL = ""
"""Name of the view that all clips belong to; other views are domains."""


class Texts:
    """Texts that are said many times, each kept once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Index of a text in `lines`."""
        return self._numbers.setdefault(" ".join(str(without_folders(text)).split()), len(self._numbers))

    @property
    def lines(self) -> list[str]:
        """All texts, in the order of their numbers."""
        return list(self._numbers)


@dataclass(frozen=True)
class ShownRun:
    """A run and what the page shows of its clips."""

    run: FinishedRun
    rows: ClipRows
    shown: Shown
    clips: Mapping[str, str]
    """Clip id to the name of the data file that all methods share."""

    @cached_property
    def data(self) -> dict[str, Any]:
        """Values of all clips by column; where there is none, a number of `reasons`."""
        run, rows, texts = self.run, self.rows, Texts()
        clips = run.spec.clips
        columns = {}
        for name, summary in run.summaries.items():
            if summary.kind == "set" or summary.mean is None:
                continue
            of_column = rows.rows.get(name, {})
            values: list[float | None] = []
            why: dict[int, int] = {}
            for number, clip in enumerate(clips):
                row = of_column.get(clip)
                value = row.value if row is not None and row.status == "ok" else None
                values.append(None if value is None else float(f"{value:.6g}"))
                if value is None:
                    why[number] = texts.number(_reason(run, row, clip))
            columns[name] = {"values": values, "why": why, "decimals": summary.decimals}
        return {
            "clips": list(clips),
            "subjects": [rows.subjects.get(clip, "") for clip in clips],
            "domains": [rows.domains.get(clip, "") for clip in clips],
            "columns": columns,
            "animations": [self.shown.animations.get(clip) for clip in clips],
            "shared": [self.clips.get(clip) for clip in clips],
            "absent": {
                number: texts.number(self.shown.absent[clip])
                for number, clip in enumerate(clips)
                if clip in self.shown.absent
            },
            "reasons": texts.lines,
        }

    @cached_property
    def name(self) -> str:
        """Name of the data file. It follows from the content, so that browsers never show an old file."""
        return f"r-{key(self.run.spec.name, self.data)}"


def track_data(track: Track, shown: Sequence[ShownRun]) -> dict[str, Any]:
    """One track: its leaderboard over all clips and over those of each domain.

    Args:
        track: all its runs.
        shown: the same runs.
    """
    spec = track.runs[0].spec
    notes = Texts()
    number_of = {one.run.path: number for number, one in enumerate(shown)}
    domains = sorted({domain for one in shown for domain in one.rows.domains.values() if domain})
    views = {ALL: _entries(track, track, number_of, notes)}
    if len(domains) > 1:
        parts = parts_by("domain", track.runs, {one.run.path: one.rows for one in shown}).runs
        for domain, runs in parts.items():
            views[domain] = _entries(build_track(track.name, runs), track, number_of, notes)
    return {
        "name": track.name,
        "dataset": {"name": spec.dataset, "version": spec.dataset_version, "digest": spec.dataset_digest},
        "protocol": {
            "id": spec.protocol.id, "size": spec.protocol.size, "frames": spec.protocol.frames,
            "detector": spec.protocol.detector, "aggregation": AGGREGATION,
        },
        "columns": {
            split: [
                *(_column(column, paper=True) for column in track.table1 if column.split == split),
                *(_column(column, paper=False) for column in track.others.get(split, ())),
            ]
            for split in SPLITS
            if split in track.others
        },
        "domains": domains if len(domains) > 1 else [],
        "runs": [_run(one) for one in shown],
        "views": views,
        "notes": notes.lines,
    }  # fmt: skip


def blocks_data(blocks: Sequence[Block]) -> dict[str, Any]:
    """A page of blocks: its title, its parts, and the footnotes that its cells name by number, from 0."""
    notes = Texts()
    parts: list[dict[str, Any]] = []
    title, *rest = blocks
    assert isinstance(title, Heading)
    for block in rest:
        match block:
            case str():
                parts.append({"text": block})
            case Heading(text):
                parts.append({"heading": text})
            case Bullets(lines):
                parts.append({"lines": list(lines)})
            case Table(columns, rows):
                parts.append(
                    {
                        "columns": [{"title": column.heading, "better": column.better} for column in columns],
                        "rows": [[_cell(cell, notes) for cell in row] for row in rows],
                    }
                )
            case Footnotes():
                pass  # the page lists them below its parts
    return {"title": title.text, "parts": parts, "notes": notes.lines}


def published_data(table: PublishedTable) -> dict[str, Any]:
    """A table of the paper, digit by digit."""
    return {
        "number": table.number,
        "title": table.title,
        "setting": table.setting,
        "source": f"{table.citation}, Table {table.number}, section {table.section}",
        "columns": [column.heading for column in table.columns],
        "rows": [[row.method, row.printed, *row.cells.values()] for row in table.rows],
        "notes": list(table.notes),
    }


def worst_first(runs: Sequence[FinishedRun], columns: Sequence[Column]) -> list[str]:
    """Clips of runs of one split, those first that are the worst of some run in the first column that it has."""
    ranks: dict[str, int] = {}
    for run in runs:
        chosen = next((c for c in columns if run.values.get(c.name) and c.better != "none"), None)
        values = run.values[chosen.name] if chosen else {}
        sign = -1 if chosen and chosen.better == "lower" else 1
        ordered = sorted(
            run.spec.clips,
            key=lambda clip: (clip in values, sign * values[clip].value if clip in values else 0.0),
        )
        for rank, clip in enumerate(ordered):
            ranks[clip] = min(rank, ranks.get(clip, rank))
    return sorted(ranks, key=lambda clip: (ranks[clip], clip))


def _entries(view: Track, track: Track, number_of: Mapping[Any, int], notes: Texts) -> list[dict[str, Any]]:
    """Rows of the leaderboard of a view, with a cell for each column of the whole track."""
    columns = [*track.table1, *(column for others in track.others.values() for column in others)]
    entries = []
    for entry in view.entries:
        runs = {}
        for split, run in entry.runs.items():
            cells = {}
            for column in columns:
                if column.split != split:
                    continue
                summary = entry.summary(column)
                best = view.best.get((split, column.name)) == entry.label
                cell = (
                    missing("this run did not measure it")
                    if summary is None
                    else measured(summary, best=best)
                )
                cells[column.name] = _cell(cell, notes)
            counts = {"clips": len(run.spec.clips), "partial": entry.partial.get(split, "")}
            runs[split] = {"run": number_of[run.path], "cells": cells, **counts}
        entries.append({"label": entry.label, "runs": runs})
    return entries


def _cell(cell: Cell, notes: Texts) -> dict[str, Any]:
    content: dict[str, Any] = {"text": cell.text}
    if cell.value is not None:
        content["value"] = cell.value
    if cell.low is not None and cell.high is not None:
        content |= {"low": cell.low, "high": cell.high}
    if cell.lacks:
        content["lacks"] = cell.lacks
    if cell.notes:
        content["notes"] = [notes.number(note) for note in cell.notes]
    if cell.style == "strong":
        content["best"] = True
    return content


def _column(column: Column, *, paper: bool) -> dict[str, Any]:
    return {
        "name": column.name, "title": column.title, "unit": column.unit, "better": column.better,
        "paper": paper, "cost": is_cost(column.name),
    }  # fmt: skip


def _run(one: ShownRun) -> dict[str, Any]:
    spec, start = one.run.spec, one.run.animated
    options = {name: without_folders(value) for name, value in sorted(spec.options.items())}
    code = start.code
    return {
        "file": one.name, "name": spec.name, "method": spec.method, "split": spec.split,
        "revision": spec.revision, "options": options, "seed": spec.seed, "device": start.device,
        "commit": code.commit and code.commit[:10], "dirty": bool(code.dirty),
        "receipt": one.run.receipt_said,
        "clips": len(spec.clips), "played": len(one.shown.animations),
    }  # fmt: skip


def _reason(run: FinishedRun, row: Any, clip: str) -> str:
    if row is not None and (row.reason or row.status != "ok"):
        return str(row.reason or row.status)
    return run.failed.get(clip) or "there is no row for this clip"
