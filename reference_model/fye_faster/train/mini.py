"""What is special about training `mini`: its autoencoder, and the warped portrait beside the landmarks.

Before phases 1 and 2 the autoencoder is trained. After them, denoiser, motion modules and decoder are trained together,
at states that the sampler itself reaches (`rollout`), for the pictures that the denoiser's guess of clean latents gives
there. So they learn what is seen of an error, and to mend their own. Perceptual losses on decoded guesses: Berrada et
al., "Boosting latent diffusion with perceptual objectives", 2024, compares features of the decoder where LPIPS compares
pictures here. Shapes: as in `batches`.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emojibench.face.draw import expression_mask
from fye_faster.diffusion import schedule
from fye_faster.diffusion.sampler import Guided
from fye_faster.models.checkpoint import Model
from fye_faster.nets.animator import temporal
from fye_faster.pipelines.mini import condition_maps, to_tensor
from fye_faster.presets import Preset
from fye_faster.train import loss, rollout
from fye_faster.train.batches import Batches, ClipBatch, tensor
from fye_faster.train.critic import Critic, Perceptual
from fye_faster.train.data import Cut, Indices, Pairs, TrainingSet
from fye_faster.train.objectives import Objectives
from fye_faster.train.recipe import PHASES, Recipe
from fye_faster.train.rollout import Trajectory
from fye_faster.train.trainer import Trainer
from fye_faster.train.training_log import Log

RECIPE = Recipe(minutes=60, cooldown=0.3, noisiest=0.4)
_ENCODER = ("encoder.", "project.", "mean", "scale")
"""Tensors of the autoencoder that decide what latents are."""


@dataclass(frozen=True)
class ImageBatch:
    """N frames and what they can be composed from."""

    target: Tensor
    """(N, 3, H, W) in [-1, 1]."""
    warped: Tensor
    """(N, 3, H, W) in [-1, 1], the portrait warped to the frame; as it is where the preset has no warp."""
    still: Tensor
    """(N, 3, H, W) in [-1, 1], the portrait."""
    maps: Tensor
    """(N, 3, H, W) condition maps in [0, 1]."""
    weights: Tensor
    """(N, 1, H, W), larger where a small error shows."""
    noise: Tensor | None = None
    """(N, C, h, w) to add to the latents."""


@dataclass(frozen=True, kw_only=True)
class MiniClipBatch(ClipBatch):
    """With what only `mini` is shown."""

    portrait: Tensor
    """(B, C, h, w) latents."""
    warped: Tensor
    """(B, C, F, h, w) latents of the portrait warped to each frame; as it is where the preset has no warp."""
    seen_maps: Tensor
    """(P, 3, H, W) condition maps of the portraits that are seen."""


class MiniBatches(Batches):
    """Batches of all four phases."""

    preset: Preset

    def __init__(self, data: TrainingSet, preset: Preset, recipe: Recipe, seed: int) -> None:
        """As `Batches`."""
        super().__init__(data, preset, recipe, seed)
        self.warped = preset.warp

    def maps(self, points: NDArray[np.floating[Any]]) -> Tensor:
        """See `Batches`."""
        return condition_maps(points, self.preset)

    def draw(self, phase: str, step: int) -> tuple[Any, ...]:
        """See `Batches`."""
        if phase == "autoencoder":
            return (self.autoencoder(),)
        return self.rollout(step) if phase == "rollouts" else super().draw(phase, step)

    def autoencoder(self) -> ImageBatch:
        """Crops, with noise on the latents, so that the decoder weighs them against what it can copy."""
        count, patch = self.recipe.crops, self.preset.downscale
        side = min(self.recipe.crop, self.preset.resolution)
        pairs = self.data.pairs(self.rng, count)
        corners = self.rng.integers(0, (self.preset.resolution - side) // patch + 1, (count, 2)) * patch
        cuts = [(slice(y, y + side), slice(x, x + side)) for y, x in corners]
        level = 0.3 * torch.rand(count, 1, 1, 1, generator=self.torch_rng)
        shape = (count, self.preset.latent_channels, side // patch, side // patch)
        return replace(
            self._pictures(pairs, cuts), noise=level * torch.randn(shape, generator=self.torch_rng)
        )

    def rollout(self, step: int) -> tuple[ClipBatch, Trajectory, ImageBatch, ClipBatch]:
        """A window, the sampler's way to a state of it, the frames to decode there; and a batch of phase 1 or 2.

        The latter come in turn; without them the model would forget states that it does not reach.
        """
        pair, chosen = self._turned(step)
        scenes = self._windows(pair, chosen, step, hidden=0, shared_noise=self.preset.shared_noise)
        assert scenes.anchors is not None
        way = rollout.draw(scenes.anchors[0, -1, :, 0, 0], self.preset, self.recipe, self.rng)
        shown = chosen[way.shown.numpy()]
        whole = slice(0, self.preset.resolution)
        pictures = self._pictures(
            Pairs(pair.sequences.repeat(len(shown)), pair.references.repeat(len(shown)), shown),
            [(whole, whole)] * len(shown),
        )
        usual = self.clips(step) if step % 2 else self.frames(self.recipe.decoded, 2)
        return scenes, way, pictures, usual

    def _turned(self, step: int) -> tuple[Pairs, Indices]:
        """A portrait and the frames of a window; `Recipe.turned` prefers heads that turn, of which most is to learn."""
        drawn = [(self.data.pairs(self.rng, 1), self._chosen(step))]
        if self.rng.random() < self.recipe.turned:
            drawn.append((self.data.pairs(self.rng, 1), self._chosen(step)))
        return max(
            drawn,
            key=lambda window: self.data.turn(window[0].sequences[0], window[0].references[0], window[1]),
        )

    def _clip_batch(
        self, sequences: Indices, references: Indices, frames: Indices, **chosen: Any
    ) -> MiniClipBatch:
        scenes = super()._clip_batch(sequences, references, frames, **chosen)
        assert self.latents is not None
        shown = slice(scenes.hidden, None)
        looked = (sequences[chosen["seen"]][shown], references[chosen["seen"]][shown])
        portrait = self.latents.frames[sequences, references]
        warped = portrait[:, None].repeat(frames.shape[1], 1)
        if self.warped:
            assert self.latents.warped is not None
            warped = self.latents.warped[sequences[:, None], references[:, None], frames]
        return MiniClipBatch(
            **vars(scenes),
            portrait=tensor(portrait),
            warped=tensor(warped).transpose(1, 2),
            seen_maps=self.maps(self.data.landmarks[looked]) if len(looked[0]) else torch.empty(0),
        )

    def _pictures(self, pairs: Pairs, cuts: list[Cut]) -> ImageBatch:
        """Cut out of each pair: the frame, the portrait warped to it, the portrait, the condition map."""
        rows = list(zip(pairs.sequences, pairs.references, pairs.frames, cuts, strict=True))
        target = np.stack([self.data.frames[s, f][cut] for s, _, f, cut in rows])
        still = np.stack([self.data.frames[s, r][cut] for s, r, _, cut in rows])
        warped = still
        if self.warped:
            warped = np.stack([self.data.warped(s, r, [f])[0][cut] for s, r, f, cut in rows])
        side = self.preset.resolution
        points = self.data.landmarks[pairs.sequences, pairs.frames]
        maps = condition_maps(points, self.preset)
        drawn = torch.stack([each[:, *cut] for each, cut in zip(maps, cuts, strict=True)])
        masks = expression_mask(points, (side, side))
        important = np.stack([mask[cut] for mask, cut in zip(masks, cuts, strict=True)])
        weights = 1 + 2 * torch.from_numpy(important).float()[:, None]
        return ImageBatch(to_tensor(target), to_tensor(warped), to_tensor(still), drawn, weights)


class MiniObjectives(Objectives):
    """Losses of all four phases."""

    def __init__(
        self, model: Model, recipe: Recipe, perceptual: Perceptual | None, *, criticised: bool = False
    ) -> None:
        """Take a model, the weights of the terms, a perceptual network, and whether a critic learns with it."""
        super().__init__(model, recipe.ffg)
        self.perceptual, self.share = perceptual, recipe.perceptual
        if criticised and perceptual is not None and recipe.adversarial > 0:
            self.critic = Critic(perceptual, recipe.adversarial)

    def _autoencoder(self, pictures: ImageBatch) -> tuple[Tensor, Tensor]:
        """Loss and L1, both ()."""
        raw = self.model.autoencoder.raw(pictures.target) + pictures.noise
        return self._compare(
            self.model.autoencoder.picture(raw, pictures.warped, pictures.still, pictures.maps), pictures
        )

    def _rollouts(
        self, scenes: MiniClipBatch, way: Trajectory, pictures: ImageBatch, usual: MiniClipBatch
    ) -> tuple[Tensor, Tensor]:
        """Loss of the guess of clean latents at the end of a trajectory, of its frames decoded, and of phase 1 or 2.

        Returns:
            their sum, and the L1 of the decoded frames, both ().
        """
        animator, preset = self.model.animator, self.model.preset
        condition = self._condition(scenes)
        predict = Guided(
            animator, condition, way.times, preset.guidance, preset.guided, preset.guidance_rescale
        )
        noisy = rollout.follow(way, predict, preset.temperature * scenes.noise, self.alphas_cumprod)
        (v,) = predict.rows(noisy, len(way.times) - 1, 1)
        signal, sigma = schedule.signal_and_noise(self.alphas_cumprod, way.times[-1:], 5)
        guess = signal * noisy - sigma * v
        assert scenes.anchors is not None
        made = 1 - scenes.anchors[:, -1:]
        latents, _ = self._error(scenes, made * guess, made * scenes.clean, torch.ones_like(sigma))
        shown = guess[0].transpose(0, 1)[way.shown]
        decoded = self.model.autoencoder.decode(shown, pictures.warped, pictures.still, pictures.maps)
        seen, l1 = self._compare(decoded, pictures)
        if self.critic is not None:
            seen = self.critic(decoded, pictures.target, seen)
        phase = self._frames if usual.clean.shape[2] == 1 else self._clips
        return latents + seen + phase(usual)[0], l1

    def _compare(self, predicted: Tensor, pictures: ImageBatch) -> tuple[Tensor, Tensor]:
        """Loss and L1, both (), of frames (N, 3, H, W) in [-1, 1]."""
        predicted = predicted.float()
        total = loss.picture_loss(predicted, pictures.target, pictures.weights)
        if self.perceptual is not None:
            total = total + self.share * self.perceptual.between(predicted, pictures.target).mean()
        return total, loss.l1(predicted, pictures.target)

    def _denoise(self, scenes: MiniClipBatch, noisy: Tensor) -> Tensor:
        """See `Objectives`."""
        v: Tensor = self.model.animator.denoise(noisy, scenes.t, self._condition(scenes))
        return v

    def _condition(self, scenes: MiniClipBatch) -> Tensor:
        """Show the model the portraits; returns the condition of the frames."""
        animator = self.model.animator
        if len(scenes.seen):
            animator.set_reference(animator.encode_reference(scenes.seen, scenes.seen_maps))
            animator.drop_reference(scenes.hidden)
        else:
            animator.clear_reference()
        condition: Tensor = animator.encode_condition(
            scenes.maps, scenes.portrait, scenes.warped, scenes.anchors
        )
        return condition


class MiniTrainer(Trainer):
    """Runs all four phases."""

    phases = PHASES
    model: Model
    batches: MiniBatches

    def __init__(
        self,
        model: Model,
        data: TrainingSet,
        recipe: Recipe,
        out: Path | None,
        log: Log,
        perceptual: Perceptual | None = None,
        start: str | None = None,
        latents: Path | None = None,
    ) -> None:
        """Train `model` in place; as `Trainer`.

        Without a perceptual network the autoencoder learns from pixels alone, and draws softly what it is unsure of;
        and no critic judges decoded frames.
        Weights that training starts from fix what latents mean, for the denoiser among them knows those alone: the
        encoder stays, and the autoencoder's phase trains the decoder.

        Raises:
            ValueError: as `Trainer`.
        """
        self.perceptual, self.temporal = perceptual, temporal(model.animator)
        batches = partial(MiniBatches, data, model.preset, recipe)
        super().__init__(model, model, batches, recipe, out, log, start, latents)

    def _objectives(self) -> Objectives:
        criticised = self.phases[self.phase] == "rollouts"
        return MiniObjectives(self.model, self.recipe, self.perceptual, criticised=criticised)

    def _trained_in(self, name: str, parameter: nn.Parameter) -> set[str]:
        if name.startswith(tuple(f"autoencoder.{part}" for part in _ENCODER)):
            return {"autoencoder"} if self.start is None else set()
        if name.startswith("autoencoder"):
            return {"autoencoder", "rollouts"}
        return {"clips" if id(parameter) in self.temporal else "frames", "rollouts"}

    def _peak_rate(self, phase: str) -> float:
        return super()._peak_rate(phase) * {"autoencoder": 2.0, "rollouts": 0.3}.get(phase, 1.0)

    def _encode(self, pictures: Tensor) -> Tensor:
        """See `Trainer`."""
        return self.model.autoencoder.encode(pictures)

    def _encoder(self) -> dict[str, Tensor]:
        """See `Trainer`."""
        state = self.model.autoencoder.state_dict()
        return {name: value for name, value in state.items() if name.startswith(_ENCODER)}

    def _begin(self, phase: str) -> None:
        if phase != "autoencoder":
            super()._begin(phase)
        elif self.step == 0 and self.start is None:
            some = self._same_frames(256)
            self.model.autoencoder.start_from_patches(to_tensor(some).to(self.accelerator.device))
            self._follow(0.0)

    def _same_frames(self, count: int) -> NDArray[np.uint8]:
        """Frames that all processes draw alike: they set parameters, and gradients are averaged over one model."""
        return self.batches.data.some_frames(np.random.default_rng(self.recipe.seed), count)

    def _finish(self, phase: str) -> None:
        if phase == "autoencoder" and self.start is None:
            self._normalise_latents()
        super()._finish(phase)

    @torch.no_grad()
    def _normalise_latents(self) -> None:
        self.model.eval()
        batches = np.array_split(self._same_frames(128), 8)
        raw = [self.model.autoencoder.raw(to_tensor(b).to(self.accelerator.device)) for b in batches]
        self.model.autoencoder.normalise(torch.cat(raw))
        for name in ("autoencoder.mean", "autoencoder.scale"):
            self.average[name].copy_(self.weights[name])
