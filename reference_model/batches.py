"""Batches of the four phases of training, drawn from a `TrainingSet`: tensors on the CPU, and nothing learnt.

Shapes: B samples, F frames, C latent channels, (h, w) latent grid, (H, W) pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference_model import schedule
from reference_model.landmarks import expression_mask, face_mask
from reference_model.pipeline import condition_maps, to_tensor
from reference_model.presets import Preset
from reference_model.recipe import Recipe
from reference_model.training_data import Cut, Indices, Pairs, TrainingSet

B = TypeVar("B", "Pictures", "Scenes")

_MASKS = {"expression": expression_mask, "face": face_mask}


@dataclass(frozen=True)
class Pictures:
    """N frames and what they can be composed from."""

    target: Tensor
    """(N, 3, H, W) in [-1, 1]."""
    moved: Tensor
    """(N, 3, H, W) in [-1, 1], the portrait moved to the frame."""
    still: Tensor
    """(N, 3, H, W) in [-1, 1], the portrait."""
    maps: Tensor
    """(N, 3, H, W) condition maps in [0, 1]."""
    weights: Tensor
    """(N, 1, H, W), larger where a small error shows."""
    noise: Tensor | None = None
    """(N, C, h, w) to add to the latents."""


@dataclass(frozen=True)
class Scenes:
    """What the denoiser is trained on."""

    clean: Tensor
    """(B, C, F, h, w) latents."""
    noise: Tensor
    """The same shape, unit variance."""
    t: Tensor
    """(B,) timesteps."""
    maps: Tensor
    """(B, F, 3, H, W) condition maps."""
    portrait: Tensor
    """(B, C, h, w) latents."""
    moved: Tensor
    """(B, C, F, h, w) latents of the portrait moved to each frame."""
    seen: Tensor
    """(P, C, h, w) latents of the portraits that reference net and image prompt see; P = 0: none is seen."""
    seen_maps: Tensor
    """(P, 3, H, W) condition maps of those."""
    hidden: int = 0
    """Portraits before those P that nobody sees: their samples train the unconditional rows."""
    anchors: Tensor | None = None
    """(B, C + 1, F, h, w), see `Animator.place`."""
    expression: Tensor | None = None
    """M_e, (B F, 4 h, 4 w); None leaves it out of the FFG loss."""
    face: Tensor | None = None
    """M_f, the same shape."""


@dataclass(frozen=True)
class Latents:
    """A whole `TrainingSet`, encoded; float16 on the CPU."""

    frames: Tensor
    """(S, F, C, h, w)."""
    moved: Tensor
    """(S, R, F, C, h, w)."""


def to_device(batch: B, device: torch.device) -> B:
    """The batch with all tensors on a device."""
    moved: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            moved[field.name] = value.to(device, non_blocking=True)
    return replace(batch, **moved)


class Batches:
    """Draws batches; two generators make them repeatable."""

    def __init__(self, data: TrainingSet, preset: Preset, recipe: Recipe, seed: int) -> None:
        self.data, self.preset, self.recipe = data, preset, recipe
        self.rng = np.random.default_rng(seed)
        self.torch_rng = torch.Generator().manual_seed(seed)
        self.latents: Latents | None = None
        """What all phases but the first need: from `keep_latents`, or of other batches of the same data."""

    def keep_latents(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Encode all frames and moved portraits once; kept as float16.

        Args:
            encode: (N, 3, H, W) in [-1, 1] to latents (N, C, h, w).
        """

        def encoded(pictures: NDArray[np.uint8]) -> Tensor:
            flat = pictures.reshape(-1, *pictures.shape[-3:])
            parts = np.array_split(flat, math.ceil(len(flat) / 12))
            return torch.cat([encode(to_tensor(part)).half().cpu() for part in parts]).unflatten(
                0, pictures.shape[:-3]
            )

        self.latents = Latents(
            torch.stack([encoded(sequence) for sequence in self.data.frames]),
            torch.stack([encoded(sequence) for sequence in self.data.moved]),
        )

    def draw(self, phase: str, step: int) -> "tuple[Pictures | Scenes, ...]":
        """The batch of a step of one of `recipe.PHASES`, as `Objectives` takes it."""
        if phase == "autoencoder":
            return (self.autoencoder(),)
        if phase == "frames":
            return (self.frames(),)
        return (self.clips(step),) if phase == "clips" else self.decoder()

    def autoencoder(self) -> Pictures:
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

    def frames(self) -> Scenes:
        """Phase 1: several frames of each portrait's identity, each with its own timestep and noise."""
        portraits, targets = self.recipe.portraits, self.recipe.targets
        pairs = self.data.pairs(self.rng, portraits, targets)
        return self._scenes(
            pairs.sequences,
            pairs.references,
            pairs.frames[:, None],
            seen=slice(0, None, targets),
            hidden=1 if portraits > 1 else 0,
        )

    def clips(self, step: int) -> Scenes:
        """Phase 2: windows with the noise of the sampler.

        In turn keyframes, of which nothing is known, and consecutive frames with one of the paper's two masks:
        the first and the last are known, or every second one at random.
        """
        count, kind = self.recipe.clips, step % 3
        pairs = self.data.pairs(self.rng, count)
        choices = self.data.keyframes if kind == 0 else self.data.windows
        chosen = np.array(choices[self.rng.integers(0, len(choices))])
        hidden = count if step % 5 == 4 else 0
        scenes = self._scenes(
            pairs.sequences, pairs.references, np.tile(chosen, (count, 1)), seen=slice(None), hidden=hidden
        )
        clean = scenes.clean
        known = torch.zeros(1, 1, len(chosen), 1, 1)
        if kind == 1:
            known[:, :, [0, -1]] = 1
        elif kind == 2:
            known[:, :, torch.rand(len(chosen), generator=self.torch_rng) < 0.5] = 1
        # A little noise: at sampling time, anchors are the model's own work.
        rough = clean + 0.1 * torch.randn(clean.shape, generator=self.torch_rng)
        anchors = torch.cat([known * rough, known.expand(count, -1, -1, *clean.shape[3:])], 1)
        return replace(scenes, anchors=anchors)

    def decoder(self) -> tuple[Pictures, Scenes]:
        """Whole frames and the scenes behind them, with strong noise."""
        pairs = self.data.pairs(self.rng, self.recipe.decoded)
        whole = slice(0, self.preset.resolution)
        pictures = self._pictures(pairs, [(whole, whole)] * self.recipe.decoded)
        scenes = self._scenes(
            pairs.sequences, pairs.references, pairs.frames[:, None], seen=slice(None), hidden=0, least=300
        )
        return pictures, scenes

    def _scenes(
        self,
        sequences: Indices,
        references: Indices,
        frames: Indices,
        *,
        seen: slice,
        hidden: int,
        least: int = 0,
    ) -> Scenes:
        """Frames (B, F) of sequences (B,) with portraits (B,); of these, those in `seen` are read, but `hidden`."""
        assert self.latents is not None, "keep_latents comes first"
        rows = (
            np.repeat(sequences[:, None], frames.shape[1], 1),
            np.repeat(references[:, None], frames.shape[1], 1),
        )
        points = self.data.landmarks[rows[0], frames].reshape(-1, 478, 3)
        clean = self.latents.frames[rows[0], frames].float().transpose(1, 2)
        looked = (sequences[seen][hidden:], references[seen][hidden:])
        scenes = Scenes(
            clean=clean,
            noise=schedule.clip_noise(tuple(clean.shape), self.preset.shared_noise, self.torch_rng),
            t=torch.randint(least, 1000, (len(clean),), generator=self.torch_rng),
            maps=condition_maps(points, self.preset).unflatten(0, frames.shape),
            portrait=self.latents.frames[sequences, references].float(),
            moved=self.latents.moved[rows[0], rows[1], frames].float().transpose(1, 2),
            seen=self.latents.frames[looked].float(),
            seen_maps=condition_maps(self.data.landmarks[looked], self.preset)
            if len(looked[0])
            else torch.empty(0),
            hidden=hidden,
        )
        size = (self.preset.latent_size * 4,) * 2
        masks = {name: torch.from_numpy(_MASKS[name](points, size)) for name in self.recipe.ffg_masks}
        return replace(scenes, **masks)

    def _pictures(self, pairs: Pairs, cuts: list[Cut]) -> Pictures:
        """Cut out of each pair: the frame, the portrait moved to it, the portrait, the condition map."""
        rows = list(zip(pairs.sequences, pairs.references, pairs.frames, cuts, strict=True))
        target = np.stack([self.data.frames[s, f][cut] for s, _, f, cut in rows])
        moved = np.stack([self.data.moved[s, r, f][cut] for s, r, f, cut in rows])
        still = np.stack([self.data.frames[s, r][cut] for s, r, _, cut in rows])
        side = self.preset.resolution
        points = self.data.landmarks[pairs.sequences, pairs.frames]
        maps = condition_maps(points, self.preset)
        drawn = torch.stack([each[:, *cut] for each, cut in zip(maps, cuts, strict=True)])
        masks = expression_mask(points, (side, side))
        important = np.stack([mask[cut] for mask, cut in zip(masks, cuts, strict=True)])
        weights = 1 + 2 * torch.from_numpy(important).float()[:, None]
        return Pictures(to_tensor(target), to_tensor(moved), to_tensor(still), drawn, weights)
