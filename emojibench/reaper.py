"""Ends everything that the workers of a run have started, wherever it has gone.

Children die with a killed process group only as long as they stay in it, and a method may start programs in
sessions of their own. So each worker bears a mark in its environment, and what it starts inherits the mark.

Run as a script, this file is the guardian of a run: it waits until the run's own process is gone, however that
ended, and then ends all that bears the run's mark. It is a process, since a thread of a worker may be kept from
running by the very code that has to be ended.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from multiprocessing import spawn
from pathlib import Path

MARK = "EMOJIBENCH_WORKER"
"""Environment variable that holds the mark."""


class Guardian:
    """The guardian of one run. `close` ends it and, through it, whatever bears the run's mark."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        # -P: nothing that lies beside this file can take the place of a module that it imports.
        command = [os.fsdecode(spawn.get_executable()), "-P", str(Path(__file__).absolute())]
        self._process = subprocess.Popen(
            [*command, mark, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def close(self) -> None:
        """Wait until nothing that bears the mark is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.wait() != 0:  # somebody killed the guardian
            end_marked(self._mark)


def end_marked(mark: str) -> None:
    """Kill every process whose mark begins with `mark`, and what descends from it, until none is left."""
    for _ in range(50):  # a process may start another one while we look
        found = marked(mark)
        if not found:
            return
        for process in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, 9)
        time.sleep(0.02)


def marked(mark: str) -> set[int]:
    """Every process whose mark begins with `mark`, and what descends from it."""
    import psutil

    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # gone meanwhile, or somebody else's
            if process.environ().get(MARK, "").startswith(mark):
                found |= {process.pid, *(child.pid for child in process.children(recursive=True))}
    return found - {os.getpid()}


def _main() -> None:
    mark, parent = sys.argv[1], int(sys.argv[2])
    # A fork of the parent keeps our pipe open beyond the parent's end: so look who our parent is, too.
    while os.getppid() == parent and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    end_marked(mark)


if __name__ == "__main__":
    _main()
