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
from emojibench.files.writing import sweep
from emojibench.reports.load import FinishedRun, load_run, state_of
from emojibench.reports.receipts import ledger
from emojibench.reports.receipts import receipt as receipts
from emojibench.reports.receipts.making import make
from emojibench.reports.receipts.receipt import RECEIPT
from emojibench.reports.receipts.verifying import verify
from emojibench.reports.rows import copy_rows
from emojibench.runs.spec import RunSpec

_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/'\",;:]+/)+")
"""The folders of an absolute path, but not of a URL."""


def copy_accepted(run: Path, out: Path, reason: str = "") -> Path:
    """Make a finished run a row of the leaderboard, `out`/accepted/<track>/<method>-<split>, with its receipt.

    Animations stay behind. Folders of absolute paths and the command line are left out, since they say how
    this machine is laid out and change no number. The folder appears whole or not at all; the ledger has its digest.

    Args:
        run: the run folder, or a row that somebody packed with `emojibench submit`.
        out: root of the leaderboards.
        reason: why it takes the place of the row that is there; each row keeps its name through its revisions.

    Raises:
        UserError: the run is unfinished or damaged, a metric or every clip failed, a packed row does not agree with
            its receipt, there is a row in its place and no reason to replace it, or the disk takes no more.
    """
    source = load_run(run)
    refuse_failures(source)
    _refuse_tampered(source)
    accepted = out / "accepted"
    target = accepted / place_of(source)
    try:
        with _alone_in(accepted), _alone_in(target.parent):
            sweep(accepted)
            ledger.adopt(accepted)
            made = target.with_name(f".{target.name}.tmp")
            try:
                _put(source, target, made, reason.strip())
            finally:
                shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; free some space or choose another --out"
        ) from error
    return target


def _put(run: FinishedRun, target: Path, made: Path, reason: str) -> None:
    """Write the row to `made`, an entry to the ledger, then put the row in its place; a killed command goes on here."""
    accepted, name = target.parent.parent, f"{target.parent.name}/{target.name}"
    former = ledger.newest(accepted).get(name)
    if former is None or not _half_done(run, target, made, former):
        if former and not reason:
            raise UserError(
                f"{target} is already accepted; a new revision takes its place with `--replace REASON`"
            )
        revision = former.revision + 1 if former else 1
        _write_anew(run, made, revision)
        digest = receipts.row_digest(made)
        ledger.append(accepted, ledger.Entry(row=name, revision=revision, digest=digest, reason=reason))
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)


def _half_done(run: FinishedRun, target: Path, made: Path, entry: ledger.Entry) -> bool:
    """Whether this very row has its entry, but is not in its place."""
    _write_anew(run, made, entry.revision)
    there = receipts.row_digest(target) if target.exists() else None
    return receipts.row_digest(made) == entry.digest != there


def _write_anew(run: FinishedRun, made: Path, revision: int) -> None:
    shutil.rmtree(made, ignore_errors=True)  # also of a command that was killed
    write_row(run, made, revision)


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


def place_of(run: FinishedRun) -> str:
    """Where the row of a run lies below `accepted`: `<track>/<method>-<split>`, with options where some were chosen."""
    return f"{run.track}/{receipts.row_name(_published(run.spec))}"


def _published(spec: RunSpec) -> RunSpec:
    """Without what says how this machine is laid out."""
    content = spec.model_dump(mode="json") | {"dataset_ref": spec.dataset}
    return RunSpec.model_validate(without_folders(content))


def write_row(run: FinishedRun, folder: Path, revision: int = 1) -> None:
    """Write the files of a row and its receipt to a new folder.

    Raises:
        UserError: a clip has no record of its animation, or other frames than it says, or the run is being written.
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True)
    for name, content in (
        ("spec.json", _published(run.spec).model_dump(mode="json")),
        ("provenance.json", run.provenance.without_commands()),
        ("summary.json", run.summary.model_dump(mode="json")),
    ):
        text = json.dumps(without_folders(content), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    copy_rows(run.path / "rows.parquet", folder / "rows.parquet", without_folders)
    (folder / RECEIPT).write_text(receipts.text_of(make(run, folder, revision)), encoding="utf-8")
    if state_of(run.path) != run.state:
        raise UserError(f"{run.path}: is being written; try again when its command has ended")


def _refuse_tampered(run: FinishedRun) -> None:
    """Somebody else's row has to agree with its receipt."""
    if run.receipt and (findings := verify(run.path).findings):
        raise UserError(
            f"{run.path}: does not agree with its receipt, in {len(findings)} places, first {findings[0]}; "
            "`emojibench verify` lists them"
        )


def refuse_failures(run: FinishedRun) -> None:
    """A method may have failed on some clips, which its pages say; but neither on all nor may a metric have failed."""
    if len(run.failed) == len(run.spec.clips):
        clip, reason = min(run.failed.items())
        raise UserError(
            f"{run.path}: expected a run with animations, but the method failed on every clip, first {clip}: {reason}"
        )
    failed = [f"{name}: {s.reason}" for name, s in run.summaries.items() if s.status == "failed"]
    if failed:
        raise UserError(
            f"{run.path}: expected a run whose metrics are all measured, but {len(failed)} failed, first {failed[0]}; "
            "mend that, and score the run again"
        )


def without_folders(content: Any) -> Any:
    """The same JSON with every absolute path cut to its last part."""
    if isinstance(content, dict):
        return {key: without_folders(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_folders(value) for value in content]
    return _PATH.sub("", content) if isinstance(content, str) else content
