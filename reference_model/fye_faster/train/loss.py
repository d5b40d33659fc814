"""Training loss: L_LDM plus the facial fine-grained loss (paper Eq. 1 to 3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def ffg_weights(masks: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """(M_e + M_f)^2 on the latent grid, or M_e^2 or M_f^2 if only one of the two is given.

    Args:
        masks: one or both of M_e and M_f, (N, H, W) each, 0 or 1.
        size: (h, w) of the latent grid; masks are averaged over each cell.

    Returns:
        (N, 1, h, w), between 0 and the squared number of masks.
    """
    total = torch.stack([mask.float() for mask in masks]).sum(0)
    return F.adaptive_avg_pool2d(total[:, None], size).square()


def diffusion_loss(
    predicted: Tensor, target: Tensor, sigma: Tensor, weights: Tensor | None, ffg: float = 1.0
) -> tuple[Tensor, Tensor]:
    """L_LDM and the FFG term, both as means over all elements.

    With v-prediction z - z^ = -sigma (v - v^), so ||M_e (z - z^) + M_f (z - z^)||^2 needs no decoding of z^.
    L_LDM is weighted by sigma^2 as well (the truncation of Hang et al., "Efficient diffusion training via min-SNR
    weighting", 2023, at 1), so that both terms measure errors of clean latents; Eq. 1 measures those of the noise.

    Args:
        predicted: v^, (N, C, h, w).
        target: v, the same shape.
        sigma: sqrt(1 - alpha-bar_t), (N, 1, 1, 1).
        weights: (N, 1, h, w) from `ffg_weights`; None leaves the FFG term out.
        ffg: weight of the FFG term.

    Returns:
        (loss to minimise, L_LDM alone).
    """
    error = (sigma * (predicted.float() - target)).square()
    plain = error.mean()
    if weights is None:
        return plain, plain.detach()
    return plain + ffg * (weights * error).mean(), plain.detach()


def v_target(clean: Tensor, noise: Tensor, signal: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents z_t and the v to predict for them; all shapes broadcast to `clean`'s."""
    return signal * clean + sigma * noise, signal * noise - sigma * clean


def picture_loss(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Autoencoder loss: weighted L1 of values and of horizontal and vertical differences.

    Args:
        predicted: (N, 3, H, W) in [-1, 1].
        target: the same shape.
        weights: (N, 1, H, W), larger where a small error shows (eyes, brows, mouth).
    """
    error = predicted - target
    steps = (weights[..., 1:] * error.diff(dim=3)).abs().mean() + (
        weights[:, :, 1:] * error.diff(dim=2)
    ).abs().mean()
    return (weights * error).abs().mean() + steps


@torch.no_grad()
def l1(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference () of pictures (N, 3, H, W) in [-1, 1], on the [0, 1] scale."""
    return (predicted.clamp(-1, 1) - target).abs().mean() / 2
