"""A contact sheet of runs: the same frames of the same clips from every method, side by side."""

from collections.abc import Sequence
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
"""Columns that a sheet has at most if it may choose how many frames it shows."""


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
    split = runs[0].spec.split
    entries = {entry.runs[split].path: entry.label for entry in build_track(track, runs).entries}
    driving = ("driving",) if split == "cross" else ()  # of a self clip, that is the truth
    columns = (*driving, *(entries[run.path] for run in runs), "truth")
    count = frames or max(1, min(3, _WIDTH // len(columns)))
    times = np.linspace(0, 1, count + 1)[1:]
    groups = (Group(("portrait",)), *(Group(columns, f"at {time:.0%}") for time in times))
    clips = clips_of(runs[0].spec)
    return Sheet(groups, SIDE, labelled=True).draw(_row(clip, clips, runs, times) for clip in chosen)


def _row(clip_id: str, clips: Clips | str, runs: Sequence[FinishedRun], times: NDArray[np.float64]) -> Row:
    """One clip; what cannot be had is told in its place."""
    inputs = ClipInputs(clips, clip_id)
    videos: list[Frames | str] = [_video(run, clip_id) for run in runs]
    if runs[0].spec.split == "cross":
        videos.insert(0, inputs.pictures["driving"])
    videos.append(inputs.pictures["truth"])
    last = min((len(video) for video in videos if not isinstance(video, str)), default=1) - 1
    portrait = inputs.pictures["portrait"]
    pictures = [portrait if isinstance(portrait, str) else portrait[0]]
    for time in times:
        pictures += [video if isinstance(video, str) else video[round(time * last)] for video in videos]
    about = () if inputs.clip is None else (inputs.clip.domain, inputs.clip.subject)
    return Row(pictures, (clip_id, *about))


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
