"""Sizes and defaults of the model, as data."""

import difflib
from dataclasses import dataclass

FILES = ("sd15-unet", "sd15-vae", "clip", "motion")
"""What the `paper` preset starts from: UNet and autoencoder of Stable Diffusion 1.5 in diffusers' names, CLIP's image
encoder, and AnimateDiff's motion modules v2 (`mm_sd_v15_v2.ckpt`)."""


@dataclass(frozen=True)
class Preset:
    """One configuration of the method. Symbols as in the paper where it has one."""

    name: str
    resolution: int
    """Height and width of frames, pixels."""
    latent_channels: int
    downscale: int
    """Pixels for each side of a latent cell."""
    autoencoder_widths: tuple[int, ...]
    """Channels of the encoder at 1/4, 1/8, ... of the resolution, down to the latent grid."""
    decoder_widths: tuple[int, ...]
    """Channels of the decoder at 1/4, 1/8, ... of the resolution; it may go below the latent grid."""
    widths: tuple[int, ...]
    """Channels of the denoiser and the reference net, finest level first."""
    attention: tuple[bool, ...]
    """Whether a level has spatial attention, to itself, the reference and the image prompt."""
    heads: tuple[int, ...]
    """Attention heads at each level."""
    layers: int
    """Residual blocks in each level of the way down (one more on the way up)."""
    norm_groups: int
    landmark_widths: tuple[int, ...]
    """Channels of the landmark encoder at 1/8, 1/16, ... of the resolution, down to the latent grid."""
    landmark_groups: tuple[str, ...]
    """What the condition maps show; keys of `landmarks.GROUPS`."""
    warp: bool
    """Whether the model is shown the portrait warped to each frame's landmarks; the paper's is not."""
    queries: int
    """Tokens of the image prompt."""
    context_dim: int
    """Width of the image-prompt tokens."""
    qformer_layers: int
    motion_length: int
    """Entries of the motion modules' position table: the longest window."""
    window: int
    """L, frames denoised together."""
    residual: float
    """How far the network's guess of clean latents is taken to be off (`schedule.preconditioning`)."""
    shared_noise: float
    """Share of the initial noise's variance that all frames of a clip have in common, 0 to 1."""
    temperature: float
    """Scale of the initial noise when sampling. Below 1, a model that is still unsure of textures stays near what
    it is sure of, instead of inventing them."""
    steps: int
    """DDIM steps."""
    guidance: float
    """Scale of classifier-free guidance; 1 switches it off."""
    guided: float
    """Share of the steps, from the noisiest on, that are guided; the others cost half. Compare Kynkaanniemi et al.,
    "Applying guidance in a limited interval improves sample and distribution quality in diffusion models", 2024."""
    guidance_rescale: float
    """phi of Lin et al. 2023 (zero terminal SNR), section 3.4; 0 switches it off."""

    @property
    def latent_size(self) -> int:
        """Height and width of the latent grid."""
        return self.resolution // self.downscale


MINI = Preset(
    name="mini",
    resolution=256,
    latent_channels=12,
    downscale=8,
    autoencoder_widths=(48, 72),
    decoder_widths=(64, 96, 112),
    widths=(48, 96, 96),
    attention=(False, True, True),
    heads=(3, 3, 3),
    layers=1,
    norm_groups=16,
    landmark_widths=(48,),
    landmark_groups=("eyes", "brows", "nose", "lips", "pupils"),
    warp=True,
    queries=8,
    context_dim=96,
    qformer_layers=3,
    motion_length=32,
    window=16,
    residual=0.1,
    shared_noise=0.8,
    temperature=0.25,
    steps=30,
    guidance=3.5,
    guided=0.5,
    guidance_rescale=0.0,
)

PRESETS = {preset.name: preset for preset in (MINI,)}


def get(name: str) -> Preset:
    """The preset called `name`.

    Raises:
        ValueError: no such preset; the nearest one is suggested.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown preset {name!r}.{hint} Known: {', '.join(sorted(PRESETS))}.")
    return PRESETS[name]
