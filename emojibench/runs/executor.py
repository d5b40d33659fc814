"""Local executor: worker processes that do one task at a time and can be killed without harm.

Workers are spawned, not forked (CUDA and threads do not survive a fork). They read tasks from a pipe and never
write where others read (`emojibench.runs.worker`). All that they start bears their mark and ends with them
(`emojibench.reaper`).
"""

import contextlib
import multiprocessing
import os
import pickle
import secrets
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from emojibench import descriptors
from emojibench.errors import UserError
from emojibench.parallel import available_cores
from emojibench.reaper import MARK, Guardian, end_marked
from emojibench.runs.worker import Setup, Task, serve

SETUP_TIMEOUT = 3600.0
"""Seconds that loading a method or metrics may take; long, since it may download."""
TICK = 0.5
"""Seconds between looks at what no pipe tells of: a worker that is gone, a log that grows."""
LARGEST_LOG = 16 * 2**20
"""Bytes that a task's log may hold while it runs; its beginning is what stays."""
LOG_HEAD = 2**16
TRIES = 3
"""How many workers may die before they begin a task until it counts as failed."""


@dataclass(frozen=True)
class Outcome:
    """What became of one task: a result, or one line that says why there is none."""

    task: Task
    result: Any = None
    failure: str = ""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    mark: str
    task: Task | None = None
    begun: bool = False
    """Has it taken up its task?"""
    ready: bool = False
    deadline: float = 0.0


