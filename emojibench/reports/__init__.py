"""Leaderboard pages from finished run folders. Only this room writes pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emojibench.errors import UserError

if TYPE_CHECKING:
    from emojibench.reports.blocks import Block
    from emojibench.reports.figures.drawing import Drawn
    from emojibench.reports.load import FinishedRun
    from emojibench.reports.page.build import MadePage

__all__ = [
    "FORMATS",
    "Page",
    "accept",
    "build_pages",
    "paper_page",
    "rendered",
    "report",
    "write_figures",
    "write_html",
    "write_pages",
    "write_sheets",
]

FORMATS = {"markdown": "markdown", "html": "html", "latex": "latex", "csv": "tidy"}
"""What blocks can be rendered to, and the modules here that do it."""


@dataclass(frozen=True)
class Page:
    """One page, ready to be written or printed."""

    path: Path
    blocks: Sequence["Block"]
    data: dict[str, Any]
    """What `--json` prints; empty for published figures."""

    @property
    def text(self) -> str:
        """As Markdown."""
        from emojibench.reports.markdown import render

        return render(self.blocks)


def report(
    runs: Path | str = "runs", out: Path | str = "leaderboards", *, accepted: bool = False
) -> list[Path]:
    """Write one Markdown page for every track and return their paths.

    Args:
        runs: folder that holds run folders, at any depth.
        out: root of the leaderboards. Pages of `runs` go to `out`/local, which git ignores.
        accepted: render the accepted runs (`out`/accepted) to `out`/<track>.md instead, and the paper's
            tables to `out`/published.md.

    Raises:
        UserError: there is no finished run, or one is damaged.
    """
    pages, _ = write_pages(Path(runs), Path(out), accepted=accepted)
    return [page.path for page in pages]


def accept(run: Path | str, out: Path | str = "leaderboards", *, replace: str = "") -> Path:
    """Make a finished run a row of the accepted ones, with its receipt; returns its folder and renders no page.

    Args:
        run: run folder, or a row packed by `emojibench submit`.
        out: root of the leaderboards.
        replace: why it takes the place of the row that is there.

    Raises:
        UserError: the run is not whole, or another one is accepted in its place and there is no reason to replace it.
    """
    from emojibench.reports.accepting import copy_accepted

    return copy_accepted(Path(run), Path(out), replace)


def write_pages(runs: Path, out: Path, *, accepted: bool = False) -> tuple[list[Page], list[Path]]:
    """As `report`, but returns the pages themselves and the folders of runs that are not finished yet."""
    from emojibench.files.writing import write_text

    pages, unfinished = build_pages(runs, out, accepted=accepted)
    for page in pages:
        write_text(page.path, page.text)
    return pages, unfinished


def build_pages(runs: Path, out: Path, *, accepted: bool = False) -> tuple[list[Page], list[Path]]:
    """Pages without writing them, and the folders of runs that are not finished yet.

    Raises:
        UserError: there is no finished run, or one is damaged.
    """
    from emojibench.reports.load import by_track
    from emojibench.reports.pages import published_page, track_page
    from emojibench.reports.published import TABLES, load_table
    from emojibench.reports.structure import track_data
    from emojibench.reports.tables import build_track

    target = out if accepted else out / "local"
    finished, unfinished = _finished(out / "accepted" if accepted else runs)
    tracks = [build_track(name, group) for name, group in by_track(finished).items()]
    table1 = load_table(1)
    pages = [Page(target / f"{t.name}.md", track_page(t, table1), track_data(t)) for t in tracks]
    if accepted:
        pages.append(Page(target / "published.md", published_page(map(load_table, TABLES)), {}))
    return pages, unfinished


def write_html(
    runs: Path,
    out: Path,
    *,
    accepted: bool = False,
    videos: int | None = None,
    campaigns: Sequence[Path] = (),
    quiet: bool = False,
) -> tuple["MadePage", list[Path]]:
    """Write the page for browsers, a folder that opens from disk, and return it with the runs that are not finished.

    Args:
        runs, accepted: as in `report`.
        out: root of the leaderboards. The page goes to `out`/local/html, that of accepted runs to `out`/html.
        campaigns: files that `emojibench ablate` or `emojibench accel` wrote; the page has their tables too.
        videos, quiet: as in `emojibench.reports.page.build.make_page`.

    Raises:
        UserError: there is no finished run, one is damaged, or the folder holds something else.
    """
    from emojibench.reports.campaigns import load_campaign
    from emojibench.reports.page.build import make_page

    read = [load_campaign(file) for file in campaigns]
    finished, unfinished = _finished(out / "accepted" if accepted else runs)
    folder = (out if accepted else out / "local") / "html"
    page = make_page(finished, folder, unfinished=unfinished, videos=videos, campaigns=read, quiet=quiet)
    return page, unfinished


def write_sheets(
    runs: Path | Sequence[Path],
    out: Path,
    *,
    clips: int | Sequence[str] | None = None,
    frames: int | None = None,
) -> tuple[list[Path], list[Path]]:
    """Write contact sheets of runs, and return their files with the runs that are not finished.

    Args:
        runs: folder that holds run folders, at any depth, or run folders in the order of the columns.
        out: root of the leaderboards. The pictures go to `out`/local.
        clips, frames: as in `emojibench.reports.sheet.write_sheets`.

    Raises:
        UserError: there is no finished run, one is damaged, or none has frames of the clips.
    """
    from emojibench.reports import sheet
    from emojibench.reports.load import load_run

    if isinstance(runs, Path):
        finished, unfinished = _finished(runs)
    else:
        finished, unfinished = [load_run(run) for run in dict.fromkeys(runs)], []
    return sheet.write_sheets(finished, out / "local", clips=clips, frames=frames), unfinished


def paper_page(
    number: int,
    runs: Path,
    out: Path,
    *,
    accepted: bool = False,
    track: str = "",
    by: str = "",
    campaigns: Sequence[Path] = (),
) -> tuple[list["Block"], list[Path]]:
    """One of the paper's tables with measured rows, and the folders of runs that are not finished yet.

    Args:
        number: of the table, 1 to 8.
        runs, out, accepted: as in `build_pages`.
        track: how the name of the only track shown begins. Each track has a table of its own; Table 2 compares datasets
            and is one for all.
        by: `domain`, `turn` or `expression` for a table of each part of the clips; empty for one of all.
        campaigns: files that `emojibench ablate` or `emojibench accel` wrote; a table of each, and none of runs.

    Raises:
        UserError: no such table or track, there is no finished run, or one is damaged.
    """
    from emojibench.reports.paper import paper_table
    from emojibench.reports.paper_datasets import dataset_table
    from emojibench.reports.published import TABLES, load_table
    from emojibench.reports.subsets import BY, clip_rows, parts_by
    from emojibench.reports.tables import build_track

    if number not in TABLES:
        raise UserError(f"--table: the paper has tables 1 to {len(TABLES)}, got {number}")
    if campaigns:
        from emojibench.reports.campaigns import load_campaign
        from emojibench.reports.paper_campaigns import campaign_table

        tables = [campaign_table(load_campaign(file), load_table(number)) for file in campaigns]
        return [block for table in tables for block in table], []
    if by and (by not in BY or number == 2):
        raise UserError(
            f"--by: expected {', '.join(BY)}, with any table but 2, got {by!r} with table {number}"
        )
    finished, unfinished = _finished(out / "accepted" if accepted else runs)
    tracks = _tracks(finished, track)
    printed = load_table(number)
    if number == 2:
        return dataset_table([run for group in tracks.values() for run in group], printed), unfinished
    blocks: list[Block] = []
    for name, group in tracks.items():
        if not by:
            blocks += paper_table(build_track(name, group), printed)
            continue
        parts = parts_by(by, group, {run.path: clip_rows(run) for run in group})
        for title, members in parts.runs.items():
            blocks += paper_table(build_track(name, members), printed, f"{BY[by].word} {title}")
        blocks += [about] if (about := parts.about(by)) else []
    return blocks, unfinished


def write_figures(
    names: Sequence[str], runs: Path, out: Path, *, accepted: bool = False, track: str = ""
) -> tuple["Drawn", list[Path]]:
    """Write figures of finished runs as PDF, PNG and CSV, and return them with the runs that are not finished.

    Args:
        names: of `emojibench.reports.figures.drawing.FIGURES`, or `all`.
        runs, accepted: as in `build_pages`.
        out: root of the leaderboards. Figures go to `out`/local/figures/<track>, of accepted runs to
            `out`/figures/<track>.
        track: as in `paper_page`.

    Raises:
        UserError: no such figure or track, there is no finished run, one is damaged, or nothing can be drawn.
        UnavailableError: matplotlib is not installed.
    """
    from emojibench.reports.figures.drawing import draw_all

    finished, unfinished = _finished(out / "accepted" if accepted else runs)
    folder = (out if accepted else out / "local") / "figures"
    return draw_all(names, _tracks(finished, track), folder), unfinished


def _tracks(finished: Sequence["FinishedRun"], name: str) -> dict[str, list["FinishedRun"]]:
    """Tracks whose names begin so."""
    from emojibench.reports.load import by_track

    tracks = by_track(finished)
    chosen = {its: group for its, group in tracks.items() if its.startswith(name)}
    if not chosen:
        raise UserError(f"--track: expected one of {', '.join(tracks)} or how it begins, got {name!r}")
    return chosen


def rendered(blocks: Sequence["Block"], form: str) -> str:
    """Blocks in one of the `FORMATS`.

    Raises:
        UserError: another format.
    """
    from importlib import import_module

    if form not in FORMATS:
        raise UserError(f"--format: expected {', '.join(FORMATS)}, got {form!r}")
    text: str = import_module(f"emojibench.reports.{FORMATS[form]}").render(blocks)
    return text


def _finished(source: Path) -> tuple[list["FinishedRun"], list[Path]]:
    from emojibench.reports.load import find_runs

    finished, unfinished = find_runs(source)
    if not finished:
        waiting = f" ({len(unfinished)} unfinished: start their commands again)" if unfinished else ""
        raise UserError(
            f"{source}: no finished run here{waiting}; make one with `emojibench run`, or say --runs DIR"
        )
    return finished, unfinished
