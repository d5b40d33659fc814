"""Training of a preset: the autoencoder, then single frames and clips (phases 1 and 2 of the paper), then the decoder.

Phase 1 trains everything but the motion modules on pairs of frames of one identity; phase 2 trains the motion
modules and the anchors on windows of frames. Latents are computed once before, so that a step of either
phase costs no more than the networks it trains. At last the decoder learns to live with the latents that the
denoiser really makes.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from reference_model import checkpoint
from reference_model.batches import Batches, to_device
from reference_model.checkpoint import Model
from reference_model.networks import motion_modules
from reference_model.objectives import Objectives, Perceptual
from reference_model.pipeline import to_tensor
from reference_model.recipe import PHASES, Recipe
from reference_model.training_data import TrainingSet

Log = Callable[[dict[str, float | int | str]], None]


class Trainer:
    """Runs the phases; can be killed at any moment and continues from its last checkpoint.

    Device, mixed precision and several processes (`accelerate launch`) are accelerate's business. Several processes
    draw different batches; they need `Recipe.steps`, since their clocks may differ.
    """

    def __init__(
        self,
        model: Model,
        data: TrainingSet,
        recipe: Recipe,
        out: Path,
        log: Log,
        perceptual: Perceptual | None = None,
    ) -> None:
        """Train `model` in place; checkpoints go to `out`, records of progress to `log`.

        Without a perceptual distance the decoder learns from pixels alone, and draws softly what it is unsure of.

        Raises:
            ValueError: a device that is not there; several processes without a number of steps.
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
        self.model, self.data, self.recipe, self.out, self.log = model, data, recipe, out, log
        self.perceptual = perceptual
        model.to(self.accelerator.device)
        self.batches = Batches(data, model.preset, recipe, recipe.seed + self.accelerator.process_index)
        self.phase, self.step, self.spent = 0, 0, 0.0
        self.weights = dict(model.state_dict())
        self.average = {name: value.clone() for name, value in self.weights.items()}
        self._start_phase()

    def run(self, validate: Callable[[dict[str, Tensor], str], None] | None = None) -> dict[str, Tensor]:
        """Train to the end; returns the averaged weights (a `Model` state dict).

        Args:
            validate: called with the averaged weights and a label at each checkpoint of phases 1 and 2.
        """
        torch.set_flush_denormal(True)  # tiny moments of the optimizer would slow every step down
        try:
            while self.phase < len(PHASES):
                if self._budget > 0:
                    self._run_phase(validate)
                    self._finish_phase()
                self._next_phase()
        finally:
            torch.set_flush_denormal(False)
        return self.average

    def _start_phase(self) -> None:
        """Choose what this phase trains."""
        denoiser = self.model.animator.denoiser
        motion = {id(p) for m in motion_modules(denoiser) for p in m.parameters()}
        motion |= {id(p) for p in self.model.animator.anchors.parameters()}
        for name, parameter in self.model.named_parameters():
            encodes = name.startswith(("autoencoder.encoder", "autoencoder.project"))
            phases = {0} if encodes else {0, 3} if name.startswith("autoencoder") else {1}
            parameter.requires_grad_(self.phase in ({2} if id(parameter) in motion else phases))
        self.trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        rate = self.recipe.learning_rate * (2.0, 1.0, 1.0, 1.0)[self.phase]
        optimizer = torch.optim.AdamW(
            [p for _, p in self.trained], lr=rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True
        )
        self.objectives, self.optimizer = self.accelerator.prepare(
            Objectives(self.model, self.recipe.ffg, self.perceptual, self.recipe.perceptual), optimizer
        )

    def _run_phase(self, validate: Callable[[dict[str, Tensor], str], None] | None) -> None:
        if self.phase == 0 and self.step == 0:
            some = self.data.some_frames(self.batches.rng, 256)
            self.model.autoencoder.start_from_patches(to_tensor(some).to(self.accelerator.device))
            self._follow(0.0)
        if self.phase > 0 and self.batches.latents is None:
            self._encode_all()
        phase = PHASES[self.phase]
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
                self.save()
                if validate and self.phase > 0 and self.accelerator.is_main_process:
                    validate(self.average, f"{phase}-{self.step:06d}")
                saved = clock = time.monotonic()

    def _finish_phase(self) -> None:
        for name, parameter in self.trained:
            parameter.data.copy_(self.average[name])
        if self.phase == 0:
            self._normalise_latents()
        self._record(finished=1)

    def _next_phase(self) -> None:
        self.phase, self.step, self.spent = self.phase + 1, 0, 0.0
        if self.phase < len(PHASES):
            self._start_phase()
        self.save()

    def _record(self, **values: float) -> None:
        minutes = round(self.spent / 60, 2)
        if self.accelerator.is_main_process:
            self.log({"phase": PHASES[self.phase], "step": self.step, "minutes": minutes, **values})

    @property
    def _budget(self) -> float:
        """Steps or seconds of this phase; 0 leaves it out."""
        if self.recipe.steps is not None:
            return self.recipe.steps[self.phase]
        return 60 * self.recipe.minutes * self.recipe.shares[self.phase]

    def _progress(self) -> float:
        """Share of this phase that is done."""
        return (self.spent if self.recipe.steps is None else self.step) / self._budget

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
    def _normalise_latents(self) -> None:
        self.model.eval()
        batches = np.array_split(self.data.some_frames(self.batches.rng, 128), 8)
        raw = [self.model.autoencoder.raw(to_tensor(b).to(self.accelerator.device)) for b in batches]
        self.model.autoencoder.normalise(torch.cat(raw))
        for name in ("autoencoder.mean", "autoencoder.scale"):
            self.average[name].copy_(self.weights[name])

    @torch.no_grad()
    def _encode_all(self) -> None:
        self.model.eval()
        start = time.monotonic()

        def encode(pictures: Tensor) -> Tensor:
            with self.accelerator.autocast():
                return self.model.autoencoder.encode(pictures.to(self.accelerator.device))

        self.batches.keep_latents(encode)
        self.log({"phase": "encode", "minutes": round((time.monotonic() - start) / 60, 2)})

    # Checkpoints

    def save(self) -> None:
        """Write a checkpoint; a kill in the middle leaves the previous one."""
        if not self.accelerator.is_main_process:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        preset = self.model.preset
        stem = self.out / f"checkpoint-{self.phase}-{self.step:06d}"
        checkpoint.save(stem.with_suffix(".weights.safetensors"), self.weights, preset, torch.float32)
        checkpoint.save(stem.with_suffix(".average.safetensors"), self.average, preset, torch.float32)
        torch.save(
            {"optimizer": self.optimizer.state_dict(), "rng": self.batches.torch_rng.get_state()},
            stem.with_suffix(".pt"),
        )
        state = {"checkpoint": stem.name, "phase": self.phase, "step": self.step, "spent": self.spent,
                 "numpy": self.batches.rng.bit_generator.state}  # fmt: skip
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
        if not (self.out / "state.json").is_file():
            return False
        state = json.loads((self.out / "state.json").read_text())
        stem = self.out / state["checkpoint"]
        checkpoint.load(self.model, stem.with_suffix(".average.safetensors"))
        self.average = {name: value.clone() for name, value in self.weights.items()}
        checkpoint.load(self.model, stem.with_suffix(".weights.safetensors"))
        self.phase, self.step, self.spent = state["phase"], state["step"], state["spent"]
        self.batches.rng.bit_generator.state = state["numpy"]
        extra = torch.load(stem.with_suffix(".pt"), weights_only=True)
        if self.phase < len(PHASES):
            self._start_phase()
            self.optimizer.load_state_dict(extra["optimizer"])
        self.batches.torch_rng.set_state(extra["rng"])
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
