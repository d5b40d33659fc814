"""The five public files of the `released` preset, read strictly into our modules.

The official `.pth` and `.bin` files and their fp16 safetensors port hold the same names. Every tensor of a file is
used, none may be missing, all shapes must agree.
"""

import re
import zipfile
from collections.abc import Callable, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, cast

import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file
from torch import Tensor, nn

from fye_faster.models.checkpoint import check_stored
from fye_faster.models.released import RELEASED, ReleasedModel, ReleasedPreset

MODULES = {
    "unet": "animator.denoiser",
    "referencenet": "animator.reference_net",
    "lmk_guider": "animator.landmarks",
    "vae": "autoencoder",
    "image_encoder": "image_encoder",
}
"""Each file's part of the `ReleasedModel`."""

_IN_MOTION_MODULES = {
    "attn1": "attention_blocks.0",
    "attn2": "attention_blocks.1",
    "norm1": "norms.0",
    "norm2": "norms.1",
    "norm3": "ff_norm",
}
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""How files of the autoencoder from before 2023 call its attention."""


def public_names(name: str) -> list[str]:
    """What the public files call the tensor that one of our modules calls `name`.

    Two names for the position table of a motion module, which keeps a copy for each of its two attentions.
    """
    name = re.sub(r"^conv_in\.conv\.", "conv_in.", name)
    name = re.sub(r"^encoder_hid_proj\.", "clip_fc.", name)
    split = re.match(r"(.*\.motion_modules\.\d+\.)((?:transformer_blocks\.\d+\.)?)(\w+)(.*)", name)
    if split is None:
        return [name]
    before, block, part, after = split.groups()
    before += "temporal_transformer."
    if part == "pos_embed":
        return [f"{before}{block}attention_blocks.{i}.pos_encoder{after}" for i in (0, 1)]
    return [before + block + (_IN_MOTION_MODULES.get(part, part) if block else part) + after]


def load(
    files: Mapping[str, Path], *, preset: ReleasedPreset = RELEASED, dtype: torch.dtype = torch.float16
) -> ReleasedModel:
    """Build the model and fill it; no weight is ever held twice.

    Args:
        files: a path for each key of `MODULES`, whatever its name and format.
        preset: the sizes.
        dtype: floating type of all weights.

    Raises:
        ValueError: a file is not among `files`, missing, broken, or not the one that it should be.
    """
    if set(files) != set(MODULES):
        raise ValueError(f"files: expected {', '.join(MODULES)}, got {', '.join(files) or 'none'}")
    with init_empty_weights(include_buffers=False):
        model = ReleasedModel(preset)
    for key, module in MODULES.items():
        fill(model.get_submodule(module), key, files[key], dtype)
    return model.eval().requires_grad_(False)


def fill(
    module: nn.Module,
    key: str,
    path: Path,
    dtype: torch.dtype = torch.float32,
    *,
    part: Callable[[str], bool] = lambda _name: True,
    spare: bool = False,
) -> None:
    """Read one file into the module that it belongs to.

    Args:
        module: part of a `ReleasedModel`; its parameters are replaced, and may be on the meta device.
        key: which file it is, such as one of `MODULES`, for the message.
        path: the file.
        dtype: floating type that the module gets.
        part: tells by their names which of the module's tensors the file holds; all by default.
        spare: whether the file may hold tensors that the module has no use for.

    Raises:
        ValueError: as `load`.
    """
    values = check(module, key, path, part=part, spare=spare)
    state = {name: value.to(dtype) for name, value in values.items()}
    module.load_state_dict(state, strict=False, assign=True)


def check(
    module: nn.Module,
    key: str,
    path: Path,
    *,
    part: Callable[[str], bool] = lambda _name: True,
    spare: bool = False,
) -> dict[str, Tensor]:
    """What `fill` would put into the module, by the module's names and as the file has it.

    Args and errors: as `fill`.
    """
    found = _today(_read(path))
    state = {name: value for name, value in module.state_dict().items() if part(name)}
    ours = {name: public_names(name) for name in state}
    expected = {public: state[name].shape for name, names in ours.items() for public in names}
    problems = [
        *(f"lacks {name} {_size(shape)}" for name, shape in expected.items() if name not in found),
        *(
            f"has {name} {_size(found[name].shape)} besides"
            for name in found
            if name not in expected and not spare
        ),
        *(
            f"{name}: expected {_size(shape)} of a floating type, got {_size(found[name].shape)} {found[name].dtype}"
            for name, shape in expected.items()
            if name in found and not (found[name].shape == shape and found[name].is_floating_point())
        ),
        *(
            f"{' and '.join(names)}: expected equal tensors, got different ones"
            for names in ours.values()
            if found.keys() >= set(names)
            and any(not torch.equal(found[names[0]], found[k]) for k in names[1:])
        ),
    ]
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"{path}: expected the {len(expected)} tensors of the public {key} file, got {len(found)}: "
            f"{'; '.join(problems[:3])}{more}. Get the official file again, or give the one that {key} means"
        )
    return {name: found[names[0]] for name, names in ours.items()}


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors or torch file, mapped into memory where the format allows."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a weights file, there is none; get it or correct the path")
    with path.open("rb") as stream:
        is_safetensors = stream.read(9)[8:] == b"{"
    try:
        if is_safetensors:
            return load_file(path)
        if zipfile.is_zipfile(path):
            check_stored(path)
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        else:  # from before torch 1.6; read from a map, which has no more bytes than the file, whatever is asked of it
            with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
                state = torch.load(cast("IO[bytes]", content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types for a damaged or foreign file
        reason = str(error).partition("\n")[0].rstrip(". ")[:200] or type(error).__name__
        raise ValueError(
            f"{path}: expected a whole safetensors or torch file of tensors alone, got something else "
            f"({reason}); get it again"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
        for name, value in state.items()
    ):
        raise ValueError(
            f"{path}: expected a flat state dict, got {type(state).__name__} that holds other things than "
            "tensors; give the official file, not a training checkpoint"
        )
    return state


def _today(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the position indices of old CLIP files, and with today's names of the autoencoder's attention."""

    def renamed(name: str) -> str:
        return re.sub(
            r"(\.mid_block\.attentions\.0\.)(query|key|value|proj_attn)\.",
            lambda match: f"{match[1]}{_OLD_ATTENTION[match[2]]}.",
            name,
        )

    return {renamed(name): value for name, value in state.items() if not name.endswith(".position_ids")}


def _size(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "scalar"
