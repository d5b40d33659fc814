"""Making the files of many clips ahead of time, with a progress bar and, if wanted, several processes."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context

from emojibench.dataset.dataset import Files
from emojibench.dataset.manifest import ClipEntry


def prepare(files: Files, entries: Sequence[ClipEntry], *, jobs: int) -> None:
    """Make what is missing; see `Dataset.prepare`."""
    pending = [entry for entry in entries if not all(map(files.ready, entry.files))]
    if not pending:
        return
    from rich.console import Console
    from rich.progress import track

    jobs = min(jobs, len(pending))
    # MediaPipe's graphs do not survive a fork.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) if jobs > 1 else nullcontext()
    with pool as workers:
        make = partial(_make, files)
        done = workers.map(make, pending) if workers else map(make, pending)
        stderr = Console(stderr=True)
        for _ in track(done, "Making clips", len(pending), console=stderr, transient=True):
            pass


def _make(files: Files, entry: ClipEntry) -> None:
    for relative in entry.files:
        files.path(relative)
