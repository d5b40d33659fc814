"""What each phase of training minimises."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from reference_model import loss, schedule
from reference_model.batches import Pictures, Scenes
from reference_model.checkpoint import Model
from reference_model.networks import stills

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""(N,) distances of pictures (N, 3, H, W) in [-1, 1], differentiable."""


class Objectives(nn.Module):
    """Losses of a model as one module, so that data-parallel wrappers see every forward pass."""

    def __init__(self, model: Model, ffg: float, perceptual: Perceptual | None, share: float) -> None:
        """Take a model, the weight of the FFG term, and a perceptual distance with its weight."""
        super().__init__()
        self.model, self.ffg, self.perceptual, self.share = model, ffg, perceptual, share

    def forward(self, phase: str, *batch: Pictures | Scenes) -> tuple[Tensor, Tensor]:
        """Loss to minimise and a plain figure to report, both scalars.

        Args:
            phase: which of `recipe.PHASES`.
            batch: what `Batches.draw` returned for it.
        """
        return getattr(self, f"_{phase}")(*batch)

    def _autoencoder(self, pictures: Pictures) -> tuple[Tensor, Tensor]:
        raw = self.model.autoencoder.raw(pictures.target) + pictures.noise
        return _compare(
            self.model.autoencoder.picture(raw, pictures.moved, pictures.still, pictures.maps), pictures
        )

    def _frames(self, scenes: Scenes) -> tuple[Tensor, Tensor]:
        with stills(self.model.animator.denoiser):
            return self._clips(scenes)

    def _clips(self, scenes: Scenes) -> tuple[Tensor, Tensor]:
        signal, sigma = self._signal_and_noise(scenes)
        noisy, v = loss.v_target(scenes.clean, scenes.noise, signal, sigma)
        predicted = self._denoise(scenes, noisy)
        masks = [mask for mask in (scenes.expression, scenes.face) if mask is not None]
        weights = loss.ffg_weights(masks, scenes.clean.shape[-2:]) if masks else None
        return loss.diffusion_loss(
            predicted.transpose(1, 2).flatten(0, 1),
            v.transpose(1, 2).flatten(0, 1),
            sigma[:, :, 0].repeat_interleave(scenes.clean.shape[2], 0),
            weights,
            self.ffg,
        )

    def _decoder(self, pictures: Pictures, scenes: Scenes) -> tuple[Tensor, Tensor]:
        """The decoder learns to live with the denoiser's one-step guesses."""
        signal, sigma = self._signal_and_noise(scenes)
        with torch.no_grad(), stills(self.model.animator.denoiser):
            noisy, _ = loss.v_target(scenes.clean, scenes.noise, signal, sigma)
            guess = signal * noisy - sigma * self._denoise(scenes, noisy)
        decoder = self.model.autoencoder.decode
        predicted = decoder(guess[:, :, 0], pictures.moved, pictures.still, pictures.maps).float()
        total, plain = _compare(predicted, pictures)
        if self.perceptual is not None:
            total = total + self.share * self.perceptual(predicted, pictures.target).mean()
        return total, plain

    def _signal_and_noise(self, scenes: Scenes) -> tuple[Tensor, Tensor]:
        return schedule.signal_and_noise(self.model.animator.alphas_cumprod, scenes.t, 5)

    def _denoise(self, scenes: Scenes, noisy: Tensor) -> Tensor:
        animator = self.model.animator
        if len(scenes.seen):
            animator.remember(animator.look(scenes.seen, scenes.seen_maps))
            animator.hide(scenes.hidden)
        else:
            animator.forget()
        places = animator.place(scenes.maps, scenes.portrait, scenes.moved, scenes.anchors)
        return animator.denoise(noisy, scenes.t, places)


def _compare(predicted: Tensor, pictures: Pictures) -> tuple[Tensor, Tensor]:
    predicted = predicted.float()
    return loss.picture_loss(predicted, pictures.target, pictures.weights), loss.l1(
        predicted, pictures.target
    )
