"""How far the frames of one run are from those of another, frame by frame."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from emojibench import registry, weights
from emojibench.errors import UnavailableError, UserError
from emojibench.files.reading import read_json
from emojibench.media import read_video, write_text
from emojibench.progress import ClipProgress
from emojibench.runs.folder import RunFolder

PERCEPTUAL = "lpips-squeeze"
"""The registered metric; its weights are small enough for a laptop."""


@dataclass(frozen=True)
class Distances:
    """How far the frames of one clip are from those of the reference run."""

    subject: str
    mse: list[float]
    """Of each frame, on [0, 1]."""
    lpips: list[float] | None
    """Of each frame; None where the weights cannot be had."""


_DISTANCES = TypeAdapter(Distances)


class Fidelity:
    """Distances of runs to one reference run; what is measured is kept in a folder."""

    def __init__(self, reference: Path, folder: Path) -> None:
        """Take the reference's run folder, and where to keep distances."""
        self._reference, self._folder = RunFolder(reference), folder
        self.missing = ""
        """Why there is no LPIPS; empty if there is."""
        self._metric: Any = None
        try:
            self._metric = registry.load(registry.METRICS, PERCEPTUAL)(weights.find)
        except UnavailableError as error:
            self.missing = f"{PERCEPTUAL}: {error}"

    def of(self, run: Path, subjects: dict[str, str], *, measure: bool = True) -> dict[str, Distances]:
        """Clip id to distances, for clips that both runs have.

        Args:
            run: a run folder over the same clips.
            subjects: clip id to its portrait's subject.
            measure: off: only what was measured before.
        """
        other = RunFolder(run)
        found: dict[str, Distances] = {}
        with ClipProgress(f"comparing {run.name}", len(subjects), quiet=not measure) as progress:
            for clip, subject in subjects.items():
                distances = self._clip(other, clip, subject, measure)
                if distances is not None:
                    found[clip] = distances
                progress.done(clip)
        return found

    def _clip(self, other: RunFolder, clip: str, subject: str, measure: bool) -> Distances | None:
        records = [folder.animation(clip) for folder in (self._reference, other)]
        if any(record is None or record.status != "ok" for record in records):
            return None
        key = [record.digest for record in records if record is not None]
        file = self._folder / other.path.name / f"{clip}.json"
        if (kept := _kept(file, key, lpips=self._metric is not None)) is not None or not measure:
            return kept
        try:
            truth, frames = (read_video(folder.frames_file(clip)) for folder in (self._reference, other))
        except (OSError, UserError) as error:
            raise UserError(
                f"{other.path}: {clip} cannot be read ({error}); run it again with --overwrite"
            ) from error
        gap = (frames.astype(np.float32) - truth) / 255
        made = Distances(
            subject,
            [float(np.square(frame).mean()) for frame in gap],
            None if self._metric is None else _numbers(self._metric.per_frame(frames, truth)),
        )
        write_text(file, json.dumps({"digests": key, **asdict(made)}))
        return made


def _numbers(columns: dict[str, Any]) -> list[float]:
    (column,) = columns.values()
    return [float(value) for value in column]


def _kept(file: Path, digests: list[str], *, lpips: bool) -> Distances | None:
    """Distances measured earlier, if they are of the same frames and lack nothing."""
    try:
        content = read_json(file)
        if content.pop("digests", None) != digests:
            return None
        kept = _DISTANCES.validate_python(content)
    except (UserError, ValidationError):
        return None
    return None if lpips and kept.lpips is None else kept
