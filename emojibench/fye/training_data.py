"""Training data for the reference model: procedural identities that no split contains, or a dataset folder.

Everything is rendered or read once into memory-mapped files, so that training needs neither renderer nor detector.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from emojibench.errors import UserError
from emojibench.files.reading import read_json
from emojibench.files.writing import continued, reserve, write_text
from emojibench.parallel import available_cores, spread
from emojibench.progress import stage

if TYPE_CHECKING:
    from fye_faster.train.data import TrainingSet

    from emojibench.dataset.dataset import Dataset
    from emojibench.synth.sequences import Sequence
    from emojibench.types import Frames, Landmarks

MISSES = 2
"""Frames without a detected face that a sequence may have; they repeat their neighbours."""
WINDOW = 16
"""Frames that the temporal layers see together."""
_ANEW = "make the data anew with --fresh, or choose another --out"


@dataclass(frozen=True)
class Selection:
    """Which of a sequence's T frames training sees."""

    frames: tuple[int, ...]
    """Sorted: every eighth, the last, and a run of consecutive ones in the middle."""
    windows: tuple[tuple[int, ...], ...]
    """Positions in `frames` of consecutive frames."""
    keyframes: tuple[tuple[int, ...], ...]
    """Positions in `frames` of frames far apart."""


def select(total: int) -> Selection:
    """Choose from T = `total` frames.

    Raises:
        UserError: fewer than 3 frames.
    """
    if total < 3:
        raise UserError(f"training sequences need at least 3 frames, got {total}")
    start = max(0, (total - WINDOW) // 2)
    run = range(start, min(start + WINDOW + 1, total))
    spaced = [*range(0, total - 1, 8), total - 1]
    frames = sorted({*spaced, *run})
    middle = run[2:-2] if len(run) > WINDOW else run

    def positions(chosen: "list[int] | range") -> tuple[int, ...]:
        return tuple(frames.index(k) for k in chosen)

    windows = {positions(run[:WINDOW]), positions(run[-WINDOW:]), positions(middle)}
    sparse = -(-len(spaced) // WINDOW)  # keyframes are denoised together, as windows are
    keyframes = {
        positions(spaced[:: sparse * step]) for step in (1, 2, 3) if len(spaced[:: sparse * step]) > 1
    }
    return Selection(tuple(frames), tuple(sorted(windows)), tuple(sorted(keyframes)))


def synthetic(folder: Path, count: int, size: int, *, fresh: bool = False) -> "TrainingSet":
    """`count` procedural sequences from seeds that no split uses; less those whose face is not found.

    Portraits are that of the cross split and the first frame.

    Args:
        folder: where the data is kept; what is there already is used.
        count: sequences.
        size: side of the frames, pixels.
        fresh: whether data that was made otherwise may be replaced.

    Raises:
        UserError: `folder` holds data of other sequences, of another size or detector, and not `fresh`.
    """
    from emojibench.face.detect import detector_id
    from emojibench.synth.sequences import FRAMES, training_sequences

    chosen, detector = select(FRAMES), detector_id()
    source = {"source": "synth", "count": count, "frames": list(chosen.frames), "detector": detector}
    load = partial(_render, chosen.frames, size, detector)
    jobs = training_sequences(count)
    return _prepare(folder, source, size, chosen, jobs, load, portraits=2, fresh=fresh)


def from_dataset(
    folder: Path, dataset: "Dataset", *, count: int | None = None, fresh: bool = False
) -> "TrainingSet":
    """`self` clips of a dataset; their portrait is the first frame.

    Args:
        folder: where the data is kept; what is there already is used.
        dataset: gives clips at the size that it was opened with.
        count: clips, from the first; None: all.
        fresh: whether data that was made otherwise may be replaced.

    Raises:
        UserError: no such clips, clips without frames, or of different lengths; `folder` holds data of another
            dataset, size or detector, and not `fresh`.
        DatasetError, MediaError: a file is not what the manifest says.
    """
    ids = dataset.clip_ids("self")[:count]
    lengths = {dataset.entry(clip_id).frames for clip_id in ids}
    if len(lengths) != 1:
        raise UserError(
            f"dataset {dataset.name}: clips of {sorted(lengths)} frames; training needs equal lengths: "
            "build it with --frames"
        )
    chosen = select(lengths.pop())
    source: dict[str, object] = {
        "source": dataset.digest,
        "frames": list(chosen.frames),
        "detector": dataset.detector,
    }
    if count is not None:
        source["count"] = len(ids)
    load = partial(_read, dataset, chosen.frames)
    return _prepare(folder, source, dataset.size, chosen, ids, load, portraits=1, fresh=fresh)


def _prepare(
    folder: Path,
    source: Mapping[str, object],
    size: int,
    chosen: Selection,
    jobs: "list[Sequence] | list[str]",
    load: "Callable[[Sequence | str], tuple[Frames, Landmarks] | None]",
    *,
    portraits: int,
    fresh: bool,
) -> "TrainingSet":
    """Write `frames.npy` and `landmarks.npy`; what is there from the same source is kept.

    `done.json`, written last, says what they were made from; without it they are the remains of a killed call.
    Several processes may ask for the same data at once: one makes it.

    Args:
        folder: where.
        source: what the files come from.
        size: side of the frames, pixels.
        chosen: the selection; frames in front of it (a cross portrait) are counted in.
        jobs: one for each sequence.
        load: reads a job, in a worker process; None where the sequence cannot be used.
        portraits: how many frames, from the first, serve as portraits.
        fresh: whether what is there from another source, or damaged, is replaced.
    """
    from filelock import FileLock, Timeout

    extra = portraits - 1
    wanted = {**source, "size": size, "portraits": portraits}
    shape = (extra + len(chosen.frames), size, size, 3)
    pictures = (len(jobs), *shape)
    open_ = partial(_open, folder, wanted, pictures, chosen, extra)

    def there() -> "TrainingSet | None":
        try:
            return open_()
        except UserError:
            if not fresh:
                raise
            return None

    if (data := there()) is not None:
        return data
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with stage(f"waiting for another process that prepares {folder}"):
            lock.acquire()
    try:
        if (data := there()) is None:
            _make(folder, wanted, pictures, jobs, partial(_write, folder, load))
            data = open_()
    finally:
        lock.release()
    assert data is not None
    return data


def _make(
    folder: Path,
    wanted: Mapping[str, object],
    pictures: tuple[int, ...],
    jobs: "list[Sequence] | list[str]",
    write: "Callable[[tuple[int, Sequence | str]], Landmarks | None]",
) -> None:
    """Write the files of a folder, the note last."""
    stamp = folder / "done.json"
    stamp.unlink(missing_ok=True)
    with continued(file := folder / "frames.npy"):
        np.lib.format.open_memmap(file, "w+", np.uint8, pictures)  # type: ignore[no-untyped-call]
        reserve(file)
    landmarks: list[NDArray[np.float32]] = []
    rows: list[tuple[int, Sequence | str]] = list(enumerate(jobs))
    found = spread(
        write,
        rows,
        jobs=available_cores(),
        what="Preparing training data",
        remedy="free some memory",
    )
    with closing(found), stage("preparing") as progress:
        progress(0, len(jobs))
        for i, points in enumerate(found):
            if points is not None:
                _move(file, i, len(landmarks))
                landmarks.append(points)
            progress(i + 1, len(jobs))
    if not landmarks:
        raise UserError(f"{folder}: none of {len(jobs)} sequences shows a face in nearly all frames")
    np.save(folder / "landmarks.npy", np.stack(landmarks))
    write_text(stamp, json.dumps({"wanted": wanted, "usable": len(landmarks)}))


def _open(
    folder: Path,
    wanted: Mapping[str, object],
    pictures: tuple[int, ...],
    chosen: Selection,
    extra: int,
) -> "TrainingSet | None":
    """The data of a finished preparation; None where there was none.

    Raises:
        UserError: it was made otherwise, or is damaged.
    """
    from fye_faster.train.data import TrainingSet

    stamp = folder / "done.json"
    if not stamp.exists():
        return None
    noted = read_json(stamp, advice=_ANEW)
    there, usable = noted.get("wanted"), noted.get("usable")
    count = pictures[0]
    if not isinstance(there, dict) or not isinstance(usable, int) or not usable > 0:
        raise UserError(f"{stamp}: expected the note of prepared training data, got something else; {_ANEW}")
    there.pop("warp", None)  # whether an earlier version kept warped portraits beside the frames
    _refuse_other(folder, there, wanted)
    if usable > count:
        raise UserError(f"{stamp}: usable: expected at most {count} sequences, got {usable}; {_ANEW}")
    frames = _array(folder / "frames.npy", np.uint8, pictures)
    points = (usable, pictures[1], 478, 3)
    landmarks = np.asarray(_array(folder / "landmarks.npy", np.float32, points))
    windows, keyframes = (
        tuple(tuple(extra + k for k in group) for group in groups)
        for groups in (chosen.windows, chosen.keyframes)
    )
    try:
        return TrainingSet(frames[:usable], landmarks, 1 + extra, windows, keyframes)
    except ValueError as error:
        raise UserError(f"{folder}: {error}; {_ANEW}") from error


def _array(file: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """A file's array, mapped into memory.

    Raises:
        UserError: no such file, or of something else.
    """
    if not file.is_file():
        raise UserError(f"{file}: prepared training data is missing; {_ANEW}")
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy's parser of headers raises half a dozen types
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{file}: expected prepared training data, got something else ({reason}); {_ANEW}"
        ) from error
    if not isinstance(array, np.ndarray) or (array.dtype, array.shape) != (np.dtype(dtype), shape):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise UserError(f"{file}: expected {np.dtype(dtype)} {shape}, got {found}; {_ANEW}")
    return array


def _refuse_other(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise UserError unless the data in a folder is what is asked for: hours may have gone into it."""
    different = [key for key in {**wanted, **there} if there.get(key) != wanted.get(key)]
    if different:
        holds, asked = (", ".join(_told(key, note.get(key)) for key in different) for note in (there, wanted))
        raise UserError(
            f"{folder}: holds training data with {holds}, asked for {asked}; ask for what is there, choose another "
            "--out, or replace it with --fresh"
        )


def _told(key: str, value: object) -> str:
    """One thing that prepared data is known by, for a message."""
    if value is None:
        return f"no {key}"
    if key == "count":
        return f"{value} sequences"
    if key == "frames":
        return f"frames {','.join(map(str, cast('list[int]', value)))}"
    return f"{key} {str(value)[:12] if key == 'source' else value}"  # a dataset's digest is long


def _write(
    folder: Path,
    load: "Callable[[Sequence | str], tuple[Frames, Landmarks] | None]",
    job: "tuple[int, Sequence | str]",
) -> "Landmarks | None":
    """Read a sequence into its row of the file; its landmarks, or None."""
    import cv2

    cv2.setNumThreads(1)
    index, sequence = job
    loaded = load(sequence)
    if loaded is None:
        return None
    frames, landmarks = loaded
    np.load(folder / "frames.npy", mmap_mode="r+")[index] = frames
    return landmarks


def _move(file: Path, source: int, target: int) -> None:
    """Close the gaps that unusable sequences leave."""
    if source != target:
        rows = np.load(file, mmap_mode="r+")
        rows[target] = rows[source]


def _render(
    frames: tuple[int, ...], size: int, detector: str, sequence: "Sequence"
) -> "tuple[Frames, Landmarks] | None":
    """The cross portrait and the chosen frames of a procedural sequence, and their landmarks."""
    from emojibench.dataset.cache import shared_detector
    from emojibench.synth.render import render
    from emojibench.synth.sequences import portrait_state

    states = [portrait_state(sequence), *(sequence.motion.at(k) for k in frames)]
    pictures = np.stack([render(sequence.identity, state, size) for state in states])
    found = [shared_detector(detector).detect(picture) for picture in pictures]
    nothing = np.full((478, 3), np.nan, np.float32)
    return _filled(pictures, np.stack([nothing if points is None else points for points in found]))


def _read(dataset: "Dataset", frames: tuple[int, ...], clip_id: str) -> "tuple[Frames, Landmarks] | None":
    """The chosen frames of a dataset's clip and their landmarks."""
    truth = dataset.ground_truth(clip_id)
    if truth is None:
        raise UserError(f"dataset {dataset.name}: clip {clip_id} has no frames to learn from")
    chosen = list(frames)
    return _filled(truth[chosen], dataset.clip(clip_id).driving.landmarks[chosen])


def _filled(frames: "Frames", landmarks: "Landmarks") -> "tuple[Frames, Landmarks] | None":
    """Frames without a face repeat the nearest with one; None where they are too many."""
    seen = np.flatnonzero(np.isfinite(landmarks).all(axis=(1, 2)))
    if len(seen) < len(frames) - MISSES:
        return None
    nearest = [int(seen[np.abs(seen - k).argmin()]) for k in range(len(frames))]
    return frames[nearest], landmarks[nearest]
