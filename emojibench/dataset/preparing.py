"""Work over many files, with a progress bar on stderr and, if wanted, several processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from emojibench.dataset.dataset import Files
from emojibench.dataset.manifest import ClipEntry
from emojibench.errors import UserError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def prepare(files: Files, entries: Sequence[ClipEntry], *, jobs: int) -> None:
    """Make the files that are missing; see `Dataset.prepare`."""
    pending = [entry for entry in entries if not all(map(files.ready, entry.files))]
    spread(partial(_make, files), pending, jobs=jobs, title="Making clips")


def spread(
    function: Callable[[_Item], _Result], items: Sequence[_Item], *, jobs: int, title: str
) -> list[_Result]:
    """`[function(item) for item in items]`, in order, over `jobs` processes.

    Raises:
        UserError: a process was killed, and whatever `function` raises.
    """
    if not items:
        return []
    from rich.console import Console
    from rich.progress import track

    jobs = min(jobs, len(items))
    # MediaPipe's graphs do not survive a fork.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) if jobs > 1 else nullcontext()
    try:
        with pool as workers:
            results = workers.map(function, items) if workers else map(function, items)
            return list(track(results, title, len(items), console=Console(stderr=True), transient=True))
    except BrokenProcessPool:
        raise UserError(
            f"{title}: one of {jobs} processes was killed, most likely for want of memory; choose fewer --jobs"
        ) from None


def _make(files: Files, entry: ClipEntry) -> None:
    for relative in entry.files:
        files.path(relative)
