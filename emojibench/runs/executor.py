"""Local executor: worker processes that do one task at a time and can be killed without harm.

Workers are spawned, not forked (CUDA and threads do not survive a fork). Each leads its own process group, so
that killing it takes the programs it started along. They read tasks from a pipe and never write where others
read. While a task runs, what it prints goes to the task's log, since stdout of a command is data.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from emojibench.errors import UnavailableError, UserError
from emojibench.parallel import available_cores
from emojibench.runs.records import one_line

SETUP_TIMEOUT = 3600.0
"""Seconds that loading a method or metrics may take; long, since it may download."""

Tell = Callable[[float], None]
"""Reports how much of a task is done, in [0, 1]."""


class Handler(Protocol):
    """Does tasks inside a worker. An `Exception` fails its task only; `StopError` ends everything."""

    @property
    def info(self) -> Any:
        """What the parent and later workers should know about it; not None."""
        ...

    def __call__(self, payload: Any, tell: Tell, /) -> Any:
        """Do one task; the result travels back through a pipe."""
        ...


Setup = Callable[[Any], Handler]
"""Runs once a worker, with the `info` of the first worker (None in the first itself). Picklable."""


class StopError(Exception):
    """A handler's way to end the whole run (the disk is full): its message becomes a `UserError`."""


@dataclass(frozen=True)
class Task:
    """One unit of work."""

    key: str
    payload: Any
    log: Path
    """Receives what the task prints, and the traceback if it fails."""


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
    task: Task | None = None
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
    """

    def __init__(self, setup: Setup, *, what: str, jobs: int, timeout: float) -> None:
        if jobs < 1:
            raise UserError(f"--jobs: expected a number of processes of at least 1, got {jobs}")
        if timeout <= 0:
            raise UserError(f"--timeout: expected seconds above 0, got {timeout}")
        try:
            self._setup = pickle.dumps(setup)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(f"{what} cannot be sent to a worker process: {error}") from error
        self._what, self._jobs, self._timeout = what, jobs, timeout
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._info: Any = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            _kill(worker)

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
        pending = deque(tasks)
        while pending or any(worker.task for worker in self._workers):
            assert pending or self._info is not None
            if pending and self.info is not None:
                idle = [worker for worker in self._workers if worker.ready and not worker.task]
                starting = [worker for worker in self._workers if not worker.ready]
                for worker in idle[: len(pending)]:
                    self._give(worker, pending)
                for _ in range(min(self._jobs - len(self._workers), len(pending) - len(starting))):
                    self._start()
            yield from self._hear(tell)

    def _give(self, worker: _Worker, pending: deque[Task]) -> None:
        worker.task = pending.popleft()
        worker.deadline = time.monotonic() + self._timeout
        with contextlib.suppress(BrokenPipeError):  # it died while idle; `_hear` finds the closed pipe
            worker.pipe.send(worker.task)

    def _start(self) -> None:
        here, there = self._context.Pipe()
        threads = max(1, available_cores() // self._jobs)
        process = self._context.Process(
            target=_serve, args=(there, self._setup, self._info, threads), name=f"emojibench {self._what}"
        )
        process.start()
        there.close()
        self._workers.append(_Worker(process, here, deadline=time.monotonic() + SETUP_TIMEOUT))

    def _hear(self, tell: Callable[[Task, float], None] | None = None) -> Iterator[Outcome]:
        """Wait until something happens and deal with it."""
        busy = [worker for worker in self._workers if worker.task or not worker.ready]
        patience = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
        heard = wait([worker.pipe for worker in busy], timeout=patience)
        for worker in busy:
            if worker.pipe in heard:
                outcome = self._receive(worker, tell)
            elif time.monotonic() >= worker.deadline:
                late = f"within {self._timeout:g} s (--timeout)" if worker.task else f"in {SETUP_TIMEOUT:g} s"
                outcome = self._lose(worker, f"no result {late}")
            else:
                continue
            if outcome is not None:
                yield outcome

    def _receive(self, worker: _Worker, tell: Callable[[Task, float], None] | None) -> Outcome | None:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join(5)
            return self._lose(worker, f"the worker process died ({_death(worker.process.exitcode)})")
        if kind == "ready":
            worker.ready = True
            if self._info is None:
                self._info = content
            return None
        if kind == "abort":
            raise UserError(content)
        assert worker.task is not None
        if kind == "progress":
            if tell:
                tell(worker.task, content)
            return None
        task, worker.task = worker.task, None
        if kind == "failed":
            return Outcome(task, failure=content)
        return Outcome(task, result=content)

    def _lose(self, worker: _Worker, reason: str) -> Outcome:
        _kill(worker)
        self._workers.remove(worker)
        if worker.task is None:
            hint = (
                "; a script that calls emojibench needs `if __name__ == '__main__':`"
                if not self._info
                else ""
            )
            raise UserError(f"{self._what} could not be started: {reason}{hint}")
        return Outcome(worker.task, failure=reason)


def _kill(worker: _Worker) -> None:
    """End a worker and everything it started."""
    worker.pipe.close()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.kill()  # in case it had not yet become the leader of its own group
    worker.process.join()


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, out of memory?" if name == "SIGKILL" else name


def _serve(pipe: Connection, setup: bytes, info: Any, threads: int) -> None:
    """Main function of a worker."""
    os.setsid()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # Before numpy or torch are imported (by unpickling `setup`): both read these only then.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(variable, str(threads))
    sys.stdout.flush()
    os.dup2(2, 1)
    try:
        handler: Handler = pickle.loads(setup)(info)
    except (UserError, UnavailableError) as error:
        pipe.send(("abort", str(error)))
        return
    except Exception as error:
        traceback.print_exc()
        pipe.send(("abort", one_line(error)))
        return
    pipe.send(("ready", handler.info))
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            task: Task = pipe.recv()
            try:
                reply = _attempt(handler, task, pipe)
            except OSError as error:  # the log cannot be written
                reply = "abort", f"cannot write {task.log}: {error.strerror}; free some space and run again"
            pipe.send(reply)


def _attempt(handler: Handler, task: Task, pipe: Connection) -> tuple[str, Any]:
    last = 0.0

    def tell(fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.2:
            last = now
            pipe.send(("progress", fraction))

    with _printing_to(task.log):
        try:
            return "done", handler(task.payload, tell)
        except StopError as error:
            return "abort", str(error)
        except (UserError, UnavailableError) as error:
            return "failed", " ".join(str(error).split())
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            return "failed", one_line(error)


@contextlib.contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Send the file descriptors of stdout and stderr to a file: C++ libraries write there too."""
    saved = os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os.dup2(saved, 1)
        os.dup2(saved, 2)
        os.close(saved)


def _die_with_parent() -> None:
    """Wait for the parent's end, even by kill -9, and take this process and all that it started along."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.killpg(os.getpgid(0), signal.SIGKILL)
