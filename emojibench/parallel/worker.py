"""What runs inside a worker process: tasks, one at a time, whatever plug-ins do meanwhile."""

import contextlib
import os
import pickle
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from emojibench import descriptors
from emojibench.errors import UnavailableError, UserError, one_line, plain
from emojibench.extras import lacking
from emojibench.parallel import parcels
from emojibench.parallel.pool import leave_with

Tell = Callable[[float], None]
"""Reports how much of a task is done, in [0, 1]."""


class Handler(Protocol):
    """Does tasks inside a worker. Whatever it raises fails its task only; `StopError` ends everything."""

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
    share: int = 1
    """How many times the timeout it may take."""
    reads: tuple[Path, ...] = ()
    """Files that it reads below the roots of its work, for workers that cannot see them (`Work.roots`)."""


Reply = tuple[str, Any]
"""`ready` with the handler's info or `done` with the task's result, both pickled; `begun`; `progress` with a fraction;
`failed` with the reason; `abort` with what ends everything; `broken` with a line and a traceback."""


def serve(pipe: Connection, setup: bytes, info: bytes, quiet: bool, places: Sequence[Path] = ()) -> None:
    """Main function of a worker process.

    Args:
        pipe: to who started it: tasks come in, replies go out.
        setup: a pickled `Setup`.
        info: the pickled `info` of the first worker, or None.
        quiet: print to nowhere while the handler is set up.
        places: where the roots of the work are here (`parcels`).
    """
    parcels.settle(places)
    os.setsid()
    _unblock_interrupts()
    parent = parent_process()
    assert parent is not None
    leave_with([parent.sentinel], lambda: os.killpg(0, signal.SIGKILL))
    _own_streams(quiet)
    reply, handler = _build(setup, info)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent wants no more
        pipe.send(reply)
        while handler is not None:
            task: Task = pipe.recv()
            pipe.send(("begun", None))
            try:
                pipe.send(_attempt(handler, task, pipe))
            except OSError as error:
                pipe.send(("abort", f"cannot write {task.log}: {error.strerror}; run the same command again"))


def _build(setup: bytes, info: bytes) -> tuple[Reply, Handler | None]:
    try:
        with undisturbed():
            handler: Handler = pickle.loads(setup)(pickle.loads(info))
            return ("ready", pickle.dumps(handler.info)), handler
    except (UserError, UnavailableError) as error:
        return ("abort", plain(str(error))), None
    except BaseException as error:  # plug-ins raise SystemExit and worse
        if missing := lacking(error):
            return ("abort", missing), None
        return ("broken", (one_line(error), plain(traceback.format_exc()))), None


def _attempt(handler: Handler, task: Task, pipe: Connection) -> Reply:
    last = 0.0

    def tell(fraction: float) -> None:
        nonlocal last
        plain_number = min(1.0, max(0.0, float(fraction)))  # of a plug-in: any type, any value, NaN too
        now = time.monotonic()
        if now - last >= 0.2:
            last = now
            pipe.send(("progress", plain_number))

    with _printing_to(task.log), undisturbed():
        try:
            return _done(handler(task.payload, tell))
        except StopError as error:
            return "abort", str(error)
        except (UserError, UnavailableError) as error:
            return "failed", " ".join(plain(str(error)).split())
        except BaseException as error:
            # By name: the code that failed may have closed or replaced the streams.
            with task.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
                traceback.print_exc(file=log)
            return "failed", lacking(error) or one_line(error)


def _done(result: Any) -> Reply:
    try:
        return "done", pickle.dumps(result)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return "failed", f"the result cannot be sent: {one_line(error)}"


def _unblock_interrupts() -> None:
    """Forget the Ctrl-C of the start-up, which was meant for the parent, and let later signals through."""
    if hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _own_streams(quiet: bool) -> None:
    """Stdout of a command is data: a worker prints to stderr, and to nowhere once nobody reads that."""
    descriptors.fill()
    watch = select.poll()
    watch.register(2, 0)
    if quiet or watch.poll(0):  # its reader is gone: printing would fail
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 2)
        os.close(null)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    # Anew, since logs are UTF-8 whatever the locale, and streams that were closed at the start are None.
    sys.stdout, sys.stderr = (
        open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        for number in (1, 2)
    )


def _flush(stream: Any) -> None:
    with contextlib.suppress(AttributeError, OSError, ValueError):  # None, broken or closed
        stream.flush()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Come back to the working directory, from which the user's relative paths count, and to the modes of new files."""
    mask = os.umask(0o077)
    os.umask(mask)
    here: Path | None = None
    with contextlib.suppress(OSError):  # it was deleted
        here = Path.cwd()
    try:
        yield
    finally:
        os.umask(mask)
        with contextlib.suppress(OSError):
            os.chdir(here or ".")


@contextlib.contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Send the file descriptors of stdout and stderr to a file: C++ libraries write there too."""
    streams = sys.stdout, sys.stderr
    saved = os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        for stream in streams:
            _flush(stream)
        os.dup2(saved, 1)
        os.dup2(saved, 2)
        os.close(saved)
