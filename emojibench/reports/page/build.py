"""Makes the page: reads the runs, makes pictures of their clips, and writes the data last."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emojibench.errors import UserError
from emojibench.progress import ClipProgress
from emojibench.reports.campaigns import Campaign, campaign_page
from emojibench.reports.columns import paper_columns
from emojibench.reports.load import FinishedRun, by_track, state_of
from emojibench.reports.page.clips import PictureMaker, make_all
from emojibench.reports.page.data import ShownRun, blocks_data, published_data, track_data, worst_first
from emojibench.reports.page.folder import PageFolder
from emojibench.reports.published import load_table
from emojibench.reports.subsets import clip_rows
from emojibench.reports.tables import SPLITS, build_track


@dataclass(frozen=True)
class MadePage:
    """A page on disk."""

    index: Path
    """The file to open in a browser."""
    changed: tuple[Path, ...]
    """Runs that were being written meanwhile, and were left out."""
    missing: dict[Path, int]
    """Runs to how many of their clips cannot be played; the page says which files are missing."""


def make_page(
    runs: Sequence[FinishedRun],
    folder: Path,
    *,
    unfinished: Sequence[Path] = (),
    videos: int | None = None,
    campaigns: Sequence[Campaign] = (),
    quiet: bool = False,
) -> MadePage:
    """Write the page of finished runs into a folder of its own.

    Args:
        runs: of any tracks; each track has tables of its own.
        folder: where the page goes: absent, empty, or a page that is made again. Pictures that are still right stay.
        unfinished: runs that the page names as left out.
        videos: how many clips of each split and track get pictures, the worst first; all where None.
        campaigns: whose tables the page has as well.
        quiet: no progress on stderr.

    Raises:
        UserError: the folder holds something else, a run's rows are damaged or not those of its summary, or all
            runs changed meanwhile.
        WriteError: the folder cannot be written.
    """
    if videos is not None and videos < 0:
        raise UserError(f"--videos: expected a number of clips of at least 0, got {videos}")
    states = {run.path: state_of(run.path) for run in runs}
    rows = {run.path: clip_rows(run) for run in runs}
    site = PageFolder(folder)
    with site.alone():
        groups = _pictures(site, runs, videos, quiet)
        changed = tuple(run.path for run in runs if state_of(run.path) != states[run.path])
        shown = [
            ShownRun(run, rows[run.path], group.shown[number], group.clips)
            for group in groups
            for number, run in enumerate(group.runs)
            if run.path not in changed
        ]
        if not shown:
            raise UserError(f"{folder}: all runs were being written meanwhile; wait for them and try again")
        _write(site, shown, campaigns, [path.name for path in (*unfinished, *changed)])
    missing = {one.run.path: len(one.shown.absent) for one in shown if one.shown.absent}
    return MadePage(folder / "index.html", changed, missing)


def _pictures(
    site: PageFolder, runs: Sequence[FinishedRun], videos: int | None, quiet: bool
) -> list[PictureMaker]:
    """Make the pictures of all clips, by track and split."""
    groups, jobs = [], []
    for of_track in by_track(runs).values():
        for split in SPLITS:
            same = [run for run in of_track if run.spec.split == split]
            if not same:
                continue
            clips = worst_first(same, paper_columns(split, same))
            maker = PictureMaker(site, same)
            groups.append(maker)
            jobs += [(maker, job) for job in maker.jobs(clips[:videos])]
    if jobs:
        with ClipProgress("pictures", len(jobs), quiet=quiet) as progress:
            make_all(jobs, progress.done)
    return groups


def _write(
    site: PageFolder, shown: Sequence[ShownRun], campaigns: Sequence[Campaign], left_out: Sequence[str]
) -> None:
    names = set()
    tracks: list[dict[str, Any]] = []
    for name, runs in by_track(one.run for one in shown).items():
        track = build_track(name, runs)
        of_path = {run.path: run for run in track.runs}  # without values of old versions of metrics
        ours = [replace(one, run=of_path[one.run.path]) for one in shown if one.run.path in of_path]
        for one in ours:
            site.write_data(one.name, one.data)
            names |= {one.name, *one.shown.animations.values(), *one.clips.values()}
        tracks.append(track_data(track, ours))
    site.write_static()
    index = {
        "tracks": tracks,
        "campaigns": [blocks_data(campaign_page(campaign)) for campaign in campaigns],
        "published": published_data(load_table(1)),
        "left_out": list(left_out),
    }
    site.write_data("index", index)
    site.sweep(names)
