"""Clips denoised once more under observation: FLOPs, memory and errors of each step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emojibench import registry
from emojibench.dataset import load_dataset
from emojibench.errors import UserError
from emojibench.files.arrays import ArraySpec, npz_names, read_npz
from emojibench.files.writing import atomic
from emojibench.progress import ClipProgress
from emojibench.reports.load import FinishedRun
from emojibench.runs.clips import Clips
from emojibench.runs.spec import RunSpec, clip_seed

if TYPE_CHECKING:
    from emojibench.fye.acceleration.trace import Trace

Floats = NDArray[np.float64]
_LARGEST = 4 << 30
"""Bytes of a trace: the latents of every step and window."""


@dataclass(frozen=True)
class ClipTrace:
    """The denoising of one clip in numbers."""

    latents: NDArray[np.float32] = field(repr=False)
    """(T, C, h, w) in the end."""
    flops: Floats
    """(S,) counted at each step, over all windows."""
    cached_bytes: int | None
    """The most that was kept between two steps; None where the method does not say."""
    step_errors: Floats | None
    """(S_reference,) ||z - z_reference|| / ||z_reference|| before each step of the reference, all windows; NaN where
    this row has no step at that noise level. None in traces of an earlier version that could not compare them."""
    windows: tuple[tuple[tuple[int, ...], NDArray[np.float32]], ...] = field(default=(), repr=False)
    """Frames of each window and its latents (S, C, L, h, w); of the reference only."""

    def error(self, reference: "ClipTrace") -> Floats:
        """(T,) relative error of the latents in the end, frame by frame."""
        return np.asarray(_norms(self.latents - reference.latents) / _norms(reference.latents), np.float64)

    def final_error(self, reference: "ClipTrace") -> float:
        """||z - z_reference|| / ||z_reference|| of the latents in the end, all frames together."""
        return float(np.linalg.norm(self.latents - reference.latents) / np.linalg.norm(reference.latents))


class Tracing:
    """Traces rows over some clips, the reference first; what is traced is kept in a folder."""

    def __init__(self, spec: RunSpec, clips: Sequence[str], folder: Path) -> None:
        """Take the reference's spec, the clips, and where to keep traces."""
        self._spec, self._clips, self._folder = spec, clips, folder
        dataset = load_dataset(spec.dataset_ref, size=spec.protocol.size, detector=spec.protocol.detector)
        self._source = Clips(dataset, spec.protocol.frames)
        self._references: dict[str, ClipTrace] = {}

    def kept(self, name: str, spec: RunSpec) -> dict[str, ClipTrace]:
        """Clip id to trace of one row, as far as it was traced before."""
        key = self._key(spec)
        found = {clip: _kept(self._folder / name / f"{clip}.npz", key) for clip in self._clips}
        return {clip: trace for clip, trace in found.items() if trace is not None}

    def wanted(self, run: FinishedRun) -> tuple[str, ...]:
        """Those of the clips that a run did not fail on."""
        return tuple(clip for clip in self._clips if clip not in run.failed)

    def row(self, name: str, run: FinishedRun) -> dict[str, ClipTrace]:
        """Clip id to trace of one row, as its run was made; the first call makes the reference."""
        spec, clips = run.spec, self.wanted(run)
        method: Any = None
        made: dict[str, ClipTrace] = {}
        first = not self._references
        key = self._key(spec)
        with ClipProgress(f"tracing {name}", len(clips)) as progress:
            for clip in clips:
                file = self._folder / name / f"{clip}.npz"
                trace = _kept(file, key)
                if trace is None or trace.step_errors is None:
                    method = method or registry.load(registry.METHODS, spec.method)(spec.options)

                    def tell(done: int, total: int, clip: str = clip) -> None:
                        progress.partly(clip, done / total if total else 0.0)

                    traced = method.traced(
                        self._source.clip(clip), seed=clip_seed(spec.seed, clip), progress=tell
                    )
                    trace = _numbers(traced, None if first else self._references[clip])
                    _keep(file, key, trace)
                made[clip] = trace
                progress.done(clip)
        if first:
            self._references = made
        return made

    def _key(self, spec: RunSpec) -> str:
        return (
            f"{self._spec.revision} {spec.revision} {spec.dataset_digest} {spec.seed} {spec.protocol.frames}"
        )


