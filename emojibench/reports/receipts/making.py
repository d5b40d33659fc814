"""Making the receipt of a row from the run folder that it comes from."""

import hashlib
from pathlib import Path

import numpy as np

from emojibench import media
from emojibench.errors import UserError
from emojibench.files import reading
from emojibench.reports.load import FinishedRun
from emojibench.reports.receipts.receipt import (
    FILES,
    ClipReceipt,
    Receipt,
    SetReceipt,
    digest,
    digests,
    file_digest,
    origin,
    row_name,
)
from emojibench.reports.rows import rows_of
from emojibench.runs.folder import RunFolder
from emojibench.runs.provenance import Provenance
from emojibench.runs.records import AnimationRecord
from emojibench.runs.scoring import SET
from emojibench.runs.spec import RunSpec
from emojibench.runs.summary import DatasetName


def make(run: FinishedRun, row: Path, revision: int) -> Receipt:
    """The receipt of a row whose files are written.

    Args:
        run: where it comes from: a run folder with its animations, or a row that has a receipt.
        row: the folder of the row's files.
        revision: of the row.

    Raises:
        UserError: a clip has no record of its animation, or other frames than the record says.
    """
    former = run.receipt
    spec = reading.read_model(RunSpec, row / "spec.json")  # as published, without this machine's folders
    provenance = reading.read_model(Provenance, row / "provenance.json")
    clips, columns = digests(rows_of(row / "rows.parquet", frames=True))
    made = {clip: former.clips[clip] for clip in spec.clips if former and clip in former.clips}
    if former is None:
        folder = RunFolder(run.path)
        made = {clip: _clip(folder, clip) for clip in spec.clips}
    return Receipt(
        track=run.track,
        row=row_name(spec),
        revision=revision,
        method=spec.method,
        method_revision=spec.revision,
        options=spec.options,
        seed=spec.seed,
        dataset=DatasetName(name=spec.dataset, version=spec.dataset_version, digest=spec.dataset_digest),
        protocol=spec.protocol.id,
        **origin(provenance),
        clips={
            clip: about.model_copy(update={"values": clips.get(clip, digest([]))})
            for clip, about in made.items()
        },
        columns=columns,
        sets=former.sets if former else _sets(run),
        files={name: file_digest(row / name) for name in FILES},
    )


def frames_digest(file: Path) -> str:
    """sha256 of the raw frames of a lossless video. Raises `MediaError` where it cannot be read."""
    return hashlib.sha256(np.ascontiguousarray(media.read_video(file)).data).hexdigest()


def _clip(folder: RunFolder, clip: str) -> ClipReceipt:
    record = folder.animation(clip)
    file = folder.frames_file(clip)
    if record is not None and record.status == "failed":
        return ClipReceipt(frames=None, video=None, seed=None, values="0" * 16)
    if record is None or not record.digest:
        raise UserError(
            f"{file.parent}: expected the record of the clip's animation (animation.json), found none; "
            "a row carries the digests of its frames: give the run folder itself"
        )
    video = _checked(file, record) if file.exists() else None
    return ClipReceipt(
        frames=record.digest, video=video, seed=record.seed, source=record.source, values="0" * 16
    )


def _checked(file: Path, record: AnimationRecord) -> str:
    if (found := frames_digest(file)) != record.digest:
        raise UserError(
            f"{file}: expected frames with sha256 {record.digest[:12]}, as animation.json says, found {found[:12]}; "
            "delete the clip's folder and start the run's command again"
        )
    with reading.open_file(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sets(run: FinishedRun) -> dict[str, SetReceipt]:
    rows = RunFolder(run.path).rows()
    sets = {}
    for name, summary in run.summaries.items():
        if summary.kind == "set":
            row = rows.get((SET, name))
            sets[name] = SetReceipt(
                value=summary.mean, clips=summary.n_clips, inputs=row.inputs if row else ""
            )
    return sets
