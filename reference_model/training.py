"""Training of a preset: the autoencoder, then single frames (phase 1), then clips (phase 2), as in the paper.

Phase 1 trains everything but the motion modules on pairs of frames of one identity; phase 2 trains the motion
modules alone on windows of consecutive frames. Latents are computed once in between, so that a step of either
phase costs no more than the networks it trains.
"""

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference_model import checkpoint, loss, schedule
from reference_model.checkpoint import Model
from reference_model.landmarks import expression_mask, face_mask
from reference_model.networks import motion_modules, stills
from reference_model.pipeline import condition_maps, to_tensor

Log = Callable[[dict[str, float | int | str]], None]


@dataclass(frozen=True)
class TrainingSet:
    """S sequences of F frames each: one identity, one motion."""

    frames: NDArray[np.uint8]
    """(S, F, H, W, 3) RGB at the preset's resolution; a memory map will do."""
    landmarks: NDArray[np.float32]
    """(S, F, 478, 3), no NaN."""
    windows: tuple[range, ...]
    """Runs of consecutive frames; frames outside them serve phase 1 only."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 5 or self.frames.dtype != np.uint8 or self.frames.shape[-1] != 3:
            raise ValueError(
                f"frames: expected uint8 (S, F, H, W, 3), got {self.frames.dtype} {self.frames.shape}"
            )
        if self.landmarks.shape != (*self.frames.shape[:2], 478, 3):
            raise ValueError(
                f"landmarks: expected {(*self.frames.shape[:2], 478, 3)}, got {self.landmarks.shape}"
            )
        if not np.isfinite(self.landmarks).all():
            raise ValueError("landmarks: expected finite values; drop sequences with undetected faces first")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the training computes, except the data."""

    minutes: float
    """Wall-clock budget; the learning rate reaches zero at its end."""
    shares: tuple[float, float, float] = (0.15, 0.68, 0.17)
    """Of the budget: autoencoder, phase 1, phase 2."""
    steps: tuple[int, int, int] | None = None
    """Steps of the three phases instead of a budget: reproducible to the bit on one machine."""
    seed: int = 0
    learning_rate: float = 6e-4
    warm_up: int = 100
    decay: float = 0.999
    """Of the exponential moving average of the weights."""
    crops: int = 24
    """Autoencoder: crops in a batch."""
    crop: int = 128
    """Autoencoder: side of a crop, pixels."""
    portraits: int = 8
    """Phase 1: portraits in a batch; one of them is hidden, which trains the unconditional rows."""
    targets: int = 4
    """Phase 1: frames to generate for each portrait."""
    clips: int = 2
    """Phase 2: windows in a batch; every fifth batch hides the portraits."""
    ffg: float = 1.0
    """Weight of the FFG term; 0 leaves it out."""
    bf16: bool = False
    """Mixed precision."""
    checkpoint_minutes: float = 5.0


PHASES = ("autoencoder", "frames", "clips")


