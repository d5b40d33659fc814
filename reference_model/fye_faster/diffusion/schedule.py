"""The diffusion process: DDIM with zero terminal SNR, trailing timesteps and v-prediction, as released."""

from types import MappingProxyType

import torch
from diffusers import DDIMScheduler
from torch import Tensor

RELEASED = MappingProxyType(
    {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "steps_offset": 1,
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
    }
)
"""Arguments that any of diffusers' schedulers needs to follow the released noise schedule."""


def ddim(steps: int | None = None) -> DDIMScheduler:
    """The released scheduler; with `steps`, ready to sample.

    Lin et al., "Common diffusion noise schedules and sample steps are flawed", 2023: at the last timestep
    nothing of the data is left, so z_0 = -v there.
    """
    scheduler = DDIMScheduler(**RELEASED, clip_sample=False, set_alpha_to_one=True)
    if steps is not None:
        scheduler.set_timesteps(steps)
    return scheduler


def signal_and_noise(alphas: Tensor, t: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
    """sqrt(alpha-bar_t) and sqrt(1 - alpha-bar_t) of timesteps (B,), with `dimensions` axes each.

    Args:
        alphas: alpha-bar of all timesteps, (1000,).
        t: (B,) timesteps.
        dimensions: axes of the results, all but the first of length 1.
    """
    alpha = alphas[t].view(-1, *[1] * (dimensions - 1))
    return alpha.sqrt(), (1 - alpha).sqrt()


def jump(noisy: Tensor, v: Tensor, here: tuple[Tensor, Tensor], there: tuple[Tensor, Tensor]) -> Tensor:
    """A deterministic DDIM step between any two timesteps.

    Args:
        noisy: z_t, (B, C, F, h, w).
        v: the prediction for it, of the same shape.
        here: `signal_and_noise` of t.
        there: that of the timestep to go to.

    Returns:
        Latents there, of the same shape.
    """
    (signal, sigma), (next_signal, next_sigma) = here, there
    return next_signal * (signal * noisy - sigma * v) + next_sigma * (sigma * noisy + signal * v)


def preconditioning(alpha: Tensor, residual: float) -> tuple[Tensor, Tensor]:
    """Coefficients (a, b) of v = a z_t - b z_p, where z_p is the network's own guess of the clean latents.

    If the guess is right up to a deviation `residual`, then this v belongs to the posterior mean of the clean
    latents given both z_p and z_t: the guess decides while noise is strong, z_t once it is weak. The network need
    not carry the noise of z_t from its input to its output, which a narrow one can hardly learn. Compare c_skip of
    Karras et al., "Elucidating the design space of diffusion-based generative models", 2022.

    Args:
        alpha: alpha-bar_t, any shape.
        residual: more than 0, at most 1.
    """
    variance = (1 - alpha) + residual**2 * alpha
    return (alpha * (1 - alpha)).sqrt() * (1 - residual**2) / variance, (1 - alpha).sqrt() / variance


def clip_noise(shape: tuple[int, ...], shared: float, generator: torch.Generator | None = None) -> Tensor:
    """Unit Gaussian noise (B, C, F, h, w) of which all F frames share `shared` of the variance.

    Ge et al., "Preserve your own correlation", 2023 (mixed noise): steadier than independent frames.
    """
    batch, channels, _frames, height, width = shape
    common = torch.randn((batch, channels, 1, height, width), generator=generator)
    own = torch.randn(shape, generator=generator)
    mixed: Tensor = shared**0.5 * common + (1 - shared) ** 0.5 * own
    return mixed
