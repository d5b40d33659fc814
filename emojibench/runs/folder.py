"""The run folder: what lies on disk, in which order it is written, and why it survives `kill -9`.

    spec.json          what the run is; atomic
    provenance.json    where its numbers came from; atomic
    animations/<clip>/ frames.mkv (FFV1, lossless), preview.mp4 (H.264, watermarked), animation.json
    features/<clip>.npz  detected landmarks and features of set metrics; atomic
    rows.jsonl         one line a value; append only, the last line of a (clip, metric) counts
    rows.parquet, summary.json  views of the above; atomic, made at the end and anew at any time
    logs/              what a method or metric printed before it failed
    .scratch/, .lock   work in progress

1. spec.json comes first, so a folder with animations always says what they are.
2. A clip is animated in .scratch/<clip>; animation.json goes there last, then the whole folder is renamed
   into animations/. The rename is the finish line: a clip is in animations/ whole, or not at all. What a
   killed process leaves in .scratch is deleted by the next one.
3. A clip's features are written before its rows. All rows of a clip are appended in one write and synced to
   disk. A kill may tear that write: the torn last line is cut off by the next process, and rows that are
   missing are computed again. A value is finished when its row is there and names the digest of its inputs.
4. Only the process that holds the lock writes here (workers write into .scratch). It is an advisory lock of
   the operating system: it ends with its process, however that ends.
5. summary.json is removed before anything changes that it says, so that a summary always fits its folder.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from emojibench import registry, tracebacks
from emojibench.dataset import locating
from emojibench.errors import UnavailableError, UserError
from emojibench.files import reading
from emojibench.files.arrays import read_npz
from emojibench.files.locking import LOCK, lock
from emojibench.files.writing import check_own, replacing, sync
from emojibench.runs import columns
from emojibench.runs.records import AnimationRecord, Row
from emojibench.runs.spec import RunSpec
from emojibench.runs.summary import Summary

RowKey = tuple[str, str]
"""(clip id, metric)."""
VIDEOS = ("frames.mkv", "preview.mp4")
"""What a clip that went well consists of, beside its record."""
LOG_LIMIT = 2**20
"""Bytes of a failed clip's log that are kept."""
_ANEW = "delete the line and its value is computed again"
_TEMPORARY = ".tmp"
"""Ends the names of files that are being written."""
_BUSY = "another emojibench process is working on this run; wait for it or start another"


class OutputError(UserError):
    """The run folder cannot be written: not the fault of a method, so the whole run stops."""


