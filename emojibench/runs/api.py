"""What the commands `run` and `score` do, as functions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from emojibench import protocol as protocols
from emojibench.dataset import load_dataset, locating
from emojibench.dataset.dataset import Dataset
from emojibench.errors import UserError, plain
from emojibench.face.detect import open_detector
from emojibench.methods import finding
from emojibench.parallel.choosing import chosen
from emojibench.parallel.executor import Executor, Needs, Root, Work
from emojibench.parallel.worker import Setup
from emojibench.parallel.workers import Workers
from emojibench.progress import ClipProgress, say
from emojibench.protocol import Protocol
from emojibench.runs import generate, provenance, scoring
from emojibench.runs.clips import Clips
from emojibench.runs.folder import RunFolder
from emojibench.runs.predictions import Predictions
from emojibench.runs.result import RunResult
from emojibench.runs.spec import RunSpec, checked_name
from emojibench.runs.summarise import summarise

TIMEOUT = 1800.0
"""Seconds after which one clip counts as hung."""
SCORING = partial(Needs, gpus=0.25)
"""Scoring is half done by the processor: four share a GPU."""


def run(
    method: str,
    *,
    split: str = "self",
    dataset: str | Path = "mini",
    clips: int | Sequence[str] | None = None,
    metrics: Iterable[str] | None = None,
    options: Mapping[str, str] | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    seed: int = 0,
    name: str | None = None,
    out: str | Path = "runs",
    strict: bool = False,
    timeout: float = TIMEOUT,
    overwrite: bool = False,
    quiet: bool = False,
    size: int | None = None,
    frames: int | None = None,
) -> RunResult:
    """Animate a split with a method, score it, write the run folder; continue where an earlier call stopped.

    Args:
        method: registered name, or the path of a command's YAML file.
        split: `self` or `cross`.
        dataset: `mini`, `synth`, or a dataset folder.
        clips: the first so many clips, or clip ids; None means all.
        metrics: names of metrics or of their columns; None means all that are registered. A run that is
            continued keeps those it has beside them.
        options: the method's own settings, as text.
        jobs: worker processes of this machine; None: 1. Only latency and memory depend on it.
        executor: where workers run, if not on this machine.
        seed: every clip's seed is derived from it and the clip id.
        name: of the run folder; by default `<method>-<split>-<dataset>`.
        out: folder that holds run folders.
        strict: unavailable metrics make `exit_code` 3.
        timeout: seconds after which one clip counts as hung and fails.
        overwrite: replace a run of the same name instead of continuing it.
        quiet: no progress on stderr.
        size: side in pixels of the frames that the method gets and metrics see; None means the dataset's. Another
            size is another protocol: its numbers go into tables of their own.
        frames: cut clips to so many frames; None means the dataset's. Another number is another protocol.

    Raises:
        UserError: something the caller can correct; what was finished before stays in the run folder.
    """
    method, reference = finding.checked(method)
    checked_name(method, "--method")
    options = dict(options or {})
    for key, value in options.items():
        if plain(key + value) != key + value:
            raise UserError(f"--set {plain(key)}: expected text in UTF-8, got '{plain(value)}'")
    if name is not None:
        checked_name(name, "--name")
    bench = _Bench.open(
        dataset, split, clips, metrics, chosen(jobs, executor), timeout, quiet, size=size, frames=frames
    )
    setup = generate.AnimateSetup(bench.presented, partial(finding.open_method, reference, options), seed)
    name = name or f"{method}-{split}-{bench.dataset.name}"
    partial_spec = {"source": "method", "method": method, "options": options, "seed": seed}
    what, needs = f"method {method!r}", partial(finding.needs, reference)
    return bench.execute(out, name, setup, what, partial_spec, strict, overwrite, needs=needs)


def check(
    *,
    split: str,
    dataset: str | Path,
    clips: int | Sequence[str] | None,
    metrics: Iterable[str] | None,
    executor: Executor,
    timeout: float,
    frames: int | None,
) -> None:
    """Raise the `UserError` that `run` would raise for these arguments, without running anything."""
    _Bench.open(dataset, split, clips, metrics, executor, timeout, quiet=True, frames=frames)


def score(
    predictions: str | Path,
    *,
    split: str = "self",
    dataset: str | Path = "mini",
    clips: int | Sequence[str] | None = None,
    metrics: Iterable[str] | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    strict: bool = False,
    timeout: float = TIMEOUT,
    overwrite: bool = False,
    quiet: bool = False,
    size: int | None = None,
    frames: int | None = None,
) -> RunResult:
    """Score finished videos: `<clip_id>.mkv|mp4|avi|mov|webm` or `<clip_id>/*.png` for each clip of a split.

    A clip whose video is missing, damaged or has the wrong number of frames fails with its reason. Frames of
    another size are resized to the protocol's (area filter when they shrink, bicubic when they grow) and the
    rows say so.

    Args:
        predictions: the folder.
        split, dataset, clips, metrics, jobs, executor, out, strict, timeout, overwrite, quiet, size, frames: as in
            `run`.
        name: of the method; by default the folder's. The run folder is `<name>-<split>-<dataset>`.

    Raises:
        UserError: something the caller can correct.
    """
    folder = Predictions(locating.predictions(predictions))
    bench = _Bench.open(
        dataset, split, clips, metrics, chosen(jobs, executor), timeout, quiet, size=size, frames=frames
    )
    folder.check_any(bench.clips)
    if name is None:
        method = checked_name(folder.folder.resolve().name, "--predictions", "name the method with --name")
    else:
        method = checked_name(name, "--name")
    name = f"{method}-{split}-{bench.dataset.name}"
    setup = generate.IngestSetup(bench.presented, folder)
    partial_spec = {"source": "predictions", "method": method, "options": {}, "seed": 0}
    return bench.execute(
        out, name, setup, "reading of finished videos", partial_spec, strict, overwrite, predictions=folder
    )


def rescore(
    run_folder: str | Path,
    *,
    metrics: Iterable[str] | None = None,
    dataset: str | Path | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    strict: bool = False,
    timeout: float = TIMEOUT,
    quiet: bool = False,
) -> RunResult:
    """Score the animations of an existing run again, under today's metrics; values still valid are kept.

    Args:
        run_folder: the run.
        metrics: names of metrics or of their columns; those scored before stay beside them. None means all
            that are registered.
        dataset: where the run's dataset lies now, if it moved.
        jobs, executor, strict, timeout, quiet: as in `run`.

    Raises:
        UserError: not a run folder, or the dataset is another one than the run's.
    """
    path = locating.run(run_folder)
    old = RunFolder(path).spec()
    try:
        bench = _Bench.open(
            dataset or old.dataset_ref, old.split, old.clips, metrics, chosen(jobs, executor), timeout, quiet,
            earlier=old.protocol, clips_from=f"{path / 'spec.json'}, clips",
        )  # fmt: skip
    except UserError as error:
        if dataset is not None or Path(old.dataset_ref).exists() or old.dataset_ref in locating.EMBEDDED:
            raise
        raise UserError(
            f"{path}: its dataset was {old.dataset_ref!r}, which is not there; say where it is now with --dataset"
        ) from error
    new = old.model_copy(
        update={
            "metrics": bench.metrics,
            "protocol": bench.protocol,
            "dataset_ref": str(bench.ref),
            "dataset_digest": bench.dataset.digest,
        }
    )
    with RunFolder(path) as folder, _saying_what_is_kept(folder), bench.executor:
        return bench.score(folder, folder.bind(new), strict)


@dataclass(frozen=True)
class _Bench:
    """What animating and scoring share."""

    ref: str | Path
    dataset: Dataset
    protocol: Protocol
    split: str
    clips: tuple[str, ...]
    metrics: tuple[str, ...]
    executor: Executor
    timeout: float
    quiet: bool

    @classmethod
    def open(
        cls,
        ref: str | Path,
        split: str,
        clips: int | Sequence[str] | None,
        metrics: Iterable[str] | None,
        executor: Executor,
        timeout: float,
        quiet: bool,
        size: int | None = None,
        frames: int | None = None,
        earlier: Protocol | None = None,
        clips_from: str = "--clips",
    ) -> "_Bench":
        """Check everything that can be checked before a worker starts."""
        if timeout <= 0:
            raise UserError(f"--timeout: expected seconds above 0, got {timeout:g}")
        if plain(str(ref)) != str(ref):
            raise UserError(
                f"--dataset: expected a name in UTF-8, got {plain(str(ref))!r}; rename the folder"
            )
        names = scoring.checked_metrics(metrics)
        if earlier is None:
            dataset = load_dataset(ref, size=size, detector="auto")
            frames = dataset.checked_frames(frames)
        else:
            dataset = load_dataset(ref, size=earlier.size, detector=earlier.detector)
            frames = earlier.frames
        protocol = protocols.default(dataset.detector, size=dataset.size, frames=frames)
        clip_ids = dataset.chosen(split, clips, given_by=clips_from)
        return cls(ref, dataset, protocol, split, clip_ids, names, executor, timeout, quiet)

    @property
    def presented(self) -> Clips:
        """Clips as the protocol wants them."""
        return Clips(self.dataset, self.protocol.frames)

    def execute(
        self,
        out: str | Path,
        name: str,
        setup: Setup,
        what: str,
        fields: dict[str, Any],
        strict: bool,
        overwrite: bool,
        predictions: Predictions | None = None,
        needs: Callable[[], Needs] = Needs,
    ) -> RunResult:
        """Animate (or read finished videos), then score."""
        path = Path(out).absolute() / checked_name(name, "the run folder's name", "choose another --name")
        with RunFolder(path) as folder, _saying_what_is_kept(folder), self.executor:
            say(f"{what}: loading ...", quiet=self.quiet)
            with self._workers(setup, what, folder, "animate", needs, predictions) as workers:
                spec = RunSpec(
                    name=name,
                    revision=workers.info["revision"],
                    about=workers.info.get("about", {}),
                    dataset_ref=str(self.ref),
                    dataset=self.dataset.name,
                    dataset_version=self.dataset.version,
                    dataset_digest=self.dataset.digest,
                    split=self.split,
                    clips=self.clips,
                    metrics=self.metrics,
                    protocol=self.protocol,
                    **fields,
                )
                spec = folder.bind(spec, overwrite=overwrite)
                todo = [clip for clip in spec.clips if not generate.finished(folder, clip, predictions)]
                if todo:
                    folder.reopen()
                    self.dataset.prepare(todo, executor=self.executor, quiet=self.quiet)
                    self._record(folder, spec, "animate", workers)
                    with ClipProgress(
                        "animate", len(todo), quiet=self.quiet, where=workers.where
                    ) as progress:
                        generate.generate(folder, workers, todo, self._sources(predictions), progress)
            return self.score(folder, spec, strict)

    def _sources(self, predictions: Predictions | None) -> generate.Sources:
        """Files that a clip is made from."""
        if predictions is None:
            return self.dataset.sources
        return lambda clip_id: (*self.dataset.sources(clip_id), *predictions.sources(clip_id))

    def score(self, folder: RunFolder, spec: RunSpec, strict: bool) -> RunResult:
        """Score what is animated and write the summary."""
        left = scoring.plan(folder, spec, self.dataset)
        if scoring.needed(left):
            folder.reopen()
            detector = partial(open_detector, self.protocol.detector)
            say("metrics: loading ...", quiet=self.quiet)
            setup = scoring.setup(left, self.presented, detector)
            with self._workers(setup, "scoring", folder, "score", SCORING) as workers:
                if set(scoring.needed(left)) - set(workers.info["unavailable"]):
                    self._record(folder, spec, "score", workers)
                with ClipProgress("score", len(left.jobs), quiet=self.quiet, where=workers.where) as progress:
                    scoring.score_clips(folder, left, workers, progress)
                scoring.score_sets(folder, left, workers)
        summary = summarise(folder)
        failed: dict[str, str] = {}
        unavailable: dict[str, str] = {}
        for row in left.rows.values():
            if row.metric not in summary.metrics:  # of a metric that is no longer registered
                continue
            if row.status == "failed":
                failed.setdefault(row.clip_id, row.reason)
            elif row.status == "unavailable":
                unavailable.setdefault(row.metric, row.reason)
        return RunResult(folder.path, summary, failed, unavailable, strict)

    def _workers(
        self,
        setup: Setup,
        what: str,
        folder: RunFolder,
        stage: str,
        needs: Callable[[], Needs],
        predictions: Predictions | None = None,
    ) -> Workers:
        log = folder.path / "logs" / f"{stage}.txt"
        roots = [Root(folder.scratch, private=True), *self.dataset.roots]
        if stage == "score":
            roots.insert(1, Root(folder.path, "spec.json"))
        if predictions and (witness := predictions.witness(self.clips)):
            roots.append(Root(predictions.folder, witness))
        work = Work(setup, what, quiet=self.quiet, needs=needs, roots=tuple(roots))
        return Workers(self.executor, work, timeout=self.timeout, log=log)

    def _record(self, folder: RunFolder, spec: RunSpec, stage: str, workers: Workers) -> None:
        info = workers.info
        weights = info.get("weights", {})
        provenance.write(
            folder, spec, stage=stage, device=info["device"], weights=weights, jobs=workers.jobs,
            executor=self.executor.name,
        )  # fmt: skip


@contextmanager
def _saying_what_is_kept(folder: RunFolder) -> Iterator[None]:
    """Make Ctrl-C say what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if not (folder.path / "spec.json").exists():
            raise
        clips = folder.spec().clips
        kept = sum(folder.frames_file(clip).exists() for clip in clips)
        raise KeyboardInterrupt(
            f"interrupted: {kept} of {len(clips)} clips are animated and kept in {folder.path}; "
            "the same command goes on from there"
        ) from None
