"""Accepting a measured run: a small copy of it becomes part of the leaderboard, and the baseline of gates."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emojibench.errors import UserError
from emojibench.reports.load import FinishedRun, load_run
from emojibench.reports.rows import copy_rows

_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/'\",;:]+/)+")
"""The folders of an absolute path, but not of a URL."""


def copy_accepted(run: Path, out: Path) -> Path:
    """Copy spec, provenance, summary and rows of a finished run to `out`/accepted/<track>/<method>-<split>.

    Animations stay behind. Folders of absolute paths and the command line are left out, since they say how
    this machine is laid out and change no number.

    The folder appears whole or not at all.

    Raises:
        UserError: the run is unfinished or damaged, has failed clips, another run is already accepted in its
            place, or the disk takes no more.
    """
    source = load_run(run)
    _refuse_gaps(source)
    target = out / "accepted" / source.track / f"{source.spec.method}-{source.spec.split}"
    try:
        with _alone_in(target.parent):
            if target.exists():
                raise UserError(
                    f"{target} is already accepted; delete that folder first if this run shall replace it"
                )
            made = target.with_name(f".{target.name}.tmp")
            shutil.rmtree(made, ignore_errors=True)  # of a command that was killed
            try:
                _write(source, made)
                made.rename(target)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; free some space or choose another --out"
        ) from error
    return target


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make a folder and hold it until the block ends: another process waits."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(run: FinishedRun, folder: Path) -> None:
    folder.mkdir()
    for name, content in (
        ("spec.json", run.spec.model_dump(mode="json") | {"dataset_ref": run.spec.dataset}),
        ("provenance.json", run.provenance.without_commands()),
        ("summary.json", run.summary.model_dump(mode="json")),
    ):
        text = json.dumps(without_folders(content), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    copy_rows(run.path / "rows.parquet", folder / "rows.parquet", without_folders)


def _refuse_gaps(run: FinishedRun) -> None:
    """A column may be unavailable or undefined on its clips, but nothing may have failed."""
    gaps = [f"clip {clip}: {reason}" for clip, reason in sorted(run.failed.items())]
    gaps += [f"{name}: {s.reason}" for name, s in run.summaries.items() if s.status == "failed"]
    if gaps:
        raise UserError(f"{run.path}: only whole runs can be accepted; {len(gaps)} failed, first {gaps[0]}")


def without_folders(content: Any) -> Any:
    """The same JSON with every absolute path cut to its last part."""
    if isinstance(content, dict):
        return {key: without_folders(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_folders(value) for value in content]
    return _PATH.sub("", content) if isinstance(content, str) else content
