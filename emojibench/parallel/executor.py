"""What an executor is: where workers run. `local.py` and `cluster.py` are the two there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from emojibench.parallel.worker import Reply, Setup, Task

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Needs:
    """What one worker takes of a machine that it shares with others."""

    gpus: float | None = None
    """Share of a GPU, or a number of them; None: not said."""
    memory: int = 0
    """Bytes that have to be free for it; 0: not said."""


@dataclass(frozen=True)
class Root:
    """A folder that work reads or writes. Workers that cannot see it are sent what they need of it."""

    folder: Path
    """Absolute."""
    witness: str = ""
    """A file in it by which a worker knows that it sees the same folder; empty: one is put there."""
    private: bool = False
    """Whether each worker writes into a part of its own, so that two that do the same task cannot meet."""


@dataclass(frozen=True)
class Work:
    """What a crew is for."""

    setup: Setup
    """Builds the handler in each worker; picklable."""
    what: str
    """What is built, for messages (`method 'x'`)."""
    quiet: bool = False
    """Print nothing while workers are set up."""
    needs: Callable[[], Needs] = Needs
    """Says what a worker takes; asked only where that counts."""
    roots: tuple[Root, ...] = ()
    """An inner one before the one that it lies in."""


class Worker(Protocol):
    """Does one task at a time, wherever it runs."""

    @property
    def node(self) -> str:
        """The machine; empty: this one."""
        ...

    def give(self, task: Task) -> None:
        """Begin a task; its replies are heard by the crew."""
        ...

    def end(self) -> None:
        """Kill it and whatever it has started."""
        ...


class Crew(Protocol):
    """Workers for one piece of work.

    Beside those of `worker.Reply` it hears `placed`, once a worker has found its place and is being set up; `lost`
    with the reason, where its process has died; and `gone` with the reason, where its whole node has.
    """

    @property
    def jobs(self) -> int:
        """How many there should be."""
        ...

    def start(self, info: bytes) -> Worker:
        """Start one more, with the pickled `info` of the first, or None."""
        ...

    def hear(self, busy: Sequence[Worker], seconds: float) -> list[tuple[Worker, Reply]]:
        """Wait so long at most until some of them reply.

        Raises:
            UserError: there is no place for any, and there will be none.
        """
        ...

    def close(self) -> None:
        """End all of them; nothing that they have started is left."""
        ...


class Executor(Protocol):
    """Runs workers. Enter it before its first use; it may be entered again meanwhile."""

    @property
    def name(self) -> str:
        """What a user calls it."""
        ...

    def __enter__(self) -> object: ...

    def __exit__(self, *error: object) -> None: ...

    def open(self, work: Work) -> Crew:
        """Workers for a piece of work; none is started yet.

        Raises:
            UserError: the work cannot be sent to workers, or there is no place for any.
        """
        ...

    def spread(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        what: str,
        roots: tuple[Root, ...] = (),
        reads: Callable[[Item], tuple[Path, ...]] = lambda item: (),
    ) -> Any:
        """Yield `function(item)` for every item, in order, as `parallel.spread`.

        Args:
            function: picklable, as its items and results are.
            items: what to work on.
            what: names the work in messages.
            roots: as of `Work`.
            reads: as `Task.reads`, of an item.
        """
        ...
