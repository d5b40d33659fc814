"""Work spread over processes that never outlive the process which started them.

Every worker holds one end of a pipe, its lifeline; the parent holds the other. Where the parent ends, however it is
ended, the system closes its end and the workers leave. Where one worker is killed, the parent is told at once.
"""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from emojibench.errors import UserError

_LOOK_AGAIN = 1.0
"""Seconds after which dead workers are looked for."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spread(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    jobs: int,
    what: str,
    remedy: str = "choose fewer --jobs",
) -> Generator[_Result, None, None]:
    """Yield `function(item)` for every item, in order, each as soon as those before it are done.

    Closing the generator (`contextlib.closing`) before its end also ends the workers.

    Args:
        function: picklable where `jobs` is over 1, as its items and results are.
        items: what to work on.
        jobs: processes; 1 means this one. Workers are spawned: MediaPipe's graphs do not survive a fork.
        what: names the work in messages.
        remedy: what to do when a worker is killed, for want of memory most likely.

    Raises:
        UserError: `jobs` is below 1, or a worker was killed; and whatever `function` raises.
    """
    if jobs < 1:
        raise UserError(f"--jobs: expected a number of processes of at least 1, got {jobs}")
    jobs = min(jobs, len(items))
    if jobs <= 1:
        yield from map(function, items)
        return
    done = 0
    try:
        with _pool(jobs) as pool:
            for future in [pool.submit(function, item) for item in items]:
                # The pool watches the workers that it had when something happened last: without this, the death of one
                # that started later, and that alone still works, is never noticed.
                while not wait_for([future], timeout=_LOOK_AGAIN).done:
                    pool.submit(int)
                yield future.result()
                done += 1
    except BrokenProcessPool:
        hint = "" if done else ", or, in a script, call this below `if __name__ == '__main__':`"
        raise UserError(
            f"{what}: one of {jobs} worker processes was killed after {done} of {len(items)}, most likely for want of "
            f"memory; {remedy} and run again{hint}"
        ) from None


def leave_with(lifelines: Iterable[Connection | int], leave: Callable[[], object]) -> None:
    """Call `leave` as soon as one of the lifelines is closed at its other end, even while other code runs.

    Args:
        lifelines: pipes to the parent, over which nothing is sent, or its sentinel.
        leave: ends this process.
    """
    watched = list(lifelines)

    def watch() -> None:
        wait(watched)
        leave()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose workers are gone when the block ends: after their work, or at once where it raises."""
    context = get_context("spawn")
    lifeline, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_enter, initargs=(lifeline,))
    try:
        yield pool
        pool.shutdown()
    finally:
        ours.close()
        pool.shutdown(cancel_futures=True)
        lifeline.close()


def _enter(lifeline: Connection) -> None:
    """Prepare a worker. Ctrl-C reaches it as well as the parent, which decides and closes the lifeline."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_with([lifeline], lambda: os._exit(1))
