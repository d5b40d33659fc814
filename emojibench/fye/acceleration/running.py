"""Runs the rows of `emojibench accel`, compares them, and keeps what is finished.

A folder holds it all: `runs/<row>` (ordinary run folders), `fidelity/<row>` (distances to the first row's frames) and
`traces/<row>` (single steps).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emojibench.dataset import load_dataset
from emojibench.errors import UserError
from emojibench.fye.acceleration.fidelity import Distances, Fidelity
from emojibench.fye.acceleration.matrix import AccelerationVariant
from emojibench.fye.acceleration.tracing import ClipTrace, Tracing
from emojibench.fye.matrix import Measuring
from emojibench.reports.load import FinishedRun, load_run


@dataclass(frozen=True)
class Finished:
    """One row that was run."""

    run: FinishedRun
    exit_code: int
    distances: dict[str, Distances]
    traces: dict[str, ClipTrace]


class Acceleration:
    """Runs rows one after the other, the first of the matrix first."""

    def __init__(self, out: Path, how: Measuring, traced: int, floor: int | None = None) -> None:
        """Take the folder and how to measure.

        Args:
            out: the folder.
            how: for all rows.
            traced: how many of the clips are traced.
            floor: how many of them the noise floors are run on, because they are slow; all for None.
        """
        self._out, self._how, self._traced, self._floor = out, how, traced, floor
        self._fidelity: Fidelity | None = None
        self._tracing: Tracing | None = None
        self._subjects: dict[str, str] = {}
        self._first: FinishedRun | None = None

    def check(self, rows: Sequence[AccelerationVariant]) -> None:
        """Find out before hours of work whether the rows could be run.

        Raises:
            UserError: as `Measuring.check`, or a method whose steps cannot be traced.
        """
        from emojibench import registry

        self._how.check((row.method, self._options(row)) for row in rows)
        for row in rows:
            if self._traced and not getattr(registry.load(registry.METHODS, row.method), "traceable", False):
                raise UserError(
                    f"row {row.name!r}: method {row.method} does not denoise with the reference model, so that its "
                    "steps cannot be traced; choose another method, or --traced 0"
                )

    @property
    def missing(self) -> str:
        """Why there is no LPIPS between runs; empty if there is."""
        return self._fidelity.missing if self._fidelity else ""

    def run(self, row: AccelerationVariant, *, overwrite: bool) -> Finished:
        """Run a row, then compare it with the first one.

        Raises:
            UserError: as `emojibench.run`.
        """
        how = self._how if self._fidelity is None else self._how_for(row)
        result = how.run(row.name, row.method, self._options(row), self._out / "runs", overwrite=overwrite)
        run = load_run(result.folder)
        if self._fidelity is None:
            self._first = run
            self._fidelity = Fidelity(result.folder, self._out / "fidelity")
            spec = run.spec
            dataset = load_dataset(spec.dataset_ref, size=spec.protocol.size, detector=spec.protocol.detector)
            self._subjects = {clip: dataset.clip(clip).subject for clip in spec.clips}
            if self._traced:
                good = [clip for clip in spec.clips if clip not in run.failed]
                self._tracing = Tracing(spec, good[: self._traced], self._out / "traces")
        return Finished(
            run,
            result.exit_code,
            self._fidelity.of(result.folder, self._subjects),
            self._tracing.row(row.name, run) if self._tracing else {},
        )

    def kept(self, row: AccelerationVariant) -> Finished | None:
        """What earlier calls finished of a row, if it was measured as the first row is; runs nothing.

        Only after `run` of the first row.
        """
        from emojibench import registry

        assert self._first is not None
        assert self._fidelity is not None
        folder = self._out / "runs" / row.name
        if not (folder / "summary.json").is_file():
            return None
        run, options = load_run(folder), self._options(row)
        try:
            revision = registry.load(registry.METHODS, row.method)(options).revision
        except UserError:
            return None
        clips = self._first.spec.clips[: self._floor if "floor" in row.groups else None]
        wanted = (
            self._first.track,
            self._first.spec.split,
            self._first.spec.seed,
            row.method,
            revision,
            clips,
        )
        spec = run.spec
        if (run.track, spec.split, spec.seed, spec.method, spec.revision, spec.clips) != wanted:
            return None
        distances = self._fidelity.of(folder, self._subjects, measure=False)
        traces = self._tracing.kept(row.name, spec) if self._tracing else {}
        compared = set(clips) - set(run.failed) - set(self._first.failed)
        traced = self._tracing.wanted(run) if self._tracing else ()
        if not compared <= set(distances) or not set(traced) <= set(traces):
            return None
        return Finished(run, 0, distances, traces)

    def _how_for(self, row: AccelerationVariant) -> Measuring:
        """How to measure a row that is not the first."""
        clips = self._how.clips
        if self._floor is None or "floor" not in row.groups:
            return self._how
        if clips is None or isinstance(clips, int):
            return replace(self._how, clips=min(self._floor, clips or self._floor))
        return replace(self._how, clips=clips[: self._floor])

    def _options(self, row: AccelerationVariant) -> dict[str, str]:
        return {**self._how.options, **row.options}
