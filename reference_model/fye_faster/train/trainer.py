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
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fye_faster.models import checkpoint
from fye_faster.train import latents, training_state
from fye_faster.train.batches import Batches, to_device
from fye_faster.train.latents import Latents
from fye_faster.train.objectives import Objectives
from fye_faster.train.recipe import PHASES, Recipe
from fye_faster.train.training_log import Log
from fye_faster.train.training_state import ADVICE, Best, State

Validate = Callable[[dict[str, Tensor], str], float]
"""Takes averaged weights and a label, returns an error: less is better."""
Progress = Callable[[str, int, int], None]
"""Takes what is going on, how much of it is done, and of how much: steps, seconds or pictures."""
_PATIENCE = timedelta(hours=6)  # with the process that encodes the data; NCCL's ten minutes may be too short


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
        start: str | None = None,
        latents: Path | None = None,
    ) -> None:
        """Train `learnt` in place.

        Args:
            model: all of it; what is not in `learnt` stays as it is.
            learnt: the part that is trained, averaged and saved; it knows its `preset`.
            batches: makes the batches from a seed.
            recipe: how.
            out: folder of the checkpoints; None: there shall be none.
            log: takes records of progress, in the main process.
            start: digest of the weights that `learnt` starts from, which a checkpoint remembers; None: random ones.
            latents: folder that keeps the latents; None: the folder `latents` in `out`, or memory.

        Raises:
            ValueError: a device that is not there; several processes without a number of steps; a budget for a phase
                that the preset does not have.
        """
        if recipe.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device: cuda was asked for, but PyTorch sees no CUDA device; use cpu")
        self.accelerator = Accelerator(
            mixed_precision="bf16" if recipe.bf16 else "no",
            cpu=recipe.device == "cpu",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
        if self.accelerator.num_processes > 1 and recipe.steps is None:
            raise ValueError(
                "steps: several processes cannot share a budget of minutes; give numbers of steps"
            )
        self.model, self.learnt, self.recipe, self.out, self.log = model, learnt, recipe, out, log
        self.start = start
        self._kept = out / "latents" if latents is None and out is not None else latents
        self.preset = cast("checkpoint.Trained", learnt.preset)
        for phase in set(PHASES) - set(self.phases):
            if self._budget(phase) > 0:
                raise ValueError(
                    f"steps: preset {self.preset.name} has no phase {phase!r}; expected 0 for it"
                )
        model.requires_grad_(False).to(self.accelerator.device)
        self.batches = batches(recipe.seed + self.accelerator.process_index)
        self.phase, self.step, self.spent = 0, 0, 0.0
        self.best: Best | None = None
        self._progress: Progress = _silent
        self._written, self._sha256 = "", dict[str, str]()
        self.objectives: Any = None
        self.critic: nn.Module | None = None
        self.optimizer: Any = None
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

    @abstractmethod
    def _encoder(self) -> dict[str, Tensor]:
        """The tensors that `_encode` depends on."""

    def _peak_rate(self, phase: str) -> float:
        """Largest learning rate of a phase."""
        return self.recipe.learning_rate

    def _begin(self, phase: str) -> None:
        """Before the first step of a phase, or of what is left of it."""
        if self.batches.latents is None:
            self.batches.latents = self._latents()

    def _finish(self, phase: str) -> None:
        """After the last step of a phase, when the weights are the averaged ones."""
        self._record(finished=1)

    def run(self, validate: Validate | None = None, progress: Progress | None = None) -> dict[str, Tensor]:
        """Train to the end; returns the averaged weights (a state dict of `learnt`).

        Args:
            validate: called in the main process, at each checkpoint and at the end of the denoiser's phases. Where
                there is a folder for checkpoints, each of these phases ends with the averaged weights it found best.
            progress: called in the main process after each step, and while the data is encoded.
        """
        if progress is not None and self.accelerator.is_main_process:
            self._progress = progress
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
        self._free()
        phase = self.phases[self.phase]
        for name, parameter in self.learnt.named_parameters():
            parameter.requires_grad_(phase in self._trained_in(name, parameter))
        self.trained = [(n, p) for n, p in self.learnt.named_parameters() if p.requires_grad]
        objectives = self._objectives()
        self.critic = objectives.critic
        peak = self._peak_rate(phase)
        groups: list[dict[str, Any]] = [
            {"params": [p for _, p in self.trained], "peak": peak, "betas": (0.9, 0.98)}
        ]
        if self.critic is not None:  # learns faster, and forgets sooner what the model has got rid of
            groups.append({"params": list(self.critic.parameters()), "peak": 5 * peak, "betas": (0.5, 0.9)})
        optimizer = torch.optim.AdamW(groups, lr=peak, weight_decay=0.01, fused=True)
        self.objectives, self.optimizer = self.accelerator.prepare(objectives, optimizer)

    def _free(self) -> None:
        """Let go of what belongs to a phase alone: gradients, moments, and what accelerate wraps around the losses."""
        self.learnt.zero_grad(set_to_none=True)
        self.objectives, self.optimizer = self.accelerator.free_memory(self.objectives, self.optimizer)

    def _run_phase(self, validate: Validate | None) -> None:
        phase = self.phases[self.phase]
        self._begin(phase)
        clock = saved = logged = time.monotonic()
        losses: list[Tensor] = []
        self.objectives.train()
        while (done := self._done()) < 1:
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * self.recipe.rate(self.step, done)
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
            of = round(self._budget(phase))
            self._progress(phase, min(of, self.step if self.recipe.steps else round(self.spent)), of)
            if now - logged > 20:
                total, plain = torch.stack(losses).mean(0).tolist()
                self._record(progress=round(done, 4), objective=total, loss=plain)
                losses, logged = [], now
            if now - saved > 60 * self.recipe.checkpoint_minutes:
                self._checkpoint(validate)
                saved = clock = time.monotonic()

    def _checkpoint(self, validate: Validate | None) -> None:
        """Validate and save; a failing validation costs no training."""
        try:
            self._validate(validate)
        finally:
            self.save()

    def _validate(self, validate: Validate | None) -> None:
        phase = self.phases[self.phase]
        if validate is None or phase == "autoencoder" or not self.accelerator.is_main_process:
            return
        error = validate(self.average, f"{phase}-{self.step:06d}")
        if self.out is not None and error < (math.inf if self.best is None else self.best.error):
            self.out.mkdir(parents=True, exist_ok=True)
            best = Best(error=error, step=self.step)
            file = self.out / training_state.best_file(self.phase, best)
            checkpoint.save(file, self.average, self.preset, torch.float32)
            self.best = best.model_copy(update={"sha256": training_state.digest(file)})

    def _finish_phase(self, validate: Validate | None) -> None:
        self._checkpoint(validate)
        (self.best,) = broadcast_object_list([self.best])  # the main process alone has looked
        if self.out is not None and self.best is not None:
            checkpoint.load(self.learnt, self.out / training_state.best_file(self.phase, self.best))
            for name, _ in self.trained:
                self.average[name].copy_(self.weights[name])
            self._record(best_step=self.best.step)
            self.accelerator.wait_for_everyone()  # the next checkpoint removes the file
        for name, parameter in self.trained:
            parameter.data.copy_(self.average[name])
        self._finish(self.phases[self.phase])

    def _next_phase(self) -> None:
        self.phase, self.step, self.spent = self.phase + 1, 0, 0.0
        self.best = None
        if self.phase < len(self.phases):
            self._start_phase()
        else:
            self._free()
        self.save()

    def _record(self, **values: float) -> None:
        minutes = round(self.spent / 60, 2)
        self._log({"phase": self.phases[self.phase], "step": self.step, "minutes": minutes, **values})

    def _log(self, record: dict[str, float | int | str]) -> None:
        if self.accelerator.is_main_process:
            self.log(record)

    def _budget(self, phase: str) -> float:
        """Steps or seconds of a phase; 0 leaves it out."""
        index = PHASES.index(phase)
        if self.recipe.steps is not None:
            return self.recipe.steps[index]
        return 60 * self.recipe.minutes * self.recipe.shares[index]

    def _done(self) -> float:
        """Share of this phase that is done."""
        budget = self._budget(self.phases[self.phase])
        return (self.spent if self.recipe.steps is None else self.step) / budget

    def _follow(self, decay: float) -> None:
        """Move the averaged weights towards the current ones."""
        averages = [self.average[name] for name, _ in self.trained]
        get_ema_multi_avg_fn(decay)(averages, [self.weights[name] for name, _ in self.trained], None)

    @torch.no_grad()
    def _latents(self) -> Latents:
        """Of all the data; kept in a file where there is a folder."""
        self.model.eval()
        start, done = time.monotonic(), 0
        data, warped = self.batches.data, self.batches.warped
        pictures_in_all = math.prod(data.frames.shape[:2]) * (1 + data.portraits * warped)

        def encode(pictures: Tensor) -> Tensor:
            with self.accelerator.autocast():
                return self._encode(pictures.to(self.accelerator.device))

        def tell(pictures: int) -> None:
            nonlocal done
            done += pictures
            self._progress("encode", done, pictures_in_all)

        key = latents.key_of(self._encoder(), self.accelerator.mixed_precision, data)
        with self.accelerator.main_process_first():  # the others read what it wrote
            write = self.accelerator.is_main_process
            found = latents.encode(
                data, encode, warped=warped, folder=self._kept, write=write, key=key, done=tell
            )
        self._log({"phase": "encode", "minutes": round((time.monotonic() - start) / 60, 2)})
        return found

    # Checkpoints

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the weights, as JSON can hold it. Device and times of checkpoints may change on the way."""
        recipe = asdict(self.recipe)
        del recipe["device"], recipe["checkpoint_minutes"]
        told = {**recipe, "sequences": len(self.batches.data.frames), "start": self.start or "random weights"}
        return cast("dict[str, Any]", json.loads(json.dumps(told)))

    def save(self) -> None:
        """Write a checkpoint; a kill or a full disk in the middle leaves the previous one.

        Raises:
            OSError: as `checkpoint.whole`.
        """
        if self.out is None or not self.accelerator.is_main_process:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        stem = f"checkpoint-{self.phase}-{self.step:06d}"
        names = training_state.files(stem)
        weights, average, moments = (self.out / name for name in names)
        if stem != self._written:  # else the state that is there depends on these very files
            checkpoint.save(weights, self.weights, self.preset, torch.float32)
            checkpoint.save(average, self.average, self.preset, torch.float32)
            stored = {
                "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
                "rng": self.batches.torch_rng.get_state(),
                "critic": None if self.critic is None else self.critic.state_dict(),
            }
            with checkpoint.whole(moments) as partial, partial.open("wb") as file:
                torch.save(stored, file)
            self._sha256 = {name: training_state.digest(self.out / name) for name in names}
        state = State(
            checkpoint=stem,
            phase=self.phase,
            step=self.step,
            spent=self.spent,
            numpy=dict(self.batches.rng.bit_generator.state),
            best=self.best,
            settings=self.settings,
            sha256=self._sha256,
        )
        with checkpoint.whole(self.out / training_state.FILE) as partial:
            partial.write_text(state.model_dump_json())
        self._written = stem
        best = () if self.best is None else (training_state.best_file(self.phase, self.best),)
        training_state.tidy(self.out, (*names, *best))

    def resume(self) -> bool:
        """Continue from the last checkpoint in `out`; False where there is none.

        Raises:
            ValueError: a checkpoint of another preset, of other settings, or damaged; names the file.
        """
        state = None if self.out is None else training_state.read(self.out, len(self.phases))
        if self.out is None or state is None:
            return False
        if state.settings and (told := training_state.differences(state.settings, self.settings)):
            raise ValueError(
                f"{self.out / training_state.FILE}: the training to continue has {told}; ask for the same, or {ADVICE}"
            )
        weights, average, moments = (self.out / name for name in training_state.files(state.checkpoint))
        checkpoint.load(self.learnt, average)
        self.average = {name: value.clone() for name, value in self.weights.items()}
        checkpoint.load(self.learnt, weights)
        self.phase, self.step, self.spent, self.best = state.phase, state.step, state.spent, state.best
        try:
            self.batches.rng.bit_generator.state = state.numpy
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise ValueError(f"{self.out / training_state.FILE}: numpy: {error}; {ADVICE}") from error
        if self.phase < len(self.phases):
            self._start_phase()
        else:
            self._free()
            self.trained, self.critic = [], None
        loaded, generator = training_state.read_moments(moments, [p for _, p in self.trained], self.critic)
        if self.optimizer is not None:
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": loaded, "param_groups": groups})
        self.batches.torch_rng.set_state(generator)
        if state.sha256:
            self._written, self._sha256 = state.checkpoint, state.sha256
        if index := self.accelerator.process_index:
            # The state is the main process's; others go on with their own draws.
            self.batches.rng = np.random.default_rng([self.recipe.seed, index, self.phase, self.step])
            self.batches.torch_rng.manual_seed(int(self.batches.rng.integers(2**63)))
        return True


def _silent(_what: str, _done: int, _of: int) -> None:
    """Report no progress."""
