"""A contact sheet of runs: the same frames of the same clips from every method, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emojibench import media
from emojibench.errors import UserError
from emojibench.media.contact import Group, Row, Sheet
from emojibench.registry import unknown
from emojibench.reports.load import FinishedRun, by_track
from emojibench.reports.material import ClipInputs, clips_of, frames_of, record_of, told
from emojibench.reports.tables import SPLITS, build_track
from emojibench.runs.clips import Clips
from emojibench.types import Frames, Image

SIDE = 128
"""Of each picture, pixels."""
CLIPS = 8
"""Of each sheet, unless told otherwise: of the built-in datasets, eight are two of each domain."""
_WIDTH = 12
"""Columns that a sheet has at most: for more methods it shows fewer frames, and then has a row for each method."""


def write_sheets(
    runs: Sequence[FinishedRun], folder: Path, *, clips: int | Sequence[str] | None, frames: int | None
) -> list[Path]:
    """Write a JPEG for each track and split of the runs: `sheet-<track>-<split>.jpg`.

    Args:
        runs: their order is that of the columns.
        folder: where the pictures go.
        clips: the first so many clips of each sheet, or clip ids; None: `CLIPS`.
        frames: of each clip, spread evenly; None: up to three, fewer for many methods.

    Raises:
        UserError: no such clip, no run has frames, or a picture cannot be written.
    """
    if frames is not None and frames < 1:
        raise UserError(f"--frames: expected a number of at least 1, got {frames}")
    written, lacking = [], ""
    for track, members in by_track(runs).items():
        for split in SPLITS:
            ours = [run for run in members if run.spec.split == split]
            chosen = _chosen(ours, clips) if ours else []
            if not any(not isinstance(record_of(run, clip), str) for run in ours for clip in chosen):
                lacking = lacking or next((f"{r.path}: {record_of(r, c)}" for r in ours for c in chosen), "")
                continue
            file = folder / f"sheet-{track}-{split}.jpg"
            media.write_image(file, _sheet(track, ours, chosen, frames))
            written.append(file)
    if not written:
        raise UserError(f"--sheet: no run has frames of these clips ({lacking}); run the method again")
    return written


def _chosen(runs: Sequence[FinishedRun], wanted: int | Sequence[str] | None) -> list[str]:
    """Clips of the sheet, in the order of the runs."""
    there = list(dict.fromkeys(clip for run in runs for clip in run.spec.clips))
    if wanted is None or isinstance(wanted, int):
        if wanted is not None and wanted < 1:
            raise UserError(f"--clips: expected a number of at least 1, got {wanted}")
        return there[: wanted or CLIPS]
    if strange := next((clip for clip in wanted if clip not in there), None):
        raise UserError(f"--clips: {unknown('clip', strange, there)}")
    return list(dict.fromkeys(wanted))


def _sheet(track: str, runs: Sequence[FinishedRun], chosen: Sequence[str], frames: int | None) -> Image:
    """A row for each clip; for many methods, a row for each of them and a column for each clip."""
    split = runs[0].spec.split
    labels = {entry.runs[split].path: entry.label for entry in build_track(track, runs).entries}
    driving = ("driving",) if split == "cross" else ()  # of a self clip, that is the truth
    names = (*driving, *(labels[run.path] for run in runs), "truth")
    count = frames or max(1, min(3, _WIDTH // len(names)))
    times = np.linspace(0, 1, count + 1)[1:]
    clips = clips_of(runs[0].spec)
    shown = [_shown(clip, clips, runs, times) for clip in chosen]
    moments = [f"at {time:.0%}" for time in times]
    if len(names) <= _WIDTH:
        groups = (Group(("portrait",)), *(Group(names, moment) for moment in moments))
        rows = [Row([one.portrait, *chain(*one.frames)], one.label) for one in shown]
        return Sheet(groups, SIDE, labelled=True).draw(rows)
    rows = [Row([one.portrait for one in shown for _ in times], ("portrait",))]
    for place, name in enumerate(names):
        rows.append(Row([pictures[place] for one in shown for pictures in one.frames], (name,)))
    return Sheet([Group(tuple(moments), one.label[0]) for one in shown], SIDE, labelled=True).draw(rows)


@dataclass(frozen=True)
class _Shown:
    """What a sheet shows of one clip; what cannot be had is told in its place."""

    portrait: Image | str
    frames: list[list[Image | str]]
    """For each moment, a picture for each column: driving, methods, truth."""
    label: tuple[str, ...]


def _shown(
    clip_id: str, clips: Clips | str, runs: Sequence[FinishedRun], times: NDArray[np.float64]
) -> _Shown:
    inputs = ClipInputs(clips, clip_id)
    videos: list[Frames | str] = [_video(run, clip_id) for run in runs]
    if runs[0].spec.split == "cross":
        videos.insert(0, inputs.pictures["driving"])
    videos.append(inputs.pictures["truth"])
    last = min((len(video) for video in videos if not isinstance(video, str)), default=1) - 1
    portrait = inputs.pictures["portrait"]
    frames: list[list[Image | str]] = [
        [video if isinstance(video, str) else video[round(time * last)].copy() for video in videos]
        for time in times
    ]
    about = () if inputs.clip is None else (inputs.clip.domain, inputs.clip.subject)
    return _Shown(portrait if isinstance(portrait, str) else portrait[0], frames, (clip_id, *about))


def _video(run: FinishedRun, clip_id: str) -> Frames | str:
    """The frames of a run, or why there are none."""
    if clip_id not in run.spec.clips:
        return "this clip is not in the run"
    record = record_of(run, clip_id)
    if isinstance(record, str):
        return record.replace(f"{run.path}/", "")  # there is little room
    try:
        return frames_of(run, record)
    except UserError as error:
        return told(error).replace(f"{run.path}/", "")
