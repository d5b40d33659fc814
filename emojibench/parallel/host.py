"""The node's side of the Ray executor: an actor that owns one worker process.

The process is that of the local executor, so that a method finds on a cluster what it finds on one machine: a session
of its own, its output in its log, an end to all that it has started. The actor hands tasks in and replies out, and
files as well where the node does not see the driver's disks.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emojibench import versions
from emojibench.parallel.local import LocalCrew, LocalWorker
from emojibench.parallel.parcels import Parcel, Witness, empty, files, put
from emojibench.parallel.worker import Reply

LAST = ("done", "failed", "lost", "abort", "broken", "ready")
"""Replies after which the driver has the next word."""
TICK = 0.5
"""Seconds between looks at a worker process that says nothing."""
_OURS = "emojibench-ray-"


@dataclass(frozen=True)
class Folder:
    """A root of the work, as the driver sees it."""

    path: Path
    witness: Witness
    part: str | None
    """Folder below it for what this worker writes; None: it writes where it reads."""


@dataclass(frozen=True)
class Order:
    """What a host sets up."""

    build: Mapping[str, str]
    setup: bytes
    info: bytes
    what: str
    quiet: bool
    folders: tuple[Folder, ...]
    settings: Mapping[str, str]
    """Environment variables of the worker process."""
    directory: str
    """The user's working directory, from which paths in options count."""


@dataclass(frozen=True)
class Placed:
    """Where a worker is."""

    node: str
    """Id of Ray's."""
    build: Mapping[str, str]
    sees: tuple[bool, ...]
    """For each root, whether the node sees the driver's folder."""


@dataclass(frozen=True)
class Handed:
    """A task for the worker process."""

    task: bytes
    log: tuple[int, str]
    """Root and path below it."""
    parcels: tuple[Parcel, ...]
    """Files that it reads, of roots that the node does not see."""


@dataclass(frozen=True)
class Heard:
    """What the worker process said, and what it has written."""

    replies: tuple[Reply, ...]
    there: tuple[tuple[int, str], ...] = ()
    """Roots that the node sees, and files in its part of them: by name, since a shared disk may show old listings."""
    parcels: tuple[Parcel, ...] = ()
    """Files of other roots."""


class Host:
    """The actor. Its calls come one at a time."""

    def enter(self, order: Order) -> Placed:
        """Find out what this node is like, and begin to set up the worker process."""
        import ray

        self._order = order
        self._mirror = _own_folder()
        self._sees = tuple(folder.witness.seen() for folder in order.folders)
        self._places = [self._place(number) for number in range(len(order.folders))]
        with contextlib.suppress(OSError):  # options with relative paths will say that they are not here
            os.chdir(order.directory)
        self._crew = LocalCrew(
            order.setup, order.what, 1, order.settings, quiet=order.quiet, places=self._places
        )
        self._given: set[Path] = set()
        build = versions.build()
        if build == order.build:  # else nothing that the driver has packed is safe to unpack
            with _without_main():
                self._worker: LocalWorker = self._crew.start(order.info)
        return Placed(ray.get_runtime_context().get_node_id(), build, self._sees)

    def go(self, handed: Handed | None, seconds: float) -> Heard:
        """Hand a task to the worker process, if there is one, and wait so long at most for what it says."""
        if handed is not None:
            for number, place in enumerate(self._places):
                if place != self._order.folders[number].path:
                    empty(place)  # of the task before
            put(handed.parcels, self._places)
            self._given = {self._places[parcel.root] / parcel.relative for parcel in handed.parcels}
            root, relative = handed.log
            self._worker.send(handed.task, self._places[root] / relative)
        replies: list[Reply] = []
        until = time.monotonic() + seconds
        while not (replies and replies[-1][0] in LAST) and (left := until - time.monotonic()) > 0:
            heard = self._crew.hear([self._worker], min(left, TICK))
            replies += [reply for _, reply in heard if reply[0] != "placed"]
        finished = bool(replies) and replies[-1][0] in LAST
        if not finished:
            return Heard(tuple(replies))
        return Heard(tuple(replies), tuple(self._there()), tuple(self._parcels()))

    def close(self) -> None:
        """End the worker process and all that it has started."""
        self._crew.close()
        shutil.rmtree(self._mirror, ignore_errors=True)

    def _place(self, number: int) -> Path:
        """Where a root is for the worker process."""
        folder = self._order.folders[number]
        if not self._sees[number]:
            place = self._mirror / str(number)
        elif folder.part is None:
            return folder.path
        else:
            place = folder.path / folder.part
        empty(place)
        return place

    def _there(self) -> Iterator[tuple[int, str]]:
        for number, place in enumerate(self._places):
            if self._sees[number] and self._order.folders[number].part is not None:
                yield from ((number, str(file.relative_to(place))) for file in files(place))

    def _parcels(self) -> Iterator[Parcel]:
        for number, place in enumerate(self._places):
            if not self._sees[number]:
                for file in files(place):
                    if file not in self._given:
                        yield Parcel(number, str(file.relative_to(place)), file.read_bytes())


def _own_folder() -> Path:
    """A folder of this process below the system's temporary one; those of processes that were killed are removed."""
    temporary = Path(tempfile.gettempdir())
    for folder in temporary.glob(f"{_OURS}{os.getuid()}-*"):
        process = folder.name.split("-")[-2]
        if process.isdecimal() and not Path("/proc", process).exists() and Path("/proc").exists():
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_OURS}{os.getuid()}-{os.getpid()}-"))


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep a process that is spawned meanwhile from importing Ray's main module, which it has no use for."""
    main = vars(sys.modules["__main__"])
    kept = {name: main.get(name) for name in ("__file__", "__spec__")}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update({name: value for name, value in kept.items() if value is not None})
