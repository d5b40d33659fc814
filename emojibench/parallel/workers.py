"""Tasks shared among workers: who does what, what is tried again, and what counts as failed.

Where workers run is their executor's business, what they do is their handler's; neither decides anything here, so that
no value depends on either.
"""

import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any

from emojibench.errors import UserError
from emojibench.parallel.executor import Executor, Work, Worker
from emojibench.parallel.worker import Reply, Task

SETUP_TIMEOUT = 3600.0
"""Seconds that loading a method or metrics may take; long, since it may download."""
TICK = 0.5
"""Seconds between looks at what nobody tells of: a worker that is gone, a log that grows."""
TRIES = 3
"""How many workers may go before they begin a task until it counts as failed, or before any could be set up."""
OWN = ("device",)
"""What workers' `info` may differ in."""


@dataclass(frozen=True)
class Outcome:
    """What became of one task: a result, or one line that says why there is none."""

    task: Task
    result: Any = None
    failure: str = ""
    node: str = ""
    """Where it was done; empty: on this machine."""


@dataclass(eq=False)
class _Member:
    worker: Worker
    task: Task | None = None
    begun: bool = False
    """Has it taken up its task?"""
    ready: bool = False
    deadline: float = inf
    """Not yet there: it waits for a place."""


class Workers:
    """The workers of an executor, sharing a list of tasks.

    with Workers(...) as workers:
        for outcome in workers.map(...):

    The first worker is built alone, the others get its `info`. A task whose worker is lost is done once more by
    another, on another node if there is one; it fails where that is lost too.

    Args:
        executor: where they run; entered.
        work: what they are set up for.
        timeout: seconds after which a task counts as hung and its process is killed.
        log: receives the traceback where the setup breaks.
    """

    def __init__(self, executor: Executor, work: Work, *, timeout: float, log: Path) -> None:
        if timeout <= 0:
            raise UserError(f"--timeout: expected seconds above 0, got {timeout}")
        self._crew, self._what, self._timeout, self._log = executor.open(work), work.what, timeout, log
        self._members: list[_Member] = []
        self._pending: deque[Task] = deque()
        self._returned: Counter[str] = Counter()
        self._lost: dict[str, tuple[str, str]] = {}
        self._gone = 0
        self._info: Any = None
        self._first = ""

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._crew.close()

    @property
    def jobs(self) -> int:
        """How many workers there should be."""
        return self._crew.jobs

    @property
    def info(self) -> Any:
        """`info` of the first worker, which is started if need be.

        Raises:
            UserError: the setup failed.
        """
        while self._info is None:
            if not self._members:
                self._start()
            for _ in self._hear():
                pass
        return self._info

    def where(self) -> str:
        """How many workers there are, on how many nodes; empty on this machine alone."""
        nodes = {member.worker.node for member in self._members if member.ready} - {""}
        ready = sum(member.ready for member in self._members)
        return f"{_count(ready, 'worker')} of {_count(len(nodes), 'node')}" if nodes else ""

    def map(self, tasks: Iterable[Task], tell: Callable[[Task, float], None]) -> Iterator[Outcome]:
        """Do all tasks, yielding outcomes as they come.

        Args:
            tasks: what to do; the order of outcomes may be another.
            tell: called with a task and the fraction done while it runs.

        Raises:
            UserError: a handler asked to stop (`StopError`), or a worker could not be set up.
        """
        self._pending = deque(tasks)
        while self._pending or any(member.task for member in self._members):
            if self._pending and self.info is not None:
                for member in [each for each in self._members if each.ready and not each.task]:
                    if task := self._next(member):
                        self._give(member, task)
                starting = sum(not member.ready for member in self._members)
                for _ in range(min(self.jobs - len(self._members), len(self._pending) - starting)):
                    self._start()
            yield from self._hear(tell)

    def _next(self, member: _Member) -> Task | None:
        """A task for a worker: none that was lost on its node, where others could do it."""
        others = {other.worker.node for other in self._members if other.deadline < inf} - {member.worker.node}
        for task in self._pending:
            if not others or self._lost.get(task.key, ("", ""))[0] != member.worker.node:
                self._pending.remove(task)
                return task
        return None

    def _give(self, member: _Member, task: Task) -> None:
        member.task, member.begun = task, False
        member.deadline = time.monotonic() + self._timeout * task.share
        member.worker.give(task)

    def _start(self) -> None:
        self._members.append(_Member(self._crew.start(pickle.dumps(self._info))))

    def _hear(self, tell: Callable[[Task, float], None] | None = None) -> Iterator[Outcome]:
        """Wait until something happens and deal with it."""
        busy = {member.worker: member for member in self._members if member.task or not member.ready}
        patience = max(0.0, min(member.deadline for member in busy.values()) - time.monotonic())
        heard = self._crew.hear(list(busy), min(patience, TICK))
        for worker, reply in heard:
            if (outcome := self._take(busy[worker], reply, tell)) is not None:
                yield outcome
        for member in set(busy.values()) - {busy[worker] for worker, _ in heard}:
            if time.monotonic() >= member.deadline:
                task = member.task
                limit = (
                    f"within {self._timeout * task.share:g} s (--timeout)"
                    if task
                    else f"in {SETUP_TIMEOUT:g} s"
                )
                self._drop(member)
                yield self._failed(member, f"no result {limit}")

    def _take(
        self, member: _Member, reply: Reply, tell: Callable[[Task, float], None] | None
    ) -> Outcome | None:
        kind, content = reply
        if kind == "placed":
            member.deadline = time.monotonic() + SETUP_TIMEOUT
        elif kind == "ready":
            self._welcome(member, pickle.loads(content))
        elif kind == "begun":
            member.begun = True
        elif kind == "abort":
            raise UserError(_on(member.worker.node, content))
        elif kind == "broken":
            raise UserError(
                _on(member.worker.node, f"{self._what} cannot be opened: {content[0]}")
                + f" (traceback: {self._keep(content[1])})"
            )
        elif kind == "progress":
            if tell and member.task:
                tell(member.task, content)
        elif kind in ("lost", "gone"):
            return self._lose(member, content, node_too=kind == "gone")
        else:
            assert member.task is not None
            task, member.task = member.task, None
            if kind == "failed":
                return Outcome(task, failure=content, node=member.worker.node)
            return Outcome(task, pickle.loads(content), node=member.worker.node)
        return None

    def _welcome(self, member: _Member, info: Any) -> None:
        """A worker is set up; the first says what all others have to be like."""
        node = member.worker.node
        if self._info is None:
            self._info, self._first = info, node
        elif differing := _differing(info, self._info):
            here, there = node or "one worker", self._first or "another"
            raise UserError(
                f"{self._what} is not the same everywhere: {differing[0]} is {differing[1]} on {here}, {differing[2]} "
                f"on {there}; install the same versions and weights on all of them"
            )
        member.ready = True

    def _keep(self, trace: str) -> Path | str:
        try:
            self._log.parent.mkdir(exist_ok=True)
            self._log.write_text(trace, encoding="utf-8")
        except OSError as error:
            return f"not kept, {error.strerror}"
        return self._log

    def _lose(self, member: _Member, reason: str, *, node_too: bool) -> Outcome | None:
        """Do without a worker; its task goes back, or has failed."""
        self._drop(member)
        task, node = member.task, member.worker.node
        if task is None:
            self._gone += 1
            if node_too and self._gone < TRIES:
                return None
        elif not member.begun and self._returned[task.key] < TRIES - 1:
            self._returned[task.key] += 1
            self._pending.appendleft(task)
            return None
        elif member.begun and task.key not in self._lost:
            self._lost[task.key] = node, reason
            self._pending.append(task)
            return None
        return self._failed(member, reason)

    def _failed(self, member: _Member, reason: str) -> Outcome:
        task, reason = member.task, _on(member.worker.node, reason)
        if task is None:
            hint = (
                "; a script that calls emojibench needs `if __name__ == '__main__':`"
                if not (self._info or member.worker.node)
                else ""
            )
            raise UserError(f"{self._what} could not be started: {reason}{hint}")
        if task.key in self._lost:
            before = _on(*self._lost[task.key])
            reason += ", twice" if before == reason else f"; before that, {before}"
        return Outcome(task, failure=reason, node=member.worker.node)

    def _drop(self, member: _Member) -> None:
        member.worker.end()
        self._members.remove(member)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")


def _on(node: str, text: str) -> str:
    return f"{node}: {text}" if node else text


def _differing(one: Any, other: Any) -> tuple[str, Any, Any] | None:
    """What two workers' `info` differ in, and what it is in each."""
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return None if one == other else ("what it says of itself", one, other)
    for key in sorted({*one, *other} - set(OWN)):
        ours, theirs = one.get(key, "missing"), other.get(key, "missing")
        if ours != theirs:
            deeper = _differing(ours, theirs) if isinstance(ours, dict) and isinstance(theirs, dict) else None
            return (f"{key}: {deeper[0]}", *deeper[1:]) if deeper else (key, ours, theirs)
    return None
