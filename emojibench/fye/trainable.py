"""What `emojibench train` can train: for each preset its recipe, how training starts, and what its dry run does."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emojibench import registry
from emojibench.errors import UserError

if TYPE_CHECKING:
    from emojibench_metrics.lpips import LpipsNetwork
    from fye_faster.presets import Preset
    from fye_faster.train.critic import Perceptual
    from fye_faster.train.data import TrainingSet
    from fye_faster.train.recipe import Recipe
    from fye_faster.train.trainer import Trainer
    from fye_faster.train.training_log import Log
    from fye_faster.train.validation import Animates
    from torch import Tensor, nn

PAPER = "paper"


class TrainablePreset(ABC):
    """A preset that can be trained. Its methods raise ValueError for what the user can correct."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The preset's."""

    @property
    @abstractmethod
    def resolution(self) -> int:
        """Side of the frames, pixels."""

    @property
    @abstractmethod
    def phases(self) -> tuple[str, ...]:
        """Those of `recipe.PHASES` that it has."""

    @abstractmethod
    def recipe(self) -> "Recipe":
        """The default recipe."""

    @abstractmethod
    def trainer(self, data: "TrainingSet", recipe: "Recipe", out: Path | None, log: "Log") -> "Trainer":
        """A trainer at step 0, ready to run."""

    @abstractmethod
    def validation_pipeline(self, trainer: "Trainer") -> "tuple[Animates, nn.Module]":
        """The pipeline that validation samples with, and the module in it that receives the averaged weights."""

    def dry_run(self, data: "TrainingSet", recipe: "Recipe", tell: Callable[[str], None]) -> dict[str, Any]:
        """Train two steps of each phase and return parameters, seconds a step and memory."""
        from fye_faster.train.recipe import PHASES

        from emojibench.runs.measuring import MemoryWatch

        ends: dict[str, list[float]] = {phase: [] for phase in self.phases}

        def log(record: dict[str, float | int | str]) -> None:
            if "finished" in record:
                tell(f"{record['phase']}: two steps done")

        def progress(what: str, _done: int, _total: int) -> None:
            if what in ends:  # not while data is encoded
                ends[what].append(time.monotonic())

        first, second, third, fourth = (2 * (phase in self.phases) for phase in PHASES)
        trainer = self.trainer(data, replace(recipe, steps=(first, second, third, fourth)), None, log)
        memory = MemoryWatch()
        trainer.run(progress=progress)
        # From the end of the first step to that of the second: what is done once in a phase does not count.
        seconds = {phase: round(second - first, 2) for phase, (first, second) in ends.items()}
        parameters = sum(p.numel() for p in trainer.model.parameters())
        return {
            "parameters": parameters,
            "seconds_a_step": seconds,
            "peak_memory_mib": memory.peak()[0] >> 20,
        }


@dataclass(frozen=True)
class Mini(TrainablePreset):
    """From random weights, or from those of a file."""

    preset: "Preset"
    start: Path | None

    @property
    def name(self) -> str:
        """See `TrainablePreset`."""
        return self.preset.name

    @property
    def resolution(self) -> int:
        """See `TrainablePreset`."""
        return self.preset.resolution

    @property
    def phases(self) -> tuple[str, ...]:
        """See `TrainablePreset`."""
        from fye_faster.train.recipe import PHASES

        return PHASES

    def recipe(self) -> "Recipe":
        """See `TrainablePreset`."""
        from fye_faster.train.mini import RECIPE

        return RECIPE

    def trainer(self, data: "TrainingSet", recipe: "Recipe", out: Path | None, log: "Log") -> "Trainer":
        """See `TrainablePreset`."""
        from fye_faster.models import checkpoint
        from fye_faster.train.mini import MiniTrainer

        model = checkpoint.Model(self.preset)
        start = None
        if self.start is not None:
            checkpoint.load(model, self.start)
            start = checkpoint.digest(self.start)
        return MiniTrainer(model, data, recipe, out, log, distance(recipe), start)

    def validation_pipeline(self, trainer: "Trainer") -> "tuple[Animates, nn.Module]":
        """See `TrainablePreset`."""
        from fye_faster.models.checkpoint import Model
        from fye_faster.pipelines.mini import Pipeline

        pipeline = Pipeline(Model(self.preset), device=trainer.accelerator.device.type)
        return pipeline, pipeline.model


