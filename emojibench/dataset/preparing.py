"""Making the files of a dataset that are missing, and work over many files with a progress bar on stderr."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from emojibench.dataset.manifest import ClipEntry
from emojibench.parallel.executor import Executor, Root
from emojibench.progress import stage

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Files(Protocol):
    """Where a dataset's files come from: a folder, or made when asked for."""

    def path(self, relative: str) -> Path:
        """A verified local file. Raises `DatasetError` when it cannot be had."""
        ...

    def ready(self, relative: str) -> bool:
        """Whether `path` would return without making anything."""
        ...

    @property
    def roots(self) -> tuple[Root, ...]:
        """Folders that they lie in, for workers on other machines."""
        ...

    def sources(self, relative: str) -> tuple[Path, ...]:
        """What `path` reads; some of it may not be there yet."""
        ...


def prepare(files: Files, entries: Sequence[ClipEntry], *, executor: Executor, quiet: bool) -> None:
    """Make the files that are missing; see `Dataset.prepare`."""
    pending = [entry for entry in entries if not all(map(files.ready, entry.files))]
    spread(
        partial(_make, files), pending, executor=executor, title="Making clips", quiet=quiet, roots=files.roots,
        reads=partial(sources, files),
    )  # fmt: skip


def sources(files: Files, entry: ClipEntry) -> tuple[Path, ...]:
    """Files that a clip is read from."""
    return tuple(path for relative in entry.files for path in files.sources(relative))


def spread(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    executor: Executor,
    title: str,
    quiet: bool = False,
    roots: tuple[Root, ...] = (),
    reads: Callable[[_Item], tuple[Path, ...]] = lambda item: (),
) -> list[_Result]:
    """`[function(item) for item in items]`, in order, with progress on stderr unless `quiet`.

    Raises:
        UserError: a process was killed, and whatever `function` raises.
    """
    if not items:
        return []
    results, made = executor.spread(function, items, what=title, roots=roots, reads=reads), []
    with (
        stage(title, quiet=quiet) as progress,
        closing(results),
    ):  # whatever interrupts this also ends the workers
        for result in results:
            made.append(result)
            progress(len(made), len(items))
    return made


def _make(files: Files, entry: ClipEntry) -> None:
    for relative in entry.files:
        files.path(relative)
