"""Scoring a sample of a row's clips again: from the animations of its run, or from animations made again."""

import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from emojibench_metrics.cost import LATENCY

from emojibench import registry
from emojibench.errors import UnavailableError, UserError, one_line
from emojibench.registry import unknown
from emojibench.reports.receipts.making import frames_digest
from emojibench.reports.receipts.parts import (
    Checked,
    Finding,
    Parts,
    UncheckedError,
    Verdict,
    checked,
    is_embedded,
)
from emojibench.reports.verdicts import Tolerance, read_tolerances
from emojibench.runs import api
from emojibench.runs.folder import RunFolder
from emojibench.runs.records import Row

_NAME = "again"
_RELATIVE = 1e-3
"""So much may a value of the very same frames differ: other versions of libraries round otherwise."""


def rescored(parts: Parts, wanted: int | Sequence[str], run: Path | None) -> list[Checked]:
    """Check frames and values of some clips.

    Args:
        parts: of the row.
        wanted: how many clips, drawn anew each time, or clip ids.
        run: folder of the run, with its animations; None: the row's own, if it has some, or they are made again.

    Raises:
        UserError: a clip is not one of the row's, or `run` has no animations.
    """
    try:
        clips = _chosen(parts, wanted)
        run = run or (parts.path if parts.is_run else None)
        with tempfile.TemporaryDirectory(prefix="emojibench-verify-") as scratch:
            folder, same = _animated(parts, clips, run, Path(scratch))
            return _compared(parts, folder, same, run)
    except UncheckedError as why:
        return [Checked("frames and values of some clips", "not checked", f"not scored again: {why}")]


def _chosen(parts: Parts, wanted: int | Sequence[str]) -> tuple[str, ...]:
    failed = parts.summary.clips.failed
    there = [clip for clip in parts.spec.clips if clip not in failed]
    if not there:
        raise UncheckedError("the method failed on every clip")
    if isinstance(wanted, int):
        if wanted < 1:
            raise UserError(f"--deep: expected a number of clips from 1, got {wanted}")
        drawn = set(random.SystemRandom().sample(there, min(wanted, len(there))))
        return tuple(clip for clip in there if clip in drawn)
    for clip in wanted:
        if clip in failed:
            raise UserError(
                f"--clips: the method failed on {clip}, so there is nothing to score; choose others"
            )
        if clip not in there:
            raise UserError(f"--clips: {unknown('clip', clip, there)}")
    return tuple(wanted)


def _expected(parts: Parts, clip: str) -> str:
    """How the digest of a clip's frames begins; rows without a receipt have 16 digits of it beside their latency."""
    try:
        return parts.receipt.clips[clip].frames or ""
    except (UncheckedError, KeyError):
        row = parts.rows.get(LATENCY.name, {}).get(clip)
        if row is None or not row.inputs:
            raise UncheckedError(f"clip {clip}: the row has no digest of its frames") from None
        return row.inputs


def _animated(
    parts: Parts, clips: Sequence[str], run: Path | None, scratch: Path
) -> tuple[RunFolder, dict[str, bool]]:
    """A run of these clips alone, scored; and whether each has the frames that the row tells of."""
    spec = parts.spec
    if parts.dataset is None and not is_embedded(spec.dataset):
        raise UncheckedError(f"dataset {spec.dataset} is not built in; --dataset DIR says where it is")
    ref = parts.dataset or spec.dataset
    metrics = [name for name in spec.metrics if name in registry.usable(registry.METRICS)]
    if not metrics:
        raise UncheckedError("none of its metrics is installed here")
    folder = RunFolder(scratch / _NAME)
    folder.path.mkdir()
    own = spec.model_copy(update={"name": _NAME, "dataset_ref": ref, "clips": tuple(clips)})
    folder.write_json("spec.json", own.model_dump(mode="json"))
    if run is None and spec.source == "predictions":
        raise UncheckedError("finished videos cannot be made again; --run DIR says where the run is")
    if run is not None:
        for clip in clips:
            _copy(run, clip, folder)
    try:
        if run is not None:
            api.rescore(folder.path, metrics=metrics, dataset=ref)
        else:
            api.run(
                spec.method, split=spec.split, dataset=ref, clips=list(clips), metrics=metrics, options=spec.options,
                seed=spec.seed, name=_NAME, out=scratch, size=spec.protocol.size, frames=spec.protocol.frames,
            )  # fmt: skip
    except (UserError, UnavailableError) as error:
        raise UncheckedError(one_line(error).partition(": ")[2]) from error
    same = {}
    for clip in clips:
        record = folder.animation(clip)
        if record is None or record.status == "failed":
            raise UncheckedError(f"clip {clip} failed: {record.reason if record else 'no animation'}")
        same[clip] = record.digest.startswith(_expected(parts, clip))
    return folder, same


