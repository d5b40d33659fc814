"""The Ray executor: workers are actors of a Ray cluster, and this process is its driver.

Ray places them and says when they are lost. Which task goes where, what is tried again and what has failed is decided
by `workers.py`, as for processes of this machine; the driver alone writes results. Ray is imported when a cluster is
entered, and only then.
"""

import logging
import os
import re
import socket
import tempfile
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from traceback import format_exception
from typing import Any

from emojibench import extras
from emojibench.errors import UserError, one_line
from emojibench.parallel.crew import RayCrew
from emojibench.parallel.executor import Item, Result, Root, Work
from emojibench.parallel.pool import available_cores
from emojibench.parallel.worker import Task, Tell
from emojibench.parallel.workers import Workers

OBJECTS = 256 * 2**20
"""Bytes that a cluster of our own keeps in shared memory; what goes beyond is kept on disk."""
_TIMEOUT = 365 * 24 * 3600.0
"""Seconds that one item of `spread` may take: nobody has set a limit."""


class Ray:
    """Workers are actors of a Ray cluster.

    Args:
        jobs: how many; None: as many as there is room for.
        address: of an existing cluster, `auto` for that which this machine is part of; None: what RAY_ADDRESS says,
            else a cluster of this machine alone, which ends with the block.
        gpus: GPUs of one worker, or a share of one; None: what the work asks for.

    Raises:
        UserError: a number out of range, an address of a kind that a driver cannot use.
    """

    name = "ray"

    def __init__(
        self, jobs: int | None = None, *, address: str | None = None, gpus: float | None = None
    ) -> None:
        if jobs is not None and jobs < 1:
            raise UserError(f"--jobs: expected a number of workers of at least 1, got {jobs}")
        if gpus is not None and not (0 <= gpus <= 1 or (gpus <= 64 and gpus == int(gpus))):
            raise UserError(
                f"--gpus-per-worker: expected a share from 0 to 1, or a whole number of GPUs, got {gpus:g}"
            )
        self.jobs, self.gpus = jobs, gpus
        self.address = address or os.environ.get("RAY_ADDRESS") or None
        if self.address and not re.fullmatch(r"auto|[^/]+:\d+", self.address):
            raise UserError(
                f"--address: expected auto or HOST:PORT, got {self.address}; run the command on a machine "
                "of the cluster"
            )
        self._depth, self._own = 0, False

    def __repr__(self) -> str:
        return f"Ray(jobs={self.jobs}, address={self.address!r}, gpus={self.gpus})"

    def __enter__(self) -> "Ray":
        if self._depth == 0:
            extras.require("ray", what="--executor ray")
            self._connect()
        self._depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._own:
            import ray

            ray.shutdown()

    def _connect(self) -> None:
        import ray

        self._own = not ray.is_initialized()
        if not self._own:
            return
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            # A cluster that users start themselves is theirs to set up. Ours tells nobody that it is there, and its
            # workers are no less urgent than processes of the local executor, whose seconds theirs are compared with.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_worker_niceness", "0")
            settings |= {
                "address": "local", "num_cpus": max(available_cores(), self.jobs or 1), "include_dashboard": False,
                "object_store_memory": OBJECTS,
            }  # fmt: skip
        else:
            settings["address"] = self.address
        try:
            if self.address and self.address != "auto":
                _look_for(self.address)
            ray.init(**settings)
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            where = self.address or "a cluster of this machine"
            token = "InvalidAuthToken" in "".join(format_exception(error))
            remedy = "set RAY_AUTH_MODE=token and have its token" if token else "start it with `ray start`"
            raise UserError(
                f"--address: {where} cannot be reached ({one_line(error)}); {remedy}, or leave --address out"
            ) from error

    def open(self, work: Work) -> "RayCrew":
        """See `Executor.open`."""
        return RayCrew(work, self.jobs, self.gpus)

    def spread(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        what: str,
        roots: tuple[Root, ...] = (),
        reads: Callable[[Item], tuple[Path, ...]] = lambda item: (),
    ) -> Generator[Result, None, None]:
        """See `Executor.spread`. What fails is a `UserError`, whatever it was on its node."""
        with self, tempfile.TemporaryDirectory(prefix="emojibench-logs-") as folder:
            logs = Path(folder)
            work = Work(partial(_Calls, function), what, roots=(Root(logs, private=True), *roots))
            tasks = [Task(str(i), item, logs / f"{i}.txt", reads=reads(item)) for i, item in enumerate(items)]
            results: dict[str, Result] = {}
            following = 0
            with Workers(self, work, timeout=_TIMEOUT, log=logs / "setup.txt") as workers:
                for outcome in workers.map(tasks, lambda task, done: None):
                    if outcome.failure:
                        raise UserError(f"{what}: {outcome.failure}")
                    results[outcome.task.key] = outcome.result
                    while str(following) in results:
                        yield results.pop(str(following))
                        following += 1


def _look_for(address: str) -> None:
    """Ray tries for minutes where nobody answers. Raises `OSError` or `ValueError` at once."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
        pass


class _Calls:
    """A handler whose tasks are items of a function."""

    info = "calls"

    def __init__(self, function: Callable[[Any], Any], first: Any) -> None:
        self._function = function

    def __call__(self, item: Any, tell: Tell) -> Any:
        return self._function(item)
