"""The local executor: worker processes that do one task at a time and can be killed without harm.

They are spawned, not forked (CUDA and threads do not survive a fork). They read tasks from a pipe and never write where
others read (`worker.py`). All that they start bears their mark and ends with them (`emojibench.reaper`).
"""

import contextlib
import multiprocessing
import os
import pickle
import secrets
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from emojibench import descriptors
from emojibench.errors import UserError
from emojibench.parallel import pool
from emojibench.parallel.executor import Item, Result, Root, Work, Worker
from emojibench.parallel.worker import Reply, Task, serve
from emojibench.reaper import MARK, Guardian, end_marked

LARGEST_LOG = 16 * 2**20
"""Bytes that a task's log may hold while it runs; its beginning is what stays."""
LOG_HEAD = 2**16
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
"""Environment variables that say how many threads libraries start."""


@dataclass(frozen=True)
class Local:
    """Workers are processes of this machine, which share its cores."""

    jobs: int = 1

    @property
    def name(self) -> str:
        """See `Executor.name`."""
        return "local"

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UserError(f"--jobs: expected a number of processes of at least 1, got {self.jobs}")

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def open(self, work: Work) -> "LocalCrew":
        """See `Executor.open`."""
        try:
            setup = pickle.dumps(work.setup)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(f"{work.what} cannot be sent to a worker process: {error}") from error
        return LocalCrew(setup, work.what, self.jobs, thread_settings(self.jobs), quiet=work.quiet)

    def spread(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        what: str,
        roots: tuple[Root, ...] = (),
        reads: Callable[[Item], tuple[Path, ...]] = lambda item: (),
    ) -> Generator[Result, None, None]:
        """See `Executor.spread`."""
        return pool.spread(function, items, jobs=self.jobs, what=what)


LOCAL = Local()
"""One process beside this one."""


class LocalWorker:
    """One process."""

    node = ""

    def __init__(self, process: Any, pipe: Connection, mark: str) -> None:
        self.process, self.pipe, self._mark = process, pipe, mark
        self._log: Path | None = None

    def give(self, task: Task) -> None:
        """See `Worker.give`."""
        self.send(pickle.dumps(task), task.log)

    def send(self, task: bytes, log: Path) -> None:
        """Give a pickled task."""
        self._log = log
        with contextlib.suppress(OSError):  # it died while idle; the crew finds the closed pipe
            self.pipe.send_bytes(task)

    def end(self) -> None:
        """See `Worker.end`."""
        self.pipe.close()
        self.process.kill()
        end_marked(self._mark)
        self.process.join()

    def shorten_log(self) -> None:
        """Cut a log that has grown too large down to its beginning; the task appends what follows."""
        with contextlib.suppress(OSError):  # it is not there yet, or not any more
            if self._log and self._log.stat().st_size > LARGEST_LOG:
                os.truncate(self._log, LOG_HEAD)


class LocalCrew:
    """Worker processes of this machine.

    Args:
        setup: pickled.
        what: is set up, for the name of the process.
        jobs: how many there should be.
        settings: environment variables of theirs.
        quiet: print nothing while they are set up.
        places: where the roots of the work are for them (`parcels`).
    """

    def __init__(
        self,
        setup: bytes,
        what: str,
        jobs: int,
        settings: Mapping[str, str],
        *,
        quiet: bool,
        places: Sequence[Path] = (),
    ) -> None:
        self.jobs, self._places = jobs, tuple(places)
        self._setup, self._what, self._settings, self._quiet = setup, what, dict(settings), quiet
        self._context = multiprocessing.get_context("spawn")
        self._mark = secrets.token_hex(8)
        self._guardian: Guardian | None = None
        self._workers: list[LocalWorker] = []
        self._placed: list[Worker] = []
        self._started = 0

    def start(self, info: bytes) -> LocalWorker:
        """See `Crew.start`."""
        descriptors.fill()  # else a pipe might take the place of a closed stream, and be taken for it
        self._guardian = self._guardian or Guardian(self._mark)
        self._started += 1
        mark = f"{self._mark}-{self._started}-"
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=serve,
            args=(there, self._setup, info, self._quiet, self._places),
            name=f"emojibench {self._what}",
        )
        with _without_interrupts(), _environment(self._settings | {MARK: mark}):
            process.start()
        there.close()
        worker = LocalWorker(process, here, mark)
        self._workers.append(worker)
        self._placed.append(worker)
        return worker

    def hear(self, busy: Sequence[Any], seconds: float) -> list[tuple[Worker, Reply]]:
        """See `Crew.hear`."""
        if self._placed:
            placed, self._placed = self._placed, []
            return [(worker, ("placed", "")) for worker in placed]
        workers: Sequence[LocalWorker] = busy
        heard = wait([worker.pipe for worker in workers], timeout=seconds)
        replies: list[tuple[Worker, Reply]] = []
        for worker in workers:
            if worker.pipe in heard:
                try:
                    replies.append((worker, worker.pipe.recv()))
                except (EOFError, OSError):
                    replies.append((worker, self._lost(worker)))
            elif worker.process.exitcode is not None and not worker.pipe.poll():
                # A child that it forked keeps its end of the pipe open.
                replies.append((worker, self._lost(worker)))
            else:
                worker.shorten_log()
        return replies

    def _lost(self, worker: LocalWorker) -> Reply:
        worker.process.join(5)
        return "lost", f"the worker process died ({_death(worker.process.exitcode)})"

    def close(self) -> None:
        """See `Crew.close`."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
        if self._guardian:
            self._guardian.close()
        for worker in self._workers:
            worker.process.join()


def thread_settings(workers: int, cores: int | None = None) -> dict[str, str]:
    """Environment variables that divide the cores (None: this machine's) among `workers`; what the user has set stays.

    The libraries read them when they are imported, so they have to be there when a process starts. Torch follows
    MKL_NUM_THREADS, OpenCV its own variable: where the user chose OMP_NUM_THREADS, all get that number.
    """
    chosen = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list counts nested regions
    threads = chosen if chosen.isdigit() else str(max(1, (cores or pool.available_cores()) // workers))
    settings = dict.fromkeys(THREADS, threads)
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


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "SIGKILL, out of memory?"
    return next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