def _copy(run: Path, clip: str, folder: RunFolder) -> None:
    source, target = RunFolder(run), folder.path / "animations" / clip
    video = source.frames_file(clip)
    if not video.is_file() or source.animation(clip) is None:
        raise UserError(f"{video}: expected the clip's frames, found none; give the folder of the row's run")
    target.mkdir(parents=True)
    for name in ("animation.json", video.name):
        shutil.copyfile(video.with_name(name), target / name)


def _compared(parts: Parts, folder: RunFolder, same: dict[str, bool], run: Path | None) -> list[Checked]:
    """What frames and values of the clips are beside those of the row."""
    named = ", ".join(same)
    if run is None:
        others = ", ".join(clip for clip, equal in same.items() if not equal)
        why = "the same pixels" if not others else (
            f"other pixels in {others}, as other machines or libraries make them: values are held against the "
            "gate's tolerances"
        )  # fmt: skip
        frames = Checked(f"clips made again by {parts.spec.method}: {named}", "agrees", why)
        return [frames, _values(parts, folder, same)]
    frames = checked(f"frames in {run} are those that were scored: {named}", _frames(parts, folder, same))
    return [frames] if frames.findings else [frames, _values(parts, folder, same)]


def _frames(parts: Parts, folder: RunFolder, clips: Iterable[str]) -> Iterator[Finding]:
    for clip in clips:
        wanted, found = _expected(parts, clip), frames_digest(folder.frames_file(clip))
        if not found.startswith(wanted):
            yield Finding(f"animations/{clip}/frames.mkv", "sha256 of the frames", wanted, found)


def _values(parts: Parts, folder: RunFolder, same: dict[str, bool]) -> Checked:
    """Values that are not those of the row, and what this machine cannot score."""
    again, columns = folder.rows(), {column.name: column for column in folder.spec().columns}
    versions = {column.name: column.version for column in parts.spec.columns}
    allowed = read_tolerances({}, columns)
    findings: list[Finding] = []
    gaps: dict[str, str] = {}
    compared = 0
    for name, column in columns.items():
        tolerance = next(value for pattern, value in allowed.items() if fnmatchcase(name, pattern))
        for clip, equal in same.items():
            ours, theirs = again.get((clip, name)), parts.rows.get(name, {}).get(clip)
            if column.kind == "set" or ours is None or theirs is None or theirs.value is None:
                continue
            if versions.get(name, column.version) != column.version:
                gaps[name] = f"version {column.version} of the metric is here, {versions[name]} in the row"
            elif ours.value is None and ours.status in ("unavailable", "failed"):
                gaps[name] = ours.reason
            else:
                compared += 1
                if not _agree(theirs, ours, tolerance, column.decimals, equal):
                    found = ours.reason if ours.value is None else f"{ours.value:.6g}, scored again"
                    findings.append(
                        Finding("rows.parquet", f"clip {clip}, {name}", found, f"{theirs.value:.6g}")
                    )
    why = "; ".join((f"{compared} values", *(f"without {name}: {gap}" for name, gap in gaps.items())))
    verdict: Verdict = "differs" if findings else "agrees" if compared else "not checked"
    return Checked("values of these clips, scored again", verdict, why, tuple(findings))


def _agree(theirs: Row, ours: Row, tolerance: Tolerance, decimals: int, equal: bool) -> bool:
    if theirs.value is None or ours.value is None:
        return False
    if equal:
        allowed = max(_RELATIVE * abs(theirs.value), 10.0 ** -(decimals + 1))
    else:
        allowed = tolerance.absolute(theirs.value, decimals)
    return abs(theirs.value - ours.value) <= allowed
