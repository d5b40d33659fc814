"""Progress on stderr: bars with an estimate on a terminal, one plain line a clip elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


def say(line: str, *, quiet: bool) -> None:
    """One line on stderr, at once."""
    if not quiet and sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


class Progress:
    """Shows one stage; fractions of running clips move the bar."""

    def __init__(self, stage: str, total: int, *, quiet: bool = False) -> None:
        self._stage, self._total = stage, total
        self._console = Console(stderr=True, quiet=quiet)
        self._running: dict[str, float] = {}
        self._finished = 0
        self._started = time.monotonic()
        self._bars: Bars | None = None
        if self._console.is_terminal and not quiet:
            self._bars = Bars(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=self._console,
            )  # fmt: skip
            self._task = self._bars.add_task(stage, total=total, count=f"0/{total}")

    def __enter__(self) -> "Progress":
        if self._bars:
            self._bars.start()
        else:
            self._print(f"{self._stage} 0/{self._total}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def partly(self, clip_id: str, fraction: float) -> None:
        """A running clip has come this far, in [0, 1]."""
        self._running[clip_id] = min(max(fraction, 0.0), 1.0)
        self._draw()

    def done(self, clip_id: str, failure: str = "") -> None:
        """A clip is finished; `failure` says why if it failed."""
        self._running.pop(clip_id, None)
        self._finished += 1
        if failure or not self._bars:
            spent = time.monotonic() - self._started
            left = spent / self._finished * (self._total - self._finished)
            what = f"failed: {failure}" if failure else f"{spent:.0f} s, about {left:.0f} s left"
            self._print(f"{self._stage} {self._finished}/{self._total} {clip_id}: {what}")
        self._draw()

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _draw(self) -> None:
        if self._bars:
            done = self._finished + sum(self._running.values())
            self._bars.update(self._task, completed=done, count=f"{self._finished}/{self._total}")
