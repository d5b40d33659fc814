"""Starting checkpoints of the paper's model in a size that runs in seconds, with made-up weights."""

from pathlib import Path

import torch
from fye_faster.models.paper import PaperModel, PaperPreset
from fye_faster.models.released_weights import public_names
from released_golden import GOLDEN, made_weight

SMALL = PaperPreset(**vars(GOLDEN), queries=3, qformer_layers=2)


def meta(preset: PaperPreset) -> PaperModel:
    """The model without memory."""
    with torch.device("meta"):
        return PaperModel(preset)


def shapes(model: PaperModel) -> dict[str, dict[str, torch.Size]]:
    """Names and shapes of the starting checkpoints of a model's size."""
    denoiser = model.animator.denoiser.state_dict()
    public = {p: v.shape for name, v in denoiser.items() for p in public_names(name)}
    return {
        "sd15-unet": {name: shape for name, shape in public.items() if "motion_modules" not in name},
        "motion": {name: shape for name, shape in public.items() if "motion_modules" in name},
        "sd15-vae": {name: v.shape for name, v in model.autoencoder.state_dict().items()},
        "clip": {name: v.shape for name, v in model.image_encoder.state_dict().items()},
    }


def write(folder: Path) -> dict[str, Path]:
    """A file for each of `paper.FILES`, of size SMALL."""
    paths = {}
    for key, wanted in shapes(meta(SMALL)).items():
        paths[key] = folder / f"{key}.pth"
        tensors = {name: made_weight(f"{key}.{name}", tuple(shape)) for name, shape in wanted.items()}
        torch.save(tensors, paths[key])
    return paths
