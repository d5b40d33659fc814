"""The ledger of accepted rows: one line for each revision of each row, only ever appended to.

leaderboards/accepted/ledger.jsonl says of every row which revision is in force and what its digest is
(`receipt.row_digest`). A row that was changed no longer has its digest; a line that was changed or removed is missing
from a later version of the file, which the history of the repository shows. So no accepted row changes silently: a new
revision, with its reason, takes the place of the one before.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from emojibench.files import reading
from emojibench.files.writing import write_text
from emojibench.reports.load import FinishedRun, load_run
from emojibench.reports.receipts import receipt as receipts
from emojibench.reports.receipts.parts import Finding, UncheckedError
from emojibench.runs.sources import git

LEDGER = "ledger.jsonl"
_ADVICE = "the file is only ever appended to: restore it"


class Entry(BaseModel):
    """One revision of one row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*/[A-Za-z0-9][A-Za-z0-9._+-]*$")]
    """`<track>/<method>-<split>`."""
    revision: Annotated[int, Field(ge=1)] = 1
    digest: receipts.SHA256 | None
    """`receipt.row_digest`; None where the row was withdrawn."""
    reason: Annotated[str, Field(max_length=500)] = ""
    """Why it took the place of the revision before, or was withdrawn."""


def read(accepted: Path) -> list[Entry]:
    """All entries, oldest first; none where there is no ledger.

    Raises:
        UserError: a line is not an entry.
    """
    file = accepted / LEDGER
    try:
        lines = reading.read_text(file, advice=_ADVICE).splitlines()
    except reading.MissingFileError:
        return []
    return [
        reading.parse_model(Entry, line, f"{file}, line {number}", advice=_ADVICE)
        for number, line in enumerate(lines, 1)
    ]


def newest(accepted: Path) -> dict[str, Entry]:
    """Row to the entry in force."""
    return {entry.row: entry for entry in read(accepted)}


def append(accepted: Path, entry: Entry) -> None:
    """Add one entry."""
    lines = [*read(accepted), entry]
    write_text(accepted / LEDGER, "".join(f"{line.model_dump_json()}\n" for line in lines))


def adopt(accepted: Path) -> None:
    """Add the rows that have no entry: of older versions, or of a command that was killed before it came to that."""
    known = newest(accepted)
    for row in rows_below(accepted):
        if (name := row.relative_to(accepted).as_posix()) not in known:
            append(accepted, Entry(row=name, digest=receipts.row_digest(row)))


def rows_below(accepted: Path) -> list[Path]:
    """Folders of rows."""
    return sorted(
        file.parent for file in accepted.glob("*/*/spec.json") if not file.parent.name.startswith(".")
    )


def row_findings(row: Path) -> Iterator[Finding]:
    """Is a row the one that the ledger beside its track tells of?"""
    row = row.resolve()
    entry = newest(row.parent.parent).get(f"{row.parent.name}/{row.name}")
    if entry is None or entry.digest is None:
        yield Finding(f"../../{LEDGER}", "the row", "an entry with its digest", "none")
        return
    if (found := receipts.row_digest(row)) != entry.digest:
        yield Finding(f"../../{LEDGER}", f"digest of the row, revision {entry.revision}", entry.digest, found)


def findings(accepted: Path) -> Iterator[Finding]:
    """What is wrong with the ledger: numbers of revisions, reasons, rows without a folder."""
    if not (accepted / LEDGER).exists():
        raise UncheckedError("no ledger: made before 0.3; the next `emojibench report --accept` begins one")
    known: dict[str, Entry] = {}
    for entry in read(accepted):
        before = known.get(entry.row)
        wanted = before.revision + 1 if before else 1
        if entry.revision != wanted:
            yield Finding(LEDGER, f"{entry.row}, revision", str(wanted), str(entry.revision))
        if (before or entry.digest is None) and not entry.reason.strip():
            yield Finding(LEDGER, f"{entry.row}, revision {entry.revision}", "a reason", "none")
        known[entry.row] = entry
    for name, entry in known.items():
        if entry.digest is None and (accepted / name).exists():
            yield Finding(LEDGER, name, "no folder, since it was withdrawn", "one")
        elif entry.digest is not None and not (accepted / name).is_dir():
            yield Finding(LEDGER, name, "its folder", "none")


def duplicates(accepted: Path, rows: Sequence[Path]) -> Iterator[Finding]:
    """Rows of two methods that show the same frames; options of one method need not change any."""
    shown: dict[tuple[str, ...], FinishedRun] = {}
    for row in rows:
        run = load_run(row)
        if not run.receipt:
            continue
        frames = (
            run.track,
            run.spec.split,
            *sorted(clip.frames or "" for clip in run.receipt.clips.values()),
        )
        first = shown.setdefault(frames, run)
        if first.spec.method != run.spec.method:
            name, other = (path.relative_to(accepted) for path in (row, first.path))
            yield Finding(f"{name}/{receipts.RECEIPT}", "frames", f"others than those of {other}", "the same")


def history(accepted: Path) -> tuple[int, list[Finding]] | None:
    """Was the ledger only ever appended to, as far as the repository's history goes?

    Returns:
        How many steps of the history were looked at, and each line that a step lost; None where there is no history.
    """
    root = _repository(accepted)
    if root is None:
        return None
    file = (accepted.resolve() / LEDGER).relative_to(root.resolve()).as_posix()
    commits = git(root, "log", "--format=%H %P", "--", file)
    if not commits:
        return None
    there = accepted / LEDGER
    now = there.read_text(encoding="utf-8") if there.exists() else ""
    steps = [("the working copy", now, "HEAD")]
    for line in commits.splitlines():
        commit, *parents = line.split()
        text = git(root, "show", f"{commit}:{file}") or ""
        steps += [(f"commit {commit[:10]}", text, parent) for parent in parents]
    lost = []
    for name, text, parent in steps:
        before = (git(root, "show", f"{parent}:{file}") or "").splitlines()
        for line in before:
            if line not in text.splitlines():
                lost.append(Finding(LEDGER, name, f"the line of {parent[:10]}: {line}", "no such line"))
    return len(steps), lost


def _repository(folder: Path) -> Path | None:
    for root in (folder.resolve(), *folder.resolve().parents):
        if (root / ".git").exists():
            return root
    return None
