"""What `emojibench train` does, from settings to weights."""

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from emojibench.errors import UserError
from emojibench.files.locking import alone
from emojibench.files.writing import check_own, continued
from emojibench.fye import trainable
from emojibench.fye import training_data as sequences
from emojibench.fye.settings import TrainSettings
from emojibench.progress import Stages, stage

if TYPE_CHECKING:
    from fye_faster.train.data import TrainingSet
    from fye_faster.train.recipe import Recipe

Tell = Callable[[str], None]
"""Called with a line of progress."""
Number = TypeVar("Number", int, float)


class Planned:
    """A training that could begin."""

    def __init__(self, settings: TrainSettings) -> None:
        """Check the settings, and seed and thread this process as they say.

        Raises:
            UserError: settings that do not fit the preset.
        """
        import torch

        self.settings = settings
        self._preset = trainable.choose(settings.preset, settings.start, settings.files)
        if settings.perceptual and "autoencoder" not in self._preset.phases:
            raise UserError(f"--perceptual: preset {settings.preset} trains no decoder; leave it out")
        recipe = self._preset.recipe()
        self._recipe: Recipe = replace(
            recipe,
            minutes=settings.minutes,
            shares=self._phases("--shares", settings.shares) or recipe.shares,
            steps=self._phases("--steps", settings.steps),
            seed=settings.seed,
            learning_rate=settings.learning_rate or recipe.learning_rate,
            perceptual=settings.perceptual,
            bf16=settings.bf16,
            device=settings.device,
        )
        self._out = settings.out or Path("training") / settings.preset
        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)

    def dry_run(self, tell: Tell) -> str:
        """A few steps of each phase on a few sequences: the settings as YAML, below what a step takes.

        Raises:
            UserError: the data or the files do not fit.
        """
        from fye_faster.train.recipe import PHASES

        own = {
            phase: share
            for phase, share in zip(PHASES, self._recipe.shares, strict=True)
            if phase in self._preset.phases
        }
        told = {
            "out": self._out, "shares": tuple(own.values()), "learning_rate": self._recipe.learning_rate,
        }  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            data = self._data(Path(folder), 4, count=4)
            try:
                step = self._preset.dry_run(data, self._recipe, tell)
            except ValueError as error:
                raise UserError(str(error)) from error
        found = json.dumps({"sequences": len(data.frames), "frames": data.frames.shape[1], **step})
        return f"# found by --dry-run: {found}\n{self.settings.model_copy(update=told).yaml()}"

    def alone(self) -> AbstractContextManager[None]:
        """Keep another training out of the folder, for all processes that train this one together.

        Raises:
            UserError: another training is at work there.
            WriteError: the folder cannot be written, or it holds links, pipes or devices, and writing would lead
                elsewhere.
        """
        check_own(self._out)
        if os.environ.get("RANK", "0") != "0":  # as launchers set it; the first process holds the lock
            return nullcontext()
        return alone(self._out, "another process trains here; wait for it or choose another --out")

    def prepare(self, *, fresh: bool) -> "TrainingSet":
        """The training data, made where it is not there.

        Args:
            fresh: discard what an earlier training left, and data that was made otherwise.

        Raises:
            UserError: too few sequences, or data that was made otherwise.
            WriteError: no space left.
        """
        from fye_faster.train import training_state

        if fresh:  # before anything new is made, so that no later call goes on from the old
            training_state.discard(self._out)
        folder, validation = self._out / "data", self.settings.validation
        with continued(self._out):
            data = self._data(folder, self.settings.identities + validation, fresh=fresh)
        if len(data.frames) < validation + 2:
            raise UserError(
                f"{folder}: {len(data.frames)} usable sequences, {validation} of them for validation; "
                "ask for more --identities or less --validation"
            )
        return data

    def train(self, data: "TrainingSet", tell: Tell) -> Path | None:
        """Train, from the last checkpoint where there is one; the weights' file, or None in a helping process.

        Raises:
            UserError: the checkpoint was begun otherwise or is damaged.
            WriteError: no space left.
        """
        with continued(self._out):
            return self._trained(data, tell)

    def _trained(self, data: "TrainingSet", tell: Tell) -> Path | None:
        from fye_faster.models import checkpoint
        from fye_faster.train.training_log import jsonl, tensorboard
        from fye_faster.train.validation import Validation

        out, validation = self._out, self.settings.validation
        logs = [jsonl(out / "log.jsonl")]
        try:
            logs.append(tensorboard(out / "tensorboard"))
        except ImportError:
            tell("no TensorBoard here (pip install 'emojibench[train]'); log.jsonl has it all")

        def log(record: dict[str, float | int | str]) -> None:
            for write in logs:
                write(record)

        try:
            trainer = self._preset.trainer(data[:-validation], self._recipe, out, log)
            going_on = trainer.resume()
        except ValueError as error:
            raise UserError(f"{out}: {error}") from error
        if not trainer.accelerator.is_main_process:
            trainer.run()
            return None
        if going_on:
            tell(f"continuing phase {trainer.phase} at step {trainer.step}")
        look = Validation(
            *self._preset.validation_pipeline(trainer),
            data[-validation:],
            out,
            log,
            perceptual=trainable.distance(self._recipe),
            share=self._recipe.perceptual,
        )
        with Stages() as stages:
            weights = trainer.run(look, stages)
        path = out / f"{self._preset.name}.safetensors"
        checkpoint.save(path, weights, trainer.preset)
        with stage("last look"):
            look(weights, "final")
        return path

    def _data(
        self, folder: Path, identities: int, *, count: int | None = None, fresh: bool = False
    ) -> "TrainingSet":
        """Procedural identities, or `count` clips (all by default) of a dataset."""
        side = self._preset.resolution
        if not self.settings.dataset:
            return sequences.synthetic(folder, identities, side, fresh=fresh)
        from emojibench.dataset import load_dataset

        dataset = load_dataset(self.settings.dataset, size=side)
        return sequences.from_dataset(folder, dataset, count=count, fresh=fresh)

    def _phases(
        self, flag: str, numbers: tuple[Number, ...] | None
    ) -> tuple[Number, Number, Number, Number] | None:
        """Numbers for the preset's phases, not all 0; 0 for those of `recipe.PHASES` that it lacks. None stays None."""
        from fye_faster.train.recipe import PHASES

        if numbers is None:
            return None
        phases = self._preset.phases
        if len(numbers) != len(phases) or not any(numbers):
            raise UserError(
                f"{flag}: expected {len(phases)} numbers ({', '.join(phases)}), not all of them 0, got "
                f"{','.join(map(str, numbers))}"
            )
        given = dict(zip(phases, numbers, strict=True))
        zero = type(numbers[0])(0)
        first, second, third, fourth = (given.get(phase, zero) for phase in PHASES)
        return first, second, third, fourth
