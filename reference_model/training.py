"""Training of a preset: single frames and clips, phases 1 and 2 of the paper, and what the preset has beside them.

Phase 1 trains everything but the motion modules on pairs of frames of one identity; phase 2 trains the motion
modules and the anchors on windows of frames. Latents are computed once before, so that a step of either
phase costs no more than the networks it trains.
"""

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from reference_model import checkpoint
from reference_model.batches import Batches, to_device
from reference_model.objectives import Objectives
from reference_model.recipe import PHASES, Recipe

Log = Callable[[dict[str, float | int | str]], None]
Validate = Callable[[dict[str, Tensor], str], float]
"""Takes averaged weights and a label, returns an error: less is better."""


class Trainer(ABC):
    """Runs the phases; can be killed at any moment and continues from its last checkpoint.

    Device, mixed precision and several processes (`accelerate launch`) are accelerate's business. Several processes
    draw different batches; they need `Recipe.steps`, since their clocks may differ.
    """

    phases: ClassVar[tuple[str, ...]]
    """Those of `recipe.PHASES` that the preset has."""

    def __init__(
        self,
        model: nn.Module,
        learnt: nn.Module,
        batches: Callable[[int], Batches],
        recipe: Recipe,
        out: Path | None,
        log: Log,
    ) -> None:
        """Train `learnt` in place.

        Args:
            model: all of it; what is not in `learnt` stays as it is.
            learnt: the part that is trained, averaged and saved; it knows its `preset`.
            batches: makes the batches from a seed.
            recipe: how.
            out: folder of the checkpoints; None: there shall be none.
            log: takes records of progress.

        Raises:
            ValueError: a device that is not there; several processes without a number of steps; a budget for a phase
                that the preset does not have.
        """
        if recipe.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device: cuda was asked for, but PyTorch sees no CUDA device; use cpu")
        self.accelerator = Accelerator(
            mixed_precision="bf16" if recipe.bf16 else "no", cpu=recipe.device == "cpu"
        )
        if self.accelerator.num_processes > 1 and recipe.steps is None:
            raise ValueError(
                "steps: several processes cannot share a budget of minutes; give numbers of steps"
            )
        self.model, self.learnt, self.recipe, self.out, self.log = model, learnt, recipe, out, log
        self.preset: checkpoint.Trained = learnt.preset
        for phase in set(PHASES) - set(self.phases):
            if self._budget(phase) > 0:
                raise ValueError(
                    f"steps: preset {self.preset.name} has no phase {phase!r}; expected 0 for it"
                )
        model.requires_grad_(False).to(self.accelerator.device)
        self.batches = batches(recipe.seed + self.accelerator.process_index)
        self.phase, self.step, self.spent = 0, 0, 0.0
        self.best = {"error": math.inf, "step": 0}
        self.weights = dict(learnt.state_dict())
        self.average = {name: value.clone() for name, value in self.weights.items()}
        self._start_phase()

    # What presets do differently

    @abstractmethod
    def _objectives(self) -> Objectives:
        """Losses of the model."""

    @abstractmethod
    def _trained_in(self, name: str, parameter: nn.Parameter) -> set[str]:
        """Phases that train a parameter of `learnt`."""

    @abstractmethod
    def _encode(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to latents (N, C, h, w)."""

    def _peak_rate(self, phase: str) -> float:
        """Largest learning rate of a phase."""
        return self.recipe.learning_rate

    def _begin(self, phase: str) -> None:
        """Before the first step of a phase, or of what is left of it."""
        if self.batches.latents is None:
            self._encode_all()

    def _finish(self, phase: str) -> None:
        """After the last step of a phase, when the weights are the averaged ones."""
        self._record(finished=1)

    def run(self, validate: Validate | None = None) -> dict[str, Tensor]:
        """Train to the end; returns the averaged weights (a state dict of `learnt`).

        Args:
            validate: called at each checkpoint and at the end of the denoiser's phases. Where there is a folder for
                checkpoints, each of these phases ends with the averaged weights that it found best.
        """
        torch.set_flush_denormal(True)  # tiny moments of the optimizer would slow every step down
        try:
            while self.phase < len(self.phases):
                if self._budget(self.phases[self.phase]) > 0:
                    self._run_phase(validate)
                    self._finish_phase(validate)
                self._next_phase()
        finally:
            torch.set_flush_denormal(False)
        return self.average

    def _start_phase(self) -> None:
        """Choose what this phase trains."""
        phase = self.phases[self.phase]
        for name, parameter in self.learnt.named_parameters():
            parameter.requires_grad_(phase in self._trained_in(name, parameter))
        self.trained = [(n, p) for n, p in self.learnt.named_parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            [p for _, p in self.trained],
            lr=self._peak_rate(phase),
            weight_decay=0.01,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.objectives, self.optimizer = self.accelerator.prepare(self._objectives(), optimizer)

    def _run_phase(self, validate: Validate | None) -> None:
        phase = self.phases[self.phase]
        self._begin(phase)
        clock = saved = logged = time.monotonic()
        losses: list[Tensor] = []
        self.objectives.train()
        while (progress := self._progress()) < 1:
            for group in self.optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * self._rate(progress)
            drawn = self.batches.draw(phase, self.step)
            batch = [to_device(part, self.accelerator.device) for part in drawn]
            objective, reported = self.objectives(phase, *batch)
            self.optimizer.zero_grad(set_to_none=True)
            self.accelerator.backward(objective)
            self.accelerator.clip_grad_norm_([p for _, p in self.trained], 1.0)
            self.optimizer.step()
            self.step += 1
            self._follow(min(self.recipe.decay, self.step / (self.step + 10)))
            losses.append(torch.stack([objective.detach(), reported]))
            now = time.monotonic()
            self.spent, clock = self.spent + now - clock, now
            if now - logged > 20:
                total, plain = torch.stack(losses).mean(0).tolist()
                self._record(progress=round(progress, 4), objective=total, loss=plain)
                losses, logged = [], now
            if now - saved > 60 * self.recipe.checkpoint_minutes:
                self._validate(validate)
                self.save()
                saved = clock = time.monotonic()

    def _validate(self, validate: Validate | None) -> None:
        phase = self.phases[self.phase]
        if validate is None or phase == "autoencoder" or not self.accelerator.is_main_process:
            return
        error = validate(self.average, f"{phase}-{self.step:06d}")
        if error < self.best["error"] and self.out is not None:
            self.best = {"error": error, "step": self.step}
            self.out.mkdir(parents=True, exist_ok=True)
            checkpoint.save(self._best_file(), self.average, self.preset, torch.float32)

    def _best_file(self) -> Path:
        assert self.out is not None
        return self.out / f"best-{self.phase}.safetensors"

    def _finish_phase(self, validate: Validate | None) -> None:
        self._validate(validate)
        self.accelerator.wait_for_everyone()
        if validate is not None and self.out is not None and self._best_file().is_file():
            checkpoint.load(self.learnt, self._best_file())
            for name, _ in self.trained:
                self.average[name].copy_(self.weights[name])
            self._record(best_step=self.best["step"])
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                self._best_file().unlink()
        for name, parameter in self.trained:
            parameter.data.copy_(self.average[name])
        self._finish(self.phases[self.phase])

    def _next_phase(self) -> None:
        self.phase, self.step, self.spent = self.phase + 1, 0, 0.0
        self.best = {"error": math.inf, "step": 0}
        if self.phase < len(self.phases):
            self._start_phase()
        self.save()

    def _record(self, **values: float) -> None:
        minutes = round(self.spent / 60, 2)
        if self.accelerator.is_main_process:
            self.log({"phase": self.phases[self.phase], "step": self.step, "minutes": minutes, **values})

    def _budget(self, phase: str) -> float:
        """Steps or seconds of a phase; 0 leaves it out."""
        index = PHASES.index(phase)
        if self.recipe.steps is not None:
            return self.recipe.steps[index]
        return 60 * self.recipe.minutes * self.recipe.shares[index]

    def _progress(self) -> float:
        """Share of this phase that is done."""
        budget = self._budget(self.phases[self.phase])
        return (self.spent if self.recipe.steps is None else self.step) / budget

    def _rate(self, progress: float) -> float:
        """Learning rate as a share of its peak: linear warm-up, then half a cosine."""
        return min((self.step + 1) / self.recipe.warm_up, 1.0) * (0.5 + 0.5 * math.cos(math.pi * progress))

    def _follow(self, decay: float) -> None:
        """Move the averaged weights towards the current ones."""
        names = [name for name, _ in self.trained]
        with torch.no_grad():
            torch._foreach_lerp_(
                [self.average[n] for n in names], [self.weights[n] for n in names], 1 - decay
            )

    @torch.no_grad()
    def _encode_all(self) -> None:
        self.model.eval()
        start = time.monotonic()

        def encode(pictures: Tensor) -> Tensor:
            with self.accelerator.autocast():
                return self._encode(pictures.to(self.accelerator.device))

        self.batches.keep_latents(encode)
        self.log({"phase": "encode", "minutes": round((time.monotonic() - start) / 60, 2)})

    # Checkpoints

    def save(self) -> None:
        """Write a checkpoint; a kill in the middle leaves the previous one."""
        if self.out is None or not self.accelerator.is_main_process:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        preset = self.preset
        stem = self.out / f"checkpoint-{self.phase}-{self.step:06d}"
        checkpoint.save(stem.with_suffix(".weights.safetensors"), self.weights, preset, torch.float32)
        checkpoint.save(stem.with_suffix(".average.safetensors"), self.average, preset, torch.float32)
        torch.save(
            {"optimizer": self.optimizer.state_dict(), "rng": self.batches.torch_rng.get_state()},
            stem.with_suffix(".pt"),
        )
        state = {"checkpoint": stem.name, "phase": self.phase, "step": self.step, "spent": self.spent,
                 "numpy": self.batches.rng.bit_generator.state}  # fmt: skip
        if self.best["step"]:
            state["best"] = self.best
        partial = self.out / "state.partial"
        partial.write_text(json.dumps(state))
        partial.replace(self.out / "state.json")
        for old in self.out.glob("checkpoint-*"):
            if not old.name.startswith(f"{stem.name}."):
                old.unlink()

    def resume(self) -> bool:
        """Continue from the last checkpoint in `out`; False where there is none.

        Raises:
            ValueError: a checkpoint of another preset or version.
        """
        if self.out is None or not (self.out / "state.json").is_file():
            return False
        state = json.loads((self.out / "state.json").read_text())
        stem = self.out / state["checkpoint"]
        checkpoint.load(self.learnt, stem.with_suffix(".average.safetensors"))
        self.average = {name: value.clone() for name, value in self.weights.items()}
        checkpoint.load(self.learnt, stem.with_suffix(".weights.safetensors"))
        self.phase, self.step, self.spent = state["phase"], state["step"], state["spent"]
        self.best = state.get("best", self.best)
        self.batches.rng.bit_generator.state = state["numpy"]
        extra = torch.load(stem.with_suffix(".pt"), weights_only=True)
        if self.phase < len(self.phases):
            self._start_phase()
            self.optimizer.load_state_dict(extra["optimizer"])
        self.batches.torch_rng.set_state(extra["rng"])
        if (
            index := self.accelerator.process_index
        ):  # the state is the main process's; others go on with their own draws
            self.batches.rng = np.random.default_rng([self.recipe.seed, index, self.phase, self.step])
            self.batches.torch_rng.manual_seed(int(self.batches.rng.integers(2**63)))
        return True


def jsonl(path: Path) -> Log:
    """A log that appends one JSON object a line to a file."""

    def write(record: dict[str, float | int | str]) -> None:
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    return write


def tensorboard(folder: Path) -> Log:
    """A log of scalars for TensorBoard.

    Raises:
        ImportError: TensorBoard is not installed.
    """
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))
    at = {"step": 0}  # a validation belongs to the step recorded last

    def write(record: dict[str, float | int | str]) -> None:
        stage = record.get("phase", "validation")
        at["step"] = int(record.get("step", at["step"]))
        for name, value in record.items():
            if isinstance(value, int | float) and name != "step":
                writer.add_scalar(f"{stage}/{name}", value, at["step"])
        writer.flush()

    return write