class Trainer:
    """Runs the phases; can be killed at any moment and continues from its last checkpoint."""

    def __init__(self, model: Model, data: TrainingSet, recipe: Recipe, out: Path, log: Log) -> None:
        """Train `model` in place; checkpoints go to `out`, records of progress to `log`."""
        self.model, self.data, self.recipe, self.out, self.log = model, data, recipe, out, log
        self.scheduler = schedule.ddim()
        self.rng = np.random.default_rng(recipe.seed)
        self.torch_rng = torch.Generator().manual_seed(recipe.seed)
        self.phase, self.step, self.spent = 0, 0, 0.0
        self.latents: Tensor | None = None
        self.weights = dict(model.state_dict())
        self.average = {name: value.clone() for name, value in self.weights.items()}
        self.optimizer = self._start_phase()

    def run(self, validate: Callable[[dict[str, Tensor], str], None] | None = None) -> dict[str, Tensor]:
        """Train to the end; returns the averaged weights (a `Model` state dict).

        Args:
            validate: called with the averaged weights and a label at each checkpoint of phases 1 and 2.
        """
        torch.set_flush_denormal(True)  # tiny moments of the optimizer would slow every step down
        try:
            while self.phase < len(PHASES):
                self._run_phase(validate)
                self._finish_phase()
        finally:
            torch.set_flush_denormal(False)
        return self.average

    # One phase

    def _start_phase(self) -> torch.optim.AdamW:
        """Choose what this phase trains."""
        motion = {id(p) for m in motion_modules(self.model.animator.denoiser) for p in m.parameters()}
        for name, parameter in self.model.named_parameters():
            part = 0 if name.startswith("autoencoder.") else 2 if id(parameter) in motion else 1
            parameter.requires_grad_(part == self.phase)
        self.trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        rate = self.recipe.learning_rate * (2.0 if self.phase == 0 else 1.0)
        return torch.optim.AdamW(
            [p for _, p in self.trained], lr=rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True
        )

    def _run_phase(self, validate: Callable[[dict[str, Tensor], str], None] | None) -> None:
        if self.phase == 0 and self.step == 0:
            self.model.autoencoder.start_from_patches(to_tensor(self._some_frames(256)))
            self._follow(0.0)
        if self.phase > 0 and self.latents is None:
            self.latents = self._encode_all()
        compute = (self._autoencoder_loss, self._frames_loss, self._clips_loss)[self.phase]
        clock = saved = logged = time.monotonic()
        losses: list[tuple[float, float]] = []
        self.model.train()
        while (progress := self._progress()) < 1:
            for group in self.optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * self._rate(progress)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
                objective, reported = compute()
            self.optimizer.zero_grad(set_to_none=True)
            objective.backward()
            torch.nn.utils.clip_grad_norm_([p for _, p in self.trained], 1.0)
            self.optimizer.step()
            self.step += 1
            self._follow(min(self.recipe.decay, self.step / (self.step + 10)))
            losses.append((float(objective.detach()), float(reported)))
            now = time.monotonic()
            self.spent, clock = self.spent + now - clock, now
            if now - logged > 20:
                total, plain = np.mean(losses, 0).tolist()
                self._record(progress=round(progress, 4), objective=total, loss=plain)
                losses, logged = [], now
            if now - saved > 60 * self.recipe.checkpoint_minutes:
                self.save()
                if validate and self.phase > 0:
                    validate(self.average, f"{PHASES[self.phase]}-{self.step:06d}")
                saved = clock = time.monotonic()

    def _finish_phase(self) -> None:
        for name, parameter in self.trained:
            parameter.data.copy_(self.average[name])
        if self.phase == 0:
            self._normalise_latents()
        self._record(finished=1)
        self.phase, self.step, self.spent = self.phase + 1, 0, 0.0
        if self.phase < len(PHASES):
            self.optimizer = self._start_phase()
        self.save()

    def _record(self, **values: float) -> None:
        minutes = round(self.spent / 60, 2)
        self.log({"phase": PHASES[self.phase], "step": self.step, "minutes": minutes, **values})

    def _progress(self) -> float:
        """Share of this phase that is done."""
        if self.recipe.steps is not None:
            return self.step / max(self.recipe.steps[self.phase], 1e-9)
        return self.spent / max(60 * self.recipe.minutes * self.recipe.shares[self.phase], 1e-9)

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

    # Losses

    def _autoencoder_loss(self) -> tuple[Tensor, float]:
        """Crops with noise on the latents, so that the decoder forgives small errors of the denoiser."""
        recipe, patch, count = self.recipe, self.model.preset.downscale, self.recipe.crops
        sequences, frames = self._choose(count)
        room = self.model.preset.resolution - recipe.crop
        corners = self.rng.integers(0, room // patch + 1, (count, 2)) * patch
        points = self.data.landmarks[sequences, frames]
        important = expression_mask(points, (self.model.preset.resolution,) * 2)
        cut = [(slice(y, y + recipe.crop), slice(x, x + recipe.crop)) for y, x in corners]
        pixels = np.stack([self.data.frames[s, f][c] for s, f, c in zip(sequences, frames, cut, strict=True)])
        weights = (
            1 + 2 * torch.from_numpy(np.stack([m[c] for m, c in zip(important, cut, strict=True)])).float()
        )
        target = to_tensor(pixels)
        raw = self.model.autoencoder.raw(target)
        noisy = raw + 0.05 * torch.randn(raw.shape, generator=self.torch_rng)
        predicted = self.model.autoencoder.picture(noisy).float()
        return loss.picture_loss(predicted, target, weights[:, None]), loss.l1(predicted, target)

    def _frames_loss(self) -> tuple[Tensor, float]:
        """Phase 1: several frames of each portrait's identity, each with its own timestep and noise."""
        portraits, targets = self.recipe.portraits, self.recipe.targets
        sequences = self.rng.integers(0, len(self.data.frames), portraits)
        # Half of the portraits are the first frame, as in the benchmark; the others any.
        first = self.rng.random(portraits) < 0.5
        reference = np.where(first, 0, self.rng.integers(0, self.data.frames.shape[1], portraits))
        rows = np.repeat(sequences, targets)
        frames = self.rng.integers(0, self.data.frames.shape[1], len(rows))
        clean, points = self._latents(rows, frames)[:, :, None], self.data.landmarks[rows, frames]
        hidden = 1 if portraits > 1 else 0
        self._look(sequences[hidden:], reference[hidden:], hidden)
        noise = torch.randn(clean.shape, generator=self.torch_rng)
        t = torch.randint(0, 1000, (len(rows),), generator=self.torch_rng)
        with stills(self.model.animator.denoiser):
            return self._denoising_loss(
                clean, noise, t, points[:, None], self._latents(rows, reference.repeat(targets))
            )

    def _clips_loss(self) -> tuple[Tensor, float]:
        """Phase 2: windows of consecutive frames with the noise of the sampler."""
        count = self.recipe.clips
        sequences = self.rng.integers(0, len(self.data.frames), count)
        spans = [self.data.windows[i] for i in self.rng.integers(0, len(self.data.windows), count)]
        frames = np.array([list(span) for span in spans])
        length = frames.shape[1]
        rows = np.repeat(sequences, length)
        clean = self._latents(rows, frames.ravel()).unflatten(0, (count, length)).transpose(1, 2)
        hidden = count if self.step % 5 == 4 else 0
        if hidden:
            self.model.animator.forget()
        else:
            with torch.no_grad():
                self._look(sequences, np.zeros(count, int), 0)
        noise = schedule.clip_noise(tuple(clean.shape), self.model.preset.shared_noise, self.torch_rng)
        t = torch.randint(0, 1000, (count,), generator=self.torch_rng)
        points = self.data.landmarks[sequences[:, None], frames]
        return self._denoising_loss(clean, noise, t, points, self._latents(sequences, np.zeros(count, int)))

    def _denoising_loss(
        self, clean: Tensor, noise: Tensor, t: Tensor, points: NDArray[np.float32], portraits: Tensor
    ) -> tuple[Tensor, float]:
        """Loss of predicting v of (B, C, F, h, w) latents at timesteps (B,) for landmarks (B, F, 478, 3)."""
        animator, preset = self.model.animator, self.model.preset
        flat = points.reshape(-1, 478, 3)
        maps = condition_maps(flat, preset).unflatten(0, points.shape[:2])
        signal, sigma = schedule.signal_and_noise(self.scheduler, t, 5)
        noisy, v = loss.v_target(clean, noise, signal, sigma)
        with torch.no_grad() if self.phase == 2 else nullcontext():
            places = animator.place(maps, portraits)
        predicted = animator.denoise(noisy, t, places)
        weights = None
        if self.recipe.ffg > 0:
            size = (preset.latent_size * 4,) * 2
            masks = (torch.from_numpy(mask(flat, size)) for mask in (expression_mask, face_mask))
            weights = loss.ffg_weights(*masks, (preset.latent_size,) * 2)
        frames = points.shape[1]
        return loss.diffusion_loss(
            predicted.transpose(1, 2).flatten(0, 1),
            v.transpose(1, 2).flatten(0, 1),
            sigma[:, :, 0].repeat_interleave(frames, 0),
            weights,
            self.recipe.ffg,
        )

    # Data

    def _look(self, sequences: NDArray[np.int64], frames: NDArray[np.int64], hidden: int) -> None:
        """Condition the denoiser on portraits; one portrait in twenty comes without landmarks."""
        maps = condition_maps(self.data.landmarks[sequences, frames], self.model.preset)
        known = torch.from_numpy(self.rng.random(len(maps)) >= 0.05).float()
        portrait = self.model.animator.look(self._latents(sequences, frames), maps * known.view(-1, 1, 1, 1))
        self.model.animator.remember(portrait, hidden)

    def _latents(self, sequences: NDArray[np.int64], frames: NDArray[np.int64]) -> Tensor:
        assert self.latents is not None
        return self.latents[torch.from_numpy(sequences), torch.from_numpy(frames)].float()

    def _choose(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        shape = self.data.frames.shape
        return self.rng.integers(0, shape[0], count), self.rng.integers(0, shape[1], count)

    def _some_frames(self, count: int) -> NDArray[np.uint8]:
        return np.stack([self.data.frames[s, f] for s, f in zip(*self._choose(count), strict=True)])

    @torch.no_grad()
    def _normalise_latents(self) -> None:
        self.model.eval()
        batches = np.array_split(self._some_frames(128), 8)
        self.model.autoencoder.normalise(
            torch.cat([self.model.autoencoder.raw(to_tensor(b)) for b in batches])
        )
        for name in ("autoencoder.mean", "autoencoder.scale"):
            self.average[name].copy_(self.weights[name])

    @torch.no_grad()
    def _encode_all(self) -> Tensor:
        """(S, F, C, h, w) float16 latents of all frames."""
        self.model.eval()
        start = time.monotonic()
        encode = self.model.autoencoder.encode
        latents = torch.stack([
            torch.cat([encode(to_tensor(part)).half() for part in np.array_split(sequence, 3)])
            for sequence in self.data.frames
        ])  # fmt: skip
        self.log({"phase": "encode", "minutes": round((time.monotonic() - start) / 60, 2)})
        return latents

    # Checkpoints

    def save(self) -> None:
        """Write a checkpoint; a kill in the middle leaves the previous one."""
        self.out.mkdir(parents=True, exist_ok=True)
        preset = self.model.preset
        stem = self.out / f"checkpoint-{self.phase}-{self.step:06d}"
        checkpoint.save(stem.with_suffix(".weights.safetensors"), self.weights, preset, torch.float32)
        checkpoint.save(stem.with_suffix(".average.safetensors"), self.average, preset, torch.float32)
        torch.save(
            {"optimizer": self.optimizer.state_dict(), "rng": self.torch_rng.get_state()},
            stem.with_suffix(".pt"),
        )
        state = {"checkpoint": stem.name, "phase": self.phase, "step": self.step, "spent": self.spent,
                 "numpy": self.rng.bit_generator.state}  # fmt: skip
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
        self.rng.bit_generator.state = state["numpy"]
        self.optimizer = self._start_phase()
        extra = torch.load(stem.with_suffix(".pt"), weights_only=True)
        if self.phase < len(PHASES):
            self.optimizer.load_state_dict(extra["optimizer"])
        self.torch_rng.set_state(extra["rng"])
        return True


def jsonl(path: Path) -> Log:
    """A log that appends one JSON object a line to a file."""

    def write(record: dict[str, float | int | str]) -> None:
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    return write
