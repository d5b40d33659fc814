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
from reference_model.training_data import Indices, TrainingSet

Log = Callable[[dict[str, float | int | str]], None]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the training computes, except the data."""

    minutes: float
    """Wall-clock budget; the learning rate reaches zero at its end."""
    shares: tuple[float, float, float, float] = (0.12, 0.55, 0.2, 0.13)
    """Of the budget: autoencoder, phase 1, phase 2, decoder."""
    steps: tuple[int, int, int, int] | None = None
    """Steps of the phases instead of a budget: reproducible to the bit on one machine."""
    seed: int = 0
    learning_rate: float = 6e-4
    warm_up: int = 100
    decay: float = 0.999
    """Of the exponential moving average of the weights."""
    crops: int = 16
    """Autoencoder: crops in a batch."""
    crop: int = 128
    """Autoencoder: side of a crop, pixels."""
    portraits: int = 8
    """Phase 1: portraits in a batch; one of them is hidden, which trains the unconditional rows."""
    targets: int = 4
    """Phase 1: frames to generate for each portrait."""
    clips: int = 2
    """Phase 2: windows in a batch; every fifth batch hides the portraits."""
    decoded: int = 8
    """Last phase: frames in a batch."""
    ffg: float = 1.0
    """Weight of the FFG term; 0 leaves it out."""
    bf16: bool = False
    """Mixed precision."""
    checkpoint_minutes: float = 10.0


PHASES = ("autoencoder", "frames", "clips", "decoder")


class Trainer:
    """Runs the phases; can be killed at any moment and continues from its last checkpoint."""

    def __init__(self, model: Model, data: TrainingSet, recipe: Recipe, out: Path, log: Log) -> None:
        """Train `model` in place; checkpoints go to `out`, records of progress to `log`."""
        self.model, self.data, self.recipe, self.out, self.log = model, data, recipe, out, log
        self.scheduler = schedule.ddim()
        self.rng = np.random.default_rng(recipe.seed)
        self.torch_rng = torch.Generator().manual_seed(recipe.seed)
        self.phase, self.step, self.spent = 0, 0, 0.0
        self.latents: tuple[Tensor, Tensor] | None = None
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
        denoiser = self.model.animator.denoiser
        motion = {id(p) for m in motion_modules(denoiser) for p in m.parameters()}
        motion |= {id(p) for p in self.model.animator.anchors.parameters()}
        for name, parameter in self.model.named_parameters():
            encodes = name.startswith(("autoencoder.encoder", "autoencoder.project"))
            phases = {0} if encodes else {0, 3} if name.startswith("autoencoder") else {1}
            parameter.requires_grad_(self.phase in ({2} if id(parameter) in motion else phases))
        self.trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        rate = self.recipe.learning_rate * (2.0, 1.0, 1.0, 1.0)[self.phase]
        return torch.optim.AdamW(
            [p for _, p in self.trained], lr=rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True
        )

    def _run_phase(self, validate: Callable[[dict[str, Tensor], str], None] | None) -> None:
        if self.phase == 0 and self.step == 0:
            self.model.autoencoder.start_from_patches(to_tensor(self.data.some_frames(self.rng, 256)))
            self._follow(0.0)
        if self.phase > 0 and self.latents is None:
            self.latents = self._encode_all()
        compute = (self._autoencoder_loss, self._frames_loss, self._clips_loss, self._decoder_loss)[
            self.phase
        ]
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
        """Crops with noise on the latents, so that the decoder weighs them against what it can copy."""
        recipe, patch = self.recipe, self.model.preset.downscale
        pairs = self.data.pairs(self.rng, recipe.crops)
        room = self.model.preset.resolution - recipe.crop
        corners = self.rng.integers(0, room // patch + 1, (recipe.crops, 2)) * patch
        cuts = [(slice(y, y + recipe.crop), slice(x, x + recipe.crop)) for y, x in corners]
        target, moved, still, weights = self.data.pictures(pairs, cuts)
        raw = self.model.autoencoder.raw(target)
        level = 0.3 * torch.rand(len(raw), 1, 1, 1, generator=self.torch_rng)
        noisy = raw + level * torch.randn(raw.shape, generator=self.torch_rng)
        predicted = self.model.autoencoder.picture(noisy, moved, still).float()
        return loss.picture_loss(predicted, target, weights), loss.l1(predicted, target)

    def _frames_loss(self) -> tuple[Tensor, float]:
        """Phase 1: several frames of each portrait's identity, each with its own timestep and noise."""
        portraits, targets = self.recipe.portraits, self.recipe.targets
        pairs = self.data.pairs(self.rng, portraits, targets)
        sequences, references = pairs.sequences[::targets], pairs.references[::targets]
        clean = self._latents(pairs.sequences, pairs.frames)[:, :, None]
        self._look(sequences, references, hidden=1 if portraits > 1 else 0)
        noise = torch.randn(clean.shape, generator=self.torch_rng)
        t = torch.randint(0, 1000, (len(clean),), generator=self.torch_rng)
        with stills(self.model.animator.denoiser):
            return self._denoising_loss(
                clean, noise, t, pairs.sequences, pairs.references, pairs.frames[:, None]
            )

    def _clips_loss(self) -> tuple[Tensor, float]:
        """Phase 2: windows with the noise of the sampler.

        In turn keyframes, of which nothing is known, and consecutive frames with one of the paper's two masks:
        the first and the last are known, or every second one at random.
        """
        count, kind = self.recipe.clips, self.step % 3
        sequences = self.rng.integers(0, len(self.data.frames), count)
        references = self.rng.integers(0, self.data.moved.shape[1], count)
        choices = self.data.keyframes if kind == 0 else self.data.windows
        chosen = np.array(choices[self.rng.integers(0, len(choices))])
        frames = np.tile(chosen, (count, 1))
        length = frames.shape[1]
        clean = self._latents(np.repeat(sequences, length), frames.ravel())
        clean = clean.unflatten(0, (count, length)).transpose(1, 2)
        known = torch.zeros(1, 1, length, 1, 1)
        if kind == 1:
            known[:, :, [0, -1]] = 1
        elif kind == 2:
            known[:, :, torch.rand(length, generator=self.torch_rng) < 0.5] = 1
        # A little noise: at sampling time, anchors are the model's own work.
        rough = clean + 0.1 * torch.randn(clean.shape, generator=self.torch_rng)
        anchors = torch.cat([known * rough, known.expand(count, -1, -1, *clean.shape[3:])], 1)
        if self.step % 5 == 4:
            self.model.animator.forget()
        else:
            with torch.no_grad():
                self._look(sequences, references, hidden=0)
        noise = schedule.clip_noise(tuple(clean.shape), self.model.preset.shared_noise, self.torch_rng)
        t = torch.randint(0, 1000, (count,), generator=self.torch_rng)
        return self._denoising_loss(clean, noise, t, sequences, references, frames, anchors)

    def _decoder_loss(self) -> tuple[Tensor, float]:
        """Whole frames from the denoiser's one-step guesses of their latents, from strong noise."""
        pairs = self.data.pairs(self.rng, self.recipe.decoded)
        animator = self.model.animator
        whole = slice(0, self.model.preset.resolution)
        target, moved, still, weights = self.data.pictures(pairs, [(whole, whole)] * self.recipe.decoded)
        with torch.no_grad(), stills(animator.denoiser):
            clean = self._latents(pairs.sequences, pairs.frames)[:, :, None]
            self._look(pairs.sequences, pairs.references, hidden=0)
            t = torch.randint(300, 1000, (len(clean),), generator=self.torch_rng)
            signal, sigma = schedule.signal_and_noise(self.scheduler, t, 5)
            noise = torch.randn(clean.shape, generator=self.torch_rng)
            noisy = signal * clean + sigma * noise
            places, _ = self._place(pairs.sequences, pairs.references, pairs.frames[:, None])
            guess = signal * noisy - sigma * animator.denoise(noisy, t, places)
        predicted = self.model.autoencoder.decode(guess[:, :, 0], moved, still).float()
        return loss.picture_loss(predicted, target, weights), loss.l1(predicted, target)

    def _denoising_loss(
        self,
        clean: Tensor,
        noise: Tensor,
        t: Tensor,
        sequences: Indices,
        references: Indices,
        frames: Indices,
        anchors: Tensor | None = None,
    ) -> tuple[Tensor, float]:
        """Loss of predicting v of (B, C, F, h, w) latents at timesteps (B,); see `_place` for the rest."""
        preset = self.model.preset
        signal, sigma = schedule.signal_and_noise(self.scheduler, t, 5)
        noisy, v = loss.v_target(clean, noise, signal, sigma)
        places, flat = self._place(sequences, references, frames, anchors)
        predicted = self.model.animator.denoise(noisy, t, places)
        weights = None
        if self.recipe.ffg > 0:
            size = (preset.latent_size * 4,) * 2
            masks = (torch.from_numpy(mask(flat, size)) for mask in (expression_mask, face_mask))
            weights = loss.ffg_weights(*masks, (preset.latent_size,) * 2)
        return loss.diffusion_loss(
            predicted.transpose(1, 2).flatten(0, 1),
            v.transpose(1, 2).flatten(0, 1),
            sigma[:, :, 0].repeat_interleave(frames.shape[1], 0),
            weights,
            self.recipe.ffg,
        )

    # Data

    def _look(self, sequences: Indices, references: Indices, *, hidden: int) -> None:
        """Condition the denoiser on portraits, the first `hidden` of which are hidden."""
        maps = condition_maps(self.data.landmarks[sequences, references], self.model.preset)[hidden:]
        latents = self._latents(sequences, references)[hidden:]
        self.model.animator.remember(self.model.animator.look(latents, maps))
        self.model.animator.hide(hidden)

    def _place(
        self, sequences: Indices, references: Indices, frames: Indices, anchors: Tensor | None = None
    ) -> tuple[Tensor, NDArray[np.float32]]:
        """Places of frames (B, F) of sequences (B,) with portraits (B,), and their landmarks (B F, 478, 3)."""
        points = self.data.landmarks[sequences[:, None], frames].reshape(-1, 478, 3)
        maps = condition_maps(points, self.model.preset).unflatten(0, frames.shape)
        assert self.latents is not None
        rows = (
            torch.from_numpy(np.broadcast_to(i, frames.shape).copy())
            for i in (sequences[:, None], references[:, None], frames)
        )
        moved = self.latents[1][tuple(rows)].float().transpose(1, 2)
        return self.model.animator.place(maps, self._latents(sequences, references), moved, anchors), points

    def _latents(self, sequences: Indices, frames: Indices) -> Tensor:
        assert self.latents is not None
        return self.latents[0][torch.from_numpy(sequences), torch.from_numpy(frames)].float()

    @torch.no_grad()
    def _normalise_latents(self) -> None:
        self.model.eval()
        batches = np.array_split(self.data.some_frames(self.rng, 128), 8)
        self.model.autoencoder.normalise(
            torch.cat([self.model.autoencoder.raw(to_tensor(b)) for b in batches])
        )
        for name in ("autoencoder.mean", "autoencoder.scale"):
            self.average[name].copy_(self.weights[name])

    @torch.no_grad()
    def _encode_all(self) -> tuple[Tensor, Tensor]:
        """float16 latents of all frames, (S, F, C, h, w), and of all moved portraits, (S, R, F, C, h, w)."""
        self.model.eval()
        start = time.monotonic()
        encode = self.model.autoencoder.encode

        def encoded(pictures: NDArray[np.uint8]) -> Tensor:
            flat = pictures.reshape(-1, *pictures.shape[-3:])
            parts = np.array_split(flat, math.ceil(len(flat) / 12))
            with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
                latents = [encode(to_tensor(part)) for part in parts]
            return torch.cat([part.half() for part in latents]).unflatten(0, pictures.shape[:-3])

        frames = torch.stack([encoded(sequence) for sequence in self.data.frames])
        moved = torch.stack([encoded(sequence) for sequence in self.data.moved])
        self.log({"phase": "encode", "minutes": round((time.monotonic() - start) / 60, 2)})
        return frames, moved

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