def _numbers(trace: "Trace", reference: ClipTrace | None) -> ClipTrace:
    """Arrays of a trace; of the reference itself where there is none to compare with."""
    windows = tuple(
        (frames, np.concatenate([step.latents.float().cpu().numpy() for step in steps]))
        for frames, steps in trace.windows.items()
    )
    flops = np.sum([[step.flops for step in steps] for steps in trace.windows.values()], 0, dtype=np.float64)
    compared = windows if reference is None else reference.windows
    return ClipTrace(
        latents=trace.latents.float().cpu().numpy(),
        flops=flops,
        cached_bytes=trace.peak_bytes,
        step_errors=_step_errors(windows, compared),
        windows=windows if reference is None else (),
    )


def _step_errors(windows: Sequence[Any], reference: Sequence[Any]) -> Floats:
    """See `ClipTrace.step_errors`. Evenly spaced steps: n of S is as noisy as m of T if n T = m S."""
    steps, known = (len(side[0][1]) for side in (windows, reference))
    errors = np.full(known, np.nan)
    shared = [m for m in range(known) if m * steps % known == 0]
    if [frames for frames, _ in windows] == [frames for frames, _ in reference]:
        mine = [m * steps // known for m in shared]
        pairs = [(a[mine], b[shared]) for (_, a), (_, b) in zip(windows, reference, strict=True)]
        squared = np.sum([np.stack([_norms(a - b), _norms(b)]) ** 2 for a, b in pairs], 0)
        errors[shared] = np.sqrt(squared[0] / squared[1])
    return errors


def _norms(arrays: NDArray[np.float32]) -> Floats:
    """(N,) of (N, ...)."""
    return np.asarray(np.linalg.norm(arrays.reshape(len(arrays), -1).astype(np.float64), axis=1))


def _keep(file: Path, key: str, trace: ClipTrace) -> None:
    arrays: dict[str, Any] = {"key": key, "latents": trace.latents, "flops": trace.flops}
    if trace.cached_bytes is not None:
        arrays["cached_bytes"] = trace.cached_bytes
    if trace.step_errors is not None:
        arrays["step_errors"] = trace.step_errors
    for number, (frames, latents) in enumerate(trace.windows):
        arrays |= {f"frames_{number}": frames, f"window_{number}": latents}
    with atomic(file) as temporary:
        np.savez(temporary, **arrays)


def _kept(file: Path, key: str) -> ClipTrace | None:
    """A trace made earlier with the same key; None also where the file is damaged, so that it is made again."""
    numbers = range(sum(name.startswith("window_") for name in npz_names(file)))
    specs = {
        "key": ArraySpec("U", ()),
        "latents": ArraySpec("f", ("T", "C", "h", "w")),
        "flops": ArraySpec("f", ("S",)),
        "cached_bytes": ArraySpec("i", (), optional=True),
        "step_errors": ArraySpec("f", ("R",), optional=True),
        **{f"frames_{k}": ArraySpec("i", (f"L{k}",)) for k in numbers},
        **{f"window_{k}": ArraySpec("f", ("S", "C", f"L{k}", "h", "w")) for k in numbers},
    }
    try:
        arrays = read_npz(file, specs, limit=_LARGEST)
    except UserError:
        return None
    if str(arrays["key"]) != key:
        return None
    return ClipTrace(
        latents=arrays["latents"],
        flops=arrays["flops"],
        cached_bytes=int(arrays["cached_bytes"]) if "cached_bytes" in arrays else None,
        step_errors=arrays.get("step_errors"),
        windows=tuple((tuple(arrays[f"frames_{k}"].tolist()), arrays[f"window_{k}"]) for k in numbers),
    )
