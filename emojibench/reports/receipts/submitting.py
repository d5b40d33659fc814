"""`emojibench submit`: a row of the leaderboard, packed for a pull request."""

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emojibench.errors import UserError
from emojibench.files.writing import atomic, write_text
from emojibench.reports.accepting import place_of, refuse_failures, write_row
from emojibench.reports.blocks import Block, Bullets, Cell, Column, Footnotes, Heading, Table, measured
from emojibench.reports.columns import paper_names
from emojibench.reports.load import FinishedRun, load_run
from emojibench.reports.markdown import render
from emojibench.reports.parts import setting
from emojibench.reports.receipts.receipt import RECEIPT
from emojibench.reports.receipts.verifying import verify
from emojibench.runs.provenance import Code

_PAGE = "README.md"
_ARCHIVES = (".zip", ".tar.gz")


def submit(run: Path, out: Path) -> Path:
    """Pack the row of a finished run, with its receipt and a page for reviewers; no videos.

    Args:
        run: folder of the run, with its animations.
        out: folder to be made, or an archive whose name ends with .zip or .tar.gz.

    Returns:
        `out`.

    Raises:
        UserError: the run is unfinished or damaged, a metric or every clip failed, the row does not agree with
            itself, or `out` is there already.
    """
    source = load_run(run)
    refuse_failures(source)
    if out.exists():
        raise UserError(f"--out {out}: expected a path where nothing is yet; delete that, or choose another")
    with _packing(out) as folder:
        row = folder / "accepted" / place_of(source)
        write_row(source, row)
        if findings := verify(row).findings:
            raise UserError(f"{run}: {findings[0]}; score the run again")
        write_text(folder / _PAGE, render(_page(load_run(row), row.relative_to(folder).as_posix())))
    return out


def _page(run: FinishedRun, row: str) -> list[Block]:
    """What a reviewer needs: what it is, its figures, and how they are checked."""
    spec, receipt = run.spec, run.receipt
    assert receipt is not None
    names = paper_names(
        spec.split, [name for name, column in run.summaries.items() if column.mean is not None]
    )
    figures = tuple(
        (Cell(title), Cell(name, "code"), measured(run.summaries[name]))
        for name, title in names.items()
        if name in run.summaries
    )
    options = ", ".join(f"{key}={value}" for key, value in sorted(spec.options.items()))
    weights = ", ".join(f"{_code(name)} `{digest[:12]}`" for name, digest in receipt.weights.items())
    return [
        Heading(f"{spec.method}, {spec.split} reenactment", 1),
        f"A row for the leaderboard of track `{run.track}`: {setting(spec)}, {len(spec.clips)} clips.",
        Table((Column("Paper"), Column("Column"), Column("Mean")), figures),
        Footnotes("Why cells are empty"),
        Heading("How to check it"),
        Bullets(
            (
                f"`emojibench verify {row}` computes means and intervals again from the rows and checks every digest. "
                "It needs no GPU.",
                f"`emojibench verify {row} --deep 2` makes two clips again, if the method is at hand, and scores them.",
                f"`emojibench report --accept {row}` in a checkout makes it part of the leaderboard. Commit what it "
                "writes.",
            )
        ),
        Heading("What it was made with"),
        Bullets(
            (
                f"revision of the method: {_code(spec.revision)}",
                f"options: {_code(options or 'none')}; seed {spec.seed}",
                *(f"{stage}: {_made(about)}" for stage, about in receipt.code.items()),
                f"device: {run.animated.device}",
                f"weights: {weights or 'none'}",
                f"dataset: `{spec.dataset_digest}`",
                f"digests of all frames: `{RECEIPT}`",
            )
        ),
    ]  # fmt: skip


def _made(code: Code) -> str:
    commit = f"commit `{code.commit[:10]}`" if code.commit else "installed without git"
    return (
        f"{commit}{' with changes' if code.dirty else ''}, sources `{(code.sources or 'not recorded')[:16]}`"
    )


def _code(text: str) -> str:
    """As code, so that nothing in it is markup."""
    return f"`{text.replace('`', '´')}`"


@contextmanager
def _packing(out: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `out` whole, or nothing does."""
    suffix = next((suffix for suffix in _ARCHIVES if out.name.endswith(suffix)), "")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".emojibench-", dir=out.parent) as scratch:
            folder = Path(scratch, out.name.removesuffix(suffix))
            folder.mkdir()
            yield folder
            if not suffix:
                folder.rename(out)
                return
            with atomic(out) as temporary:
                (_zip if suffix == ".zip" else _tar)(folder, temporary)
    except (OSError, shutil.Error) as error:
        raise UserError(f"cannot write {out}: {error}; free some space or choose another --out") from error


def _zip(folder: Path, archive: Path) -> None:
    """The same row gives the same bytes: no dates."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(file.relative_to(folder.parent).as_posix())
                entry.external_attr = 0o644 << 16
                packed.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)


def _tar(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, folder.name)