class Workers:
    """`jobs` processes that share a list of tasks.

    with Workers(...) as workers:
        for outcome in workers.map(...):

    Args:
        setup: builds the handler in each worker. The first worker is built alone, the others get its `info`.
        what: what is built, for messages (`method 'x'`).
        jobs: number of processes; each gets its share of the cores as threads.
        timeout: seconds after which a task counts as hung and its process is killed.
        log: receives the traceback where the setup breaks.
        quiet: print nothing while workers are set up.
    """

    def __init__(
        self, setup: Setup, *, what: str, jobs: int, timeout: float, log: Path, quiet: bool = False
    ) -> None:
        if jobs < 1:
            raise UserError(f"--jobs: expected a number of processes of at least 1, got {jobs}")
        if timeout <= 0:
            raise UserError(f"--timeout: expected seconds above 0, got {timeout}")
        try:
            self._setup = pickle.dumps(setup)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(f"{what} cannot be sent to a worker process: {error}") from error
        self._what, self.jobs, self._timeout = what, jobs, timeout
        self._log, self._quiet = log, quiet
        self._context = multiprocessing.get_context("spawn")
        self._mark = secrets.token_hex(8)
        self._guardian: Guardian | None = None
        self._workers: list[_Worker] = []
        self._started = 0
        self._pending: deque[Task] = deque()
        self._returned: Counter[str] = Counter()
        self._info: Any = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
        if self._guardian:
            self._guardian.close()
        for worker in self._workers:
            worker.process.join()

    @property
    def info(self) -> Any:
        """`info` of the first worker, which is started if need be.

        Raises:
            UserError: the setup failed.
        """
        if self._info is None:
            self._start()
            while self._info is None:
                for _ in self._hear():
                    pass
        return self._info

    def map(self, tasks: Iterable[Task], tell: Callable[[Task, float], None]) -> Iterator[Outcome]:
        """Do all tasks, yielding outcomes as they come.

        Args:
            tasks: what to do; the order of outcomes may be another.
            tell: called with a task and the fraction done while it runs.

        Raises:
            UserError: a handler asked to stop (`StopError`), or a worker could not be set up.
        """
        self._pending = deque(tasks)
        while self._pending or any(worker.task for worker in self._workers):
            if self._pending and self.info is not None:
                idle = [worker for worker in self._workers if worker.ready and not worker.task]
                starting = [worker for worker in self._workers if not worker.ready]
                for worker in idle[: len(self._pending)]:
                    self._give(worker)
                for _ in range(min(self.jobs - len(self._workers), len(self._pending) - len(starting))):
                    self._start()
            yield from self._hear(tell)

    def _give(self, worker: _Worker) -> None:
        worker.task, worker.begun = self._pending.popleft(), False
        worker.deadline = time.monotonic() + self._timeout * worker.task.share
        with contextlib.suppress(OSError):  # it died while idle; `_hear` finds the closed pipe
            worker.pipe.send(worker.task)

    def _start(self) -> None:
        descriptors.fill()  # else a pipe might take the place of a closed stream, and be taken for it
        self._guardian = self._guardian or Guardian(self._mark)
        self._started += 1
        mark = f"{self._mark}-{self._started}-"
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(there, self._setup, self._info, self._quiet), name=f"emojibench {self._what}"
        )
        with _without_interrupts(), _environment(thread_settings(self.jobs) | {MARK: mark}):
            process.start()
        there.close()
        self._workers.append(_Worker(process, here, mark, deadline=time.monotonic() + SETUP_TIMEOUT))

    def _hear(self, tell: Callable[[Task, float], None] | None = None) -> Iterator[Outcome]:
        """Wait until something happens and deal with it."""
        busy = [worker for worker in self._workers if worker.task or not worker.ready]
        patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
        heard = wait([worker.pipe for worker in busy], timeout=min(patience, TICK))
        for worker in busy:
            if worker.pipe in heard:
                outcome = self._receive(worker, tell)
            elif time.monotonic() >= worker.deadline:
                late = (
                    f"within {self._timeout * worker.task.share:g} s (--timeout)"
                    if worker.task
                    else f"in {SETUP_TIMEOUT:g} s"
                )
                outcome = self._lose(worker, f"no result {late}")
            elif worker.process.exitcode is not None and not worker.pipe.poll():
                outcome = self._bury(worker)  # a child that it forked keeps its end of the pipe open
            else:
                _shorten_log(worker.task)
                continue
            if outcome is not None:
                yield outcome

    def _receive(self, worker: _Worker, tell: Callable[[Task, float], None] | None) -> Outcome | None:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if kind == "ready":
            worker.ready = True
            if self._info is None:
                self._info = content
        elif kind == "begun":
            worker.begun = True
        elif kind == "abort":
            raise UserError(content)
        elif kind == "broken":
            raise UserError(
                f"{self._what} cannot be opened: {content[0]} (traceback: {self._keep(content[1])})"
            )
        elif kind == "progress":
            if tell and worker.task:
                tell(worker.task, content)
        else:
            assert worker.task is not None
            task, worker.task = worker.task, None
            return Outcome(task, failure=content) if kind == "failed" else Outcome(task, result=content)
        return None

    def _keep(self, trace: str) -> Path | str:
        try:
            self._log.parent.mkdir(exist_ok=True)
            self._log.write_text(trace, encoding="utf-8")
        except OSError as error:
            return f"not kept, {error.strerror}"
        return self._log

    def _bury(self, worker: _Worker) -> Outcome | None:
        worker.process.join(5)
        return self._lose(worker, f"the worker process died ({_death(worker.process.exitcode)})")

    def _lose(self, worker: _Worker, reason: str) -> Outcome | None:
        """Do without a worker; its task failed, or goes back where it was never begun."""
        worker.pipe.close()
        worker.process.kill()
        end_marked(worker.mark)
        worker.process.join()
        self._workers.remove(worker)
        task = worker.task
        if task is None:
            hint = (
                "; a script that calls emojibench needs `if __name__ == '__main__':`"
                if not self._info
                else ""
            )
            raise UserError(f"{self._what} could not be started: {reason}{hint}")
        if not worker.begun and self._returned[task.key] < TRIES - 1:
            self._returned[task.key] += 1
            self._pending.appendleft(task)
            return None
        return Outcome(task, failure=reason)


def thread_settings(workers: int) -> dict[str, str]:
    """Environment variables that divide the cores among `workers` processes; what the user has set stays.

    The libraries read them when they are imported, so they have to be there when a process starts. Torch follows
    MKL_NUM_THREADS, OpenCV its own variable: where the user chose OMP_NUM_THREADS, all get that number.
    """
    chosen = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list counts nested regions
    threads = chosen if chosen.isdigit() else str(max(1, available_cores() // workers))
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
    settings = dict.fromkeys(variables, threads)
    if workers > 1:  # threads that spin hold the cores of other workers: see benchmarks/worker_threads.py
        settings["OMP_WAIT_POLICY"] = "passive"
    return {name: value for name, value in settings.items() if name not in os.environ}


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """The environment with `settings`, for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """A process that is started meanwhile does not see Ctrl-C until it asks for it; ours comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start would undo the mask; and it must not bear our mark
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _shorten_log(task: Task | None) -> None:
    """Cut a log that has grown too large down to its beginning; the task appends what follows."""
    with contextlib.suppress(OSError):  # it is not there yet, or not any more
        if task and task.log.stat().st_size > LARGEST_LOG:
            os.truncate(task.log, LOG_HEAD)


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "SIGKILL, out of memory?"
    return next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