@dataclass(frozen=True)
class Paper(TrainablePreset):
    """From the public checkpoints, and from the animator in a file where there is one."""

    start: Path | None
    files: Mapping[str, Path]
    """See `fye_faster.presets.FILES`."""

    @property
    def name(self) -> str:
        """See `TrainablePreset`."""
        return PAPER

    @property
    def resolution(self) -> int:
        """See `TrainablePreset`."""
        from fye_faster.models import paper

        return paper.PAPER.resolution

    @property
    def phases(self) -> tuple[str, ...]:
        """See `TrainablePreset`."""
        from fye_faster.train.paper import PaperTrainer

        return PaperTrainer.phases

    def recipe(self) -> "Recipe":
        """See `TrainablePreset`."""
        from fye_faster.train.paper import RECIPE

        return RECIPE

    def trainer(self, data: "TrainingSet", recipe: "Recipe", out: Path | None, log: "Log") -> "Trainer":
        """See `TrainablePreset`."""
        from fye_faster.models import checkpoint, paper
        from fye_faster.train.paper import PaperTrainer

        model = paper.PaperModel(paper.PAPER)
        paper.start(model, self.files)
        if self.start is not None:
            checkpoint.load(model.animator, self.start)
        read = self.files if self.start is None else {**self.files, "start": self.start}
        start = ", ".join(f"{name} {checkpoint.digest(path)}" for name, path in sorted(read.items()))
        return PaperTrainer(model, data, recipe, out, log, start)

    def validation_pipeline(self, trainer: "Trainer") -> "tuple[Animates, nn.Module]":
        """See `TrainablePreset`."""
        from fye_faster.train.paper import PaperTrainer, validation_pipeline

        assert isinstance(trainer, PaperTrainer)
        pipeline = validation_pipeline(trainer.model)
        return pipeline, pipeline.model.animator

    def dry_run(self, data: "TrainingSet", recipe: "Recipe", tell: Callable[[str], None]) -> dict[str, Any]:
        """On a GPU, train two steps of each phase. Elsewhere check the files, and all shapes on the meta device."""
        if recipe.device == "cuda":
            return super().dry_run(data, recipe, tell)
        import torch
        from fye_faster.models import paper
        from fye_faster.train.paper import dry_run

        with torch.device("meta"):
            paper.check_start(paper.PaperModel(paper.PAPER), self.files)
        tell(f"{', '.join(self.files)}: every tensor is there")
        return dry_run(paper.PAPER, data, recipe)


def choose(name: str, start: Path | None, files: Mapping[str, Path]) -> TrainablePreset:
    """The preset of this name.

    Args:
        name: `paper`, or one of `fye_faster.presets.PRESETS`.
        start: weights of the preset to start from.
        files: what the preset starts from, by name.

    Raises:
        UserError: no such preset; files that it does not know or that are missing.
    """
    from fye_faster.presets import PRESETS

    check(name, files)
    return Mini(PRESETS[name], start) if name in PRESETS else Paper(start, files)


def check(name: str, given: Mapping[str, Path]) -> None:
    """See that a preset is given the files that it starts from. Imports nothing heavy. Raises as `choose`."""
    from fye_faster.presets import FILES, PRESETS

    if name in PRESETS:
        if given:
            raise UserError(f"--from: preset {name} starts from random weights or from --start; leave it out")
        return
    if name != PAPER:
        raise UserError(f"--preset: {registry.unknown('preset', name, [*PRESETS, PAPER])}")
    for key, path in given.items():
        if key not in FILES:
            raise UserError(f"--from: {registry.unknown('checkpoint', key, FILES)}")
        if not path.is_file():
            raise UserError(f"--from {key}={path}: no such file; get it or correct the path")
    if missing := [key for key in FILES if key not in given]:
        raise UserError(
            f"--from: preset {name} starts from {', '.join(FILES)}, of which {', '.join(missing)} are missing; "
            f"add --from {missing[0]}=PATH"
        )


def paths(files: Sequence[str]) -> dict[str, Path]:
    """NAME=PATH of --from, by name.

    Raises:
        UserError: anything else.
    """
    found = {}
    for text in files:
        name, separator, path = text.partition("=")
        if not (name and separator and path):
            raise UserError(f"--from: expected NAME=PATH, got {text!r}")
        found[name] = Path(path)
    return found


class _Lpips:
    """LPIPS on the device of the pictures."""

    def __init__(self, network: "LpipsNetwork") -> None:
        self._network = network

    def between(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return self._network.to(a.device).between(a, b)

    def features(self, pictures: "Tensor") -> "Iterator[Tensor]":
        return self._network.to(pictures.device).features(pictures)


def distance(recipe: "Recipe") -> "Perceptual | None":
    """LPIPS with SqueezeNet, whose weights are fetched; None if its weight in the recipe is 0."""
    if recipe.perceptual == 0:
        return None
    from emojibench_metrics.lpips import WEIGHTS, LpipsNetwork
    from emojibench_metrics.networks import load_tensors

    from emojibench import weights

    backbone, heads = (load_tensors(weights.find(name)) for name in WEIGHTS["squeeze"])
    return _Lpips(LpipsNetwork("squeeze", backbone, heads))