class RunFolder:
    """One run on disk. Reading needs nothing; writing needs the lock: `with folder: ...`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def __enter__(self) -> "RunFolder":
        """Take the lock and tidy up after a killed process.

        Raises:
            UserError: another process holds the lock, or the folder is no run's and holds other things.
            OutputError: the folder cannot be made or written.
            WriteError: it holds links, pipes or devices, through which writing would lead elsewhere.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            check_own(self.path, temporary=self.scratch.name)
            self._refuse_strangers()
            self._lock = lock(self.path, _BUSY)
        except OSError as error:
            raise _unwritable(error, self.path, "make it writable or use a folder elsewhere") from error
        try:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(exist_ok=True)
            self._cut_torn_line()
        except OSError as error:
            raise _unwritable(error, self.path) from error
        return self

    def _refuse_strangers(self) -> None:
        """See that it is a run's folder, or holds nothing, before anything in it is touched."""
        strangers = sorted(entry.name for entry in self.path.iterdir() if not _own(entry.name))
        if strangers and not (self.path / "spec.json").exists():
            raise UserError(
                f"{self.path} is not a run folder (no spec.json) but holds {strangers[0]!r}; "
                "choose another --name or --out"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        assert self._lock is not None
        with contextlib.suppress(FileNotFoundError):  # somebody removed the folder
            bound = (self.path / "spec.json").exists()
            if bound and isinstance(error, Exception) and not isinstance(error, UserError | UnavailableError):
                tracebacks.keep(error, self.path / "logs")
            if not bound and {p.name for p in self.path.iterdir()} == {LOCK}:
                shutil.rmtree(self.path, ignore_errors=True)  # nothing came of it
        self._lock.close()

    # What the run is

    @property
    def scratch(self) -> Path:
        """Where workers write."""
        return self.path / ".scratch"

    def spec(self) -> RunSpec:
        """Read spec.json.

        Raises:
            UserError: not a run folder, or written by another version.
        """
        file = locating.run(self.path) / "spec.json"
        return reading.read_model(RunSpec, file, advice="was it written by another version?")

    def bind(self, spec: RunSpec, *, overwrite: bool = False) -> RunSpec:
        """Make this the folder of `spec`, or continue one whose animations are the same, or some of the same.

        Returns:
            What the run is now: `spec`, with the metrics that were asked for earlier beside its own.

        Raises:
            UserError: it holds a run with other animations and `overwrite` is off.
        """
        if overwrite:
            self._empty()
        elif (self.path / "spec.json").exists():
            earlier = self.spec()
            if differing := earlier.conflicts(spec):
                lines = "".join(f"\n  {line}" for line in differing)
                raise UserError(
                    f"{self.path} already holds another run; it differs in (there, here):{lines}\n"
                    "Keep both with another --name or --out, or replace it with --overwrite."
                )
            spec = self._joined(spec, earlier)
            if spec != earlier:
                self.reopen()  # a summary of another protocol must never be read as one of this
        if not spec.columns:
            factories = registry.usable(registry.METRICS)
            here = (factory for name, factory in factories.items() if name in spec.metrics)
            spec = spec.model_copy(update={"columns": columns.declared(here)})
        self.write_json("spec.json", spec.model_dump(mode="json"))
        return spec

    def _joined(self, spec: RunSpec, earlier: RunSpec) -> RunSpec:
        """`spec` with the metrics that were asked for earlier, and the columns of those that are not here today."""
        factories = registry.usable(registry.METRICS)
        wanted = dict.fromkeys((*spec.metrics, *earlier.metrics))
        here = [name for name in factories if name in wanted]
        today = columns.declared(factories[name] for name in here)
        if earlier.protocol.id == spec.protocol.id:  # else nobody here could bring their values up to date
            today = columns.with_kept(today, earlier.columns or self._summarised())
        absent = [name for name in wanted if name not in factories]
        return spec.model_copy(update={"metrics": (*here, *absent), "columns": today})

    def _summarised(self) -> tuple[columns.ColumnSpec, ...]:
        try:
            return columns.summarised(reading.read_model(Summary, self.path / "summary.json").metrics)
        except UserError:
            return ()  # not finished, or damaged: it is written anew in any case

    def reopen(self) -> None:
        """Make the run count as unfinished until it is summarised again: its values are about to change."""
        (self.path / "summary.json").unlink(missing_ok=True)

    def _empty(self) -> None:
        self.reopen()  # first, so that a run which is gutted half-way never looks finished
        shutil.rmtree(self.path / "logs", ignore_errors=True)
        for entry in self.path.iterdir():
            if not _own(entry.name) and entry.name != "spec.json":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    # Animations

    def animation(self, clip_id: str) -> AnimationRecord | None:
        """Record of a finished clip, whether it went well or failed; None where there is none yet.

        Raises:
            UserError: it cannot be read.
        """
        file = self.path / "animations" / clip_id / "animation.json"
        advice = f"delete the folder {file.parent} to animate it again"
        try:
            return reading.read_model(AnimationRecord, file, advice=advice)
        except reading.MissingFileError:
            return None

    def frames_file(self, clip_id: str) -> Path:
        """The lossless video of a finished clip."""
        return self.path / "animations" / clip_id / VIDEOS[0]

    def publish(self, record: AnimationRecord) -> None:
        """Finish a clip: its record joins the videos in .scratch/<clip>, and one rename makes them final.

        Raises:
            OutputError: it cannot be written, or a video is missing that the record tells of.
        """
        made, final = self.scratch / record.clip_id, self.path / "animations" / record.clip_id
        try:
            made.mkdir(exist_ok=True)
            if record.status == "ok":
                for name in VIDEOS:
                    (made / name).stat()
            for file in made.iterdir():
                sync(file)
            (made / "animation.json").write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
            sync(made / "animation.json")
            final.parent.mkdir(exist_ok=True)
            if final.exists():  # an earlier failure, or a video that has changed since
                shutil.rmtree(final)
            made.rename(final)
            sync(final.parent)
        except OSError as error:
            raise _unwritable(error, final) from error

    def discard_scratch(self, clip_id: str) -> None:
        """Drop what a failed clip left behind."""
        shutil.rmtree(self.scratch / clip_id, ignore_errors=True)

    # Rows

    def rows(self) -> dict[RowKey, Row]:
        """The last row of every (clip, metric); a torn last line is ignored.

        Raises:
            UserError: a line before the last is not a row.
        """
        file = self.path / "rows.jsonl"
        rows: dict[RowKey, Row] = {}
        if not file.exists():
            return rows
        with reading.open_file(file) as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                row = reading.parse_model(Row, line, f"{file}, line {number}", advice=_ANEW)
                rows[row.clip_id, row.metric] = row
        return rows

    def append(self, rows: Iterable[Row]) -> None:
        """Append rows in one write and wait until they are on disk.

        Raises:
            OutputError: they cannot be written; the file is then as it was before.
        """
        data = "".join(row.model_dump_json() + "\n" for row in rows).encode()
        if not data:
            return
        file = self.path / "rows.jsonl"
        try:
            with file.open("ab", buffering=0) as log:
                before = log.tell()
                try:
                    if log.write(data) != len(data):  # a nearly full disk takes a part without an error
                        raise OSError(28, os.strerror(28))
                    os.fsync(log.fileno())
                except OSError:
                    log.truncate(before)
                    raise
        except OSError as error:
            raise _unwritable(error, file) from error

    def _cut_torn_line(self) -> None:
        file = self.path / "rows.jsonl"
        if not file.exists():
            return
        with file.open("rb+") as log:
            data = log.read()
            log.truncate(data.rfind(b"\n") + 1)

    # Features

    def features(self, clip_id: str) -> dict[str, NDArray[Any]]:
        """Arrays kept for a clip; empty where there are none yet. Raises `UserError` where they are damaged."""
        file = self.path / "features" / f"{clip_id}.npz"
        if not file.exists():
            return {}
        return read_npz(file, advice="delete it and score the run again")

    def write_features(self, clip_id: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace the arrays kept for a clip."""
        file = self.path / "features" / f"{clip_id}.npz"
        try:
            file.parent.mkdir(exist_ok=True)
            with replacing(file, self.scratch / file.name, durable=True) as temporary:
                np.savez_compressed(temporary, **dict(arrays))
        except OSError as error:
            raise _unwritable(error, file) from error

    # Other files

    def write_json(self, name: str, content: object) -> None:
        """Replace a JSON file of the folder atomically."""
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with self.replacing(name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A path to write a file of the folder to, which takes the old one's place when it is complete.

        Raises:
            OutputError: it cannot be written.
        """
        file = self.path / name
        try:
            with replacing(file, self.path / f".{name}{_TEMPORARY}", durable=True) as temporary:
                yield temporary
        except OSError as error:
            raise _unwritable(error, file) from error

    def keep_log(self, log: Path, name: str) -> Path | None:
        """Copy a worker's log into logs/, its middle left out where it is long; None where it said nothing.

        Clips that were made together have one log, which is kept under the name of each.
        """
        final = self.path / "logs" / f"{name}.txt"
        try:
            if not log.exists() or log.stat().st_size == 0:
                return None
            final.parent.mkdir(exist_ok=True)
            _leave_out_middle(log)
            shutil.copyfile(log, final)
        except OSError as error:
            raise _unwritable(error, final) from error
        return final


def _own(name: str) -> bool:
    """Whether a folder may hold this and still count as empty: what a killed command leaves behind."""
    return name in (LOCK, ".scratch", "logs") or (name.startswith(".") and name.endswith(_TEMPORARY))


def _unwritable(error: OSError, file: Path, advice: str = "") -> OutputError:
    return OutputError(
        f"cannot write {error.filename or file}: {error.strerror or error}; {advice or remedy(error)}"
    )


def remedy(error: OSError) -> str:
    """What to do about an error in writing a run folder."""
    again = "run the same command again: it continues where it stopped"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"free some space and {again}"
    if error.errno == errno.ENOENT:
        return "somebody removed it meanwhile; run the same command again: it makes what is missing anew"
    return f"correct that and {again}"


def _leave_out_middle(log: Path) -> None:
    size = log.stat().st_size
    if size <= LOG_LIMIT:
        return
    with log.open("rb+") as file:
        start = file.read(LOG_LIMIT // 2)
        file.seek(-(LOG_LIMIT // 2), os.SEEK_END)
        end = file.read()
        gap = f"\n... {size - LOG_LIMIT:,} bytes left out ...\n".encode()
        file.seek(0)
        file.truncate(file.write(start + gap + end))
