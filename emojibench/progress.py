"""Progress of long work on stderr: a bar with the time that is left, or lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens the progress of a named stage."""
_PAUSE = 10.0
"""Seconds between two lines where there is no terminal."""


def say(line: str, *, quiet: bool) -> None:
    """One line on stderr, at once."""
    if not quiet and sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


def _numbers(done: int, of: int) -> str:
    return f"{done}/{of}"


def bytes_of(done: int, of: int) -> str:
    """How much of a file is there, such as `1.2 MB/3.4 MB`; `of` is 0 where nobody knows its length."""
    from rich.filesize import decimal

    return f"{decimal(done)}/{decimal(of)}" if of else decimal(done)


class Stages:
    """Shows work that says itself which stage it is in, one stage after the other.

    Where stderr is no terminal, a stage has a line at its beginning, one every ten seconds, and one at its end.

    Args:
        quiet: show nothing.
        count: how to write what is done, and of how much; as plain numbers by default.
    """

    def __init__(self, *, quiet: bool = False, count: Callable[[int, int], str] = _numbers) -> None:
        self._bars = _bars(quiet=quiet)
        self._count = count
        self._name = ""
        self._task: TaskID | None = None

    def __enter__(self) -> "Stages":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(failed=error is not None)
        self._bars.stop()

    def begin(self, name: str) -> None:
        """A stage begins whose length is not known yet."""
        self._end()
        self._name, self._began, self._first = name, time.monotonic(), 0
        self._told, self._done, self._of = self._began, 0, 0
        self._task = self._bars.add_task(name, total=None, count="")
        self._line(f"{name} …")

    def __call__(self, name: str, done: int, of: int) -> None:
        """So much of a stage is done (`of` 0: nobody knows of how much); another name begins another stage."""
        if name != self._name:
            self.begin(name)
            self._first = max(0, done - 1)  # where continued work began
        self._done, self._of = done, of
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=of or None, count=self._count(done, of))
        now = time.monotonic()
        if now - self._told >= _PAUSE and self._first < done < of:
            self._told = now
            left = (now - self._began) / (done - self._first) * (of - done)
            self._line(f"{name} {self._count(done, of)}: {now - self._began:.0f} s, about {left:.0f} s left")

    def _end(self, *, failed: bool = False) -> None:
        if self._name and self._of and not failed:
            spent = time.monotonic() - self._began
            self._line(f"{self._name} {self._count(self._done, self._of)}: {spent:.0f} s")
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._name = ""

    def _line(self, text: str) -> None:
        if self._bars.disable:
            _line(self._bars, text)


@contextmanager
def stage(name: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show one stage; what is yielded is called as progress(done, total)."""
    with Stages(quiet=quiet) as stages:
        stages.begin(name)
        yield lambda done, of: stages(name, done, of)


class ClipProgress:
    """Shows one stage over many clips; fractions of running ones move the bar.

    Where stderr is no terminal, each clip has a line. `where` says which workers there are, where that is worth a word.
    """

    def __init__(
        self, stage: str, total: int, *, quiet: bool = False, where: Callable[[], str] = str
    ) -> None:
        self._stage, self._total, self._where = stage, total, where
        self._bars = _bars(quiet=quiet)
        self._running: dict[str, float] = {}
        self._finished = 0
        self._started = time.monotonic()
        self._task = self._bars.add_task(stage, total=total, count=f"0/{total}")

    def __enter__(self) -> "ClipProgress":
        self._bars.start()
        if self._bars.disable:
            _line(self._bars, f"{self._stage} 0/{self._total}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def partly(self, clip_id: str, fraction: float) -> None:
        """A running clip has come this far, in [0, 1]."""
        self._running[clip_id] = min(max(fraction, 0.0), 1.0)
        self._draw()

    def done(self, clip_id: str, failure: str = "") -> None:
        """A clip is finished; `failure` says why if it failed."""
        self._running.pop(clip_id, None)
        self._finished += 1
        if failure or self._bars.disable:
            spent = time.monotonic() - self._started
            left = spent / self._finished * (self._total - self._finished)
            pace = f"{spent:.0f} s, about {left:.0f} s left, {self._pace()}"
            what = f"failed: {failure}" if failure else pace
            _line(self._bars, f"{self._stage} {self._finished}/{self._total} {clip_id}: {what}")
        self._draw()

    def _draw(self) -> None:
        done = self._finished + sum(self._running.values())
        count = f"{self._finished}/{self._total}" + (f", {self._pace()}" if self._finished else "")
        self._bars.update(self._task, completed=done, count=count)

    def _pace(self) -> str:
        """Throughput of all workers together."""
        rate = 60 * self._finished / max(time.monotonic() - self._started, 1e-3)
        return " on ".join(filter(None, [f"{rate:.3g} clips a minute", self._where()]))


def _bars(*, quiet: bool) -> "Bars":
    """Disabled, so that it draws nothing, where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, quiet=quiet)
    return Bars(
        TextColumn("{task.description:12}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), console=console, disable=quiet or not console.is_terminal,
    )  # fmt: skip


def _line(bars: "Bars", text: str) -> None:
    bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
