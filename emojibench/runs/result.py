"""What `run` and `score` return."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojibench.notebooks import DASH, html_table
from emojibench.runs.summary import Summary


@dataclass(frozen=True, repr=False)
class RunResult:
    """A finished run."""

    folder: Path
    summary: Summary
    """Content of summary.json: `summary.metrics[column]` has mean, low, high, coverage, status."""
    failed: dict[str, str]
    """Clip id to reason, for clips of which some value failed; "" stands for the whole set."""
    unavailable: dict[str, str]
    """Column to reason, for metrics whose weights cannot be had on this machine."""
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 3 where something failed (with `strict`: or was unavailable)."""
        return 3 if self.failed or (self.strict and self.unavailable) else 0

    def rows(self) -> Any:
        """rows.parquet as a pandas DataFrame."""
        import pandas as pd

        with (self.folder / "rows.parquet").open("rb") as file:
            return pd.read_parquet(file)

    def __repr__(self) -> str:
        means = [f"{name} {mean}" for name, mean, *_ in self._table() if mean != DASH]
        lines = [self._title(), f"in {self.folder}", *textwrap.wrap(", ".join(means), 100, max_lines=3)]
        if self.failed:
            lines.append(
                f"failed: {textwrap.shorten(', '.join(filter(None, self.failed)) or 'whole set', 80)}"
            )
        if self.unavailable:
            lines.append(f"unavailable: {textwrap.shorten(', '.join(self.unavailable), 80)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        header = ("metric", "mean", "95 % interval", "clips", "unit")
        return html_table(f"{self._title()}, in {self.folder}", header, self._table())

    def _title(self) -> str:
        summary = self.summary
        about = f"{summary.title} · {summary.split} · {summary.dataset.name} · {summary.protocol}"
        return f"{about}: {summary.clips.animated} of {summary.clips.expected} clips"

    def _table(self) -> list[tuple[str, str, str, str, str]]:
        return [
            (name, entry.shown, entry.interval, f"{entry.n_clips} of {entry.expected}", entry.unit)
            for name, entry in self.summary.metrics.items()
        ]
