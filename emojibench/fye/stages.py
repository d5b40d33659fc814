"""Progress of long work, stage by stage, on stderr: a bar with the time that is left, or lines without a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from emojibench.methods import Progress

if TYPE_CHECKING:
    from rich.progress import TaskID

Stage = Callable[[str], AbstractContextManager[Progress]]
"""Opens the progress of a named stage."""
_PAUSE = 10.0
"""Seconds between two lines where there is no terminal."""


class Stages:
    """Shows work that says itself which stage it is in, one stage after the other.

    Where stderr is no terminal, a stage has a line at its beginning, one every ten seconds, and one at its end.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        self._console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
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
        self._task = self._bars.add_task(name, total=None)
        self._line(f"{name} …")

    def __call__(self, name: str, done: int, of: int) -> None:
        """So much of a stage is done; another name than before begins another stage."""
        if name != self._name:
            self.begin(name)
            self._first = max(0, done - 1)  # where continued work began
        self._done, self._of = done, of
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=of)
        now = time.monotonic()
        if now - self._told >= _PAUSE and self._first < done < of:
            self._told = now
            left = (now - self._began) / (done - self._first) * (of - done)
            self._line(f"{name} {done}/{of}: {now - self._began:.0f} s, about {left:.0f} s left")

    def _end(self, *, failed: bool = False) -> None:
        if self._name and self._of and not failed:
            self._line(f"{self._name} {self._done}/{self._of}: {time.monotonic() - self._began:.0f} s")
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._name = ""

    def _line(self, text: str) -> None:
        if self._bars.disable:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stage(name: str) -> Iterator[Progress]:
    """Show one stage; what is yielded is called as progress(done, total)."""
    with Stages() as stages:
        stages.begin(name)
        yield lambda done, of: stages(name, done, of)
