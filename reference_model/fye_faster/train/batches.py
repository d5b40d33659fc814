"""Batches of single frames and of clips, drawn from a `TrainingSet`: tensors on the CPU, and nothing learnt.

Shapes: B samples, F frames, C latent channels, (h, w) latent grid, (H, W) pixels.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emojibench.face.draw import expression_mask, face_mask
from fye_faster.diffusion import schedule
from fye_faster.train.data import Indices, Pairs, TrainingSet
from fye_faster.train.latents import Latents
from fye_faster.train.recipe import Recipe

B = TypeVar("B")

NOISIEST = 700
"""First timestep of those that `Recipe.noisiest` is a share of."""
_MASKS = {"expression": expression_mask, "face": face_mask}


class Sizes(Protocol):
    """What batches need to know of a preset."""

    @property
    def latent_size(self) -> int:
        """Height and width of the latent grid."""
        ...

    @property
    def shared_noise(self) -> float:
        """Share of the noise's variance that all frames of a clip have in common, 0 to 1."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClipBatch:
    """One batch of clips for the denoiser."""

    clean: Tensor
    """(B, C, F, h, w) latents."""
    noise: Tensor
    """The same shape, unit variance."""
    t: Tensor
    """(B,) timesteps."""
    maps: Tensor
    """(B, F, 3, H, W) condition maps."""
    seen: Tensor
    """(P, C, h, w) latents of the portraits that reference net and image prompt see; P = 0: none is seen."""
    hidden: int = 0
    """Portraits before those P that nobody sees: their samples train the unconditional rows."""
    anchors: Tensor | None = None
    """(B, C + 1, F, h, w), see `Animator.encode_condition`."""
    expression: Tensor | None = None
    """M_e, (B F, 4 h, 4 w); None leaves it out of the FFG loss."""
    face: Tensor | None = None
    """M_f, the same shape."""


def to_device(batch: B, device: torch.device) -> B:
    """The batch, a dataclass, with all its tensors on a device."""
    moved: dict[str, Any] = {}
    for field in fields(batch):  # type: ignore[arg-type]
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            moved[field.name] = value.to(device, non_blocking=True)
    return replace(batch, **moved)  # type: ignore[type-var]


class Batches(ABC):
    """Draws batches; two generators make them repeatable."""

    warped = False
    """Whether the model is shown the portrait warped to each frame."""

    def __init__(self, data: TrainingSet, preset: Sizes, recipe: Recipe, seed: int) -> None:
        self.data, self.preset, self.recipe = data, preset, recipe
        self.rng = np.random.default_rng(seed)
        self.torch_rng = torch.Generator().manual_seed(seed)
        self.latents: Latents | None = None
        """What phases of the denoiser need; other batches of the same data may share them."""

    @abstractmethod
    def maps(self, points: NDArray[np.floating[Any]]) -> Tensor:
        """Condition maps of (N, 478, 3) landmarks as the preset draws them, (N, 3, H, W) in [0, 1]."""

    def draw(self, phase: str, step: int) -> tuple[Any, ...]:
        """The batch of a step of one of `recipe.PHASES`, as `Objectives` takes it."""
        if phase == "frames":
            return (self.frames(self.recipe.portraits, self.recipe.targets),)
        return (self.clips(step),)

    def frames(self, portraits: int, targets: int) -> ClipBatch:
        """Phase 1: `targets` frames of each portrait's identity, each with its own timestep and noise."""
        pairs = self.data.pairs(self.rng, portraits, targets)
        return self._clip_batch(
            pairs.sequences,
            pairs.references,
            pairs.frames[:, None],
            seen=slice(0, None, targets),
            hidden=1 if portraits > 1 else 0,
        )

    def clips(self, step: int) -> ClipBatch:
        """Phase 2: windows, whose frames share a part of their noise in every other step, so that samplers may.

        In turn keyframes, of which nothing is known (the paper has no such case), and consecutive frames with one of
        the paper's two masks: the first and the last are known, or each with probability 1/2.
        """
        count = self.recipe.clips
        return self._windows(
            self.data.pairs(self.rng, count),
            self._chosen(step),
            step,
            hidden=count if step % 5 == 4 else 0,
            shared_noise=self.preset.shared_noise if step % 2 else 0.0,
        )

    def _chosen(self, step: int) -> Indices:
        """The frames (F,) of a window of the kind whose turn it is."""
        choices = self.data.windows if step % 3 else self.data.keyframes
        return np.array(choices[self.rng.integers(0, len(choices))])

    def _windows(
        self, pairs: Pairs, chosen: Indices, step: int, *, hidden: int, shared_noise: float
    ) -> ClipBatch:
        """The same frames of all pairs, with what is known of them; one frame at least has to be made."""
        count = len(pairs.sequences)
        scenes = self._clip_batch(
            pairs.sequences,
            pairs.references,
            np.tile(chosen, (count, 1)),
            seen=slice(None),
            hidden=hidden,
            shared_noise=shared_noise,
        )
        clean = scenes.clean
        known = torch.zeros(1, 1, len(chosen), 1, 1)
        if step % 3 == 1:
            known[:, :, [0, -1]] = 1
        elif step % 3 == 2:
            known[:, :, torch.rand(len(chosen), generator=self.torch_rng) < 0.5] = 1
            known[:, :, self.rng.integers(len(chosen))] = 0
        # A little noise: at sampling time, anchors are the model's own work.
        rough = clean + 0.1 * torch.randn(clean.shape, generator=self.torch_rng)
        anchors = torch.cat([known * rough, known.expand(count, -1, -1, *clean.shape[3:])], 1)
        return replace(scenes, anchors=anchors)

    def _clip_batch(
        self,
        sequences: Indices,
        references: Indices,
        frames: Indices,
        *,
        seen: slice,
        hidden: int,
        shared_noise: float = 0.0,
    ) -> ClipBatch:
        """Frames (B, F) of sequences (B,) with portraits (B,); of these, those in `seen` are read, but `hidden`."""
        assert self.latents is not None, "latents come first"
        rows = np.repeat(sequences[:, None], frames.shape[1], 1)
        points = self.data.landmarks[rows, frames].reshape(-1, 478, 3)
        clean = tensor(self.latents.frames[rows, frames]).transpose(1, 2)
        scenes = ClipBatch(
            clean=clean,
            noise=schedule.clip_noise(tuple(clean.shape), shared_noise, self.torch_rng),
            t=self._timesteps(len(clean)),
            maps=self.maps(points).unflatten(0, frames.shape),
            seen=tensor(self.latents.frames[sequences[seen][hidden:], references[seen][hidden:]]),
            hidden=hidden,
        )
        size = (self.preset.latent_size * 4,) * 2
        masks: dict[str, Any] = {
            name: torch.from_numpy(_MASKS[name](points, size)) for name in self.recipe.ffg_masks
        }
        return replace(scenes, **masks)

    def _timesteps(self, count: int) -> Tensor:
        """(count,) timesteps: a share of them from the noisiest, where the frame's layout is decided."""
        t = torch.randint(0, 1000, (count,), generator=self.torch_rng)
        if self.recipe.noisiest == 0:
            return t
        noisy = torch.randint(NOISIEST, 1000, (count,), generator=self.torch_rng)
        return torch.where(torch.rand(count, generator=self.torch_rng) < self.recipe.noisiest, noisy, t)


def tensor(latents: NDArray[np.float16]) -> Tensor:
    """Latents as they are kept, in single precision."""
    return torch.from_numpy(latents.astype(np.float32))
