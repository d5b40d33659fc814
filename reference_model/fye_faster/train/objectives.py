"""What the phases of a denoiser minimise."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from fye_faster.diffusion import schedule
from fye_faster.nets.animator import stills
from fye_faster.train import loss
from fye_faster.train.batches import ClipBatch


class Objectives(nn.Module, ABC):
    """Losses of a model as one module, so that data-parallel wrappers see every forward pass."""

    model: Any
    """With an `animator`."""
    alphas_cumprod: Tensor

    def __init__(self, model: nn.Module, ffg: float) -> None:
        """Take a model with an `animator`, and the weight of the FFG term."""
        super().__init__()
        self.model, self.ffg = model, ffg
        self.critic: nn.Module | None = None
        """Trained beside the model in some phases, and not kept after them."""
        self.register_buffer("alphas_cumprod", schedule.ddim().alphas_cumprod, persistent=False)

    def forward(self, phase: str, *batch: Any) -> tuple[Tensor, Tensor]:
        """Loss to minimise and a plain figure to report, both ().

        Args:
            phase: which of `recipe.PHASES`.
            batch: what `Batches.draw` returned for it.
        """
        losses: tuple[Tensor, Tensor] = getattr(self, f"_{phase}")(*batch)
        return losses

    @abstractmethod
    def _denoise(self, scenes: Any, noisy: Tensor) -> Tensor:
        """Show the model the portraits and predict v of z_t, both (B, C, F, h, w)."""

    def _frames(self, scenes: ClipBatch) -> tuple[Tensor, Tensor]:
        """As `_clips`, of single frames: F is 1."""
        with stills(self.model.animator.denoiser):
            return self._clips(scenes)

    def _clips(self, scenes: ClipBatch) -> tuple[Tensor, Tensor]:
        """L_LDM + FFG (Eq. 1 to 3) and L_LDM alone, both ()."""
        signal, sigma = self._signal_and_noise(scenes)
        noisy, v = loss.v_target(scenes.clean, scenes.noise, signal, sigma)
        return self._error(scenes, self._denoise(scenes, noisy), v, sigma)

    def _error(
        self, scenes: ClipBatch, predicted: Tensor, target: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`loss.diffusion_loss` of all frames, with the FFG weights of the batch."""
        height, width = scenes.clean.shape[-2:]
        masks = [mask for mask in (scenes.expression, scenes.face) if mask is not None]
        weights = loss.ffg_weights(masks, (height, width)) if masks else None
        return loss.diffusion_loss(
            predicted.transpose(1, 2).flatten(0, 1),
            target.transpose(1, 2).flatten(0, 1),
            sigma[:, :, 0].repeat_interleave(scenes.clean.shape[2], 0),
            weights,
            self.ffg,
        )

    def _signal_and_noise(self, scenes: ClipBatch) -> tuple[Tensor, Tensor]:
        """Shares of clean latents and of noise in z_t, both (B, 1, 1, 1, 1)."""
        return schedule.signal_and_noise(self.alphas_cumprod, scenes.t, 5)
