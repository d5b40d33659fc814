"""Weights on disk: safetensors with the preset's name inside."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reference_model.autoencoder import Autoencoder
from reference_model.networks import Animator
from reference_model.presets import Preset

WEIGHTS = Path(__file__).parent / "weights"


class Model(nn.Module):
    """Everything a preset learns: `animator` and `autoencoder`."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.autoencoder = Autoencoder(preset)
        self.animator = Animator(preset)


def packaged(preset: Preset) -> Path:
    """Where the weights that come with this package lie."""
    return WEIGHTS / f"{preset.name}.safetensors"


def save(path: Path, state: Mapping[str, Tensor], preset: Preset, dtype: torch.dtype = torch.float16) -> None:
    """Write a `Model` state dict; the file appears whole or not at all."""
    partial = path.with_suffix(".partial")
    tensors = {name: value.detach().to(dtype).contiguous() for name, value in state.items()}
    save_file(tensors, partial, metadata={"preset": preset.name})
    partial.replace(path)


def load(model: Model, path: Path) -> None:
    """Read weights into `model`, all keys and shapes checked.

    Raises:
        ValueError: no such file, not safetensors, another preset's, missing or extra or misshapen tensors.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such weights file; train the preset or reinstall the package")
    try:
        with safe_open(path, "pt") as file:
            made_for = (file.metadata() or {}).get("preset")
            if made_for != model.preset.name:
                raise ValueError(f"{path}: weights of preset {made_for!r}, expected {model.preset.name!r}")
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); fetch it again") from error
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: does not fit preset {model.preset.name!r}: {error}") from error


def digest(path: Path) -> str:
    """First 12 hex digits of the file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
