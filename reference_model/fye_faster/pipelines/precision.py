"""Where the networks run, and with how many bits."""

import torch
from torch import nn

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DEVICES = ("auto", "cpu", "cuda")


def device(name: str) -> torch.device:
    """The device called `name`; `auto` is CUDA where there is some, else the CPU; `cuda:1` is the second GPU.

    Raises:
        ValueError: unknown name, or a CUDA device that PyTorch does not find.
    """
    kind, colon, number = name.partition(":")
    if kind not in DEVICES or (colon and (kind != "cuda" or not number.isdecimal())):
        raise ValueError(f"device: expected one of {', '.join(DEVICES)}, cuda:1, ..., got {name!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        build = torch.version.cuda or "none: this PyTorch is built without it"
        raise ValueError(
            f"device: cuda was asked for, but PyTorch finds no CUDA device (CUDA {build}); use cpu"
        )
    if number and int(number) >= torch.cuda.device_count():
        raise ValueError(f"device: expected cuda:0 to cuda:{torch.cuda.device_count() - 1}, got {name!r}")
    if number:
        return torch.device(kind, int(number))
    return torch.device("cuda" if kind != "cpu" and torch.cuda.is_available() else "cpu")


def dtype(name: str) -> torch.dtype:
    """The type called `name`. Raises ValueError for an unknown one."""
    if name not in DTYPES:
        raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {name!r}")
    return DTYPES[name]


def cast(model: nn.Module, kind: torch.dtype) -> None:
    """Cast, in place, the convolutions and linear layers of a model: nearly all of its weights.

    Norms, learnt positions and noise schedules stay in fp32, where few bits would cost accuracy; `autocast` around
    the calls lets the two meet.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.to(kind)


def check_single(module: nn.Module) -> None:
    """Raise ValueError unless all numbers of a module are in single precision.

    Networks that were cast as a whole have lost what `cast` keeps, such as the scale of latents.
    """
    for name, value in module.state_dict().items():
        if value.is_floating_point() and value.dtype != torch.float32:
            kind = str(value.dtype).removeprefix("torch.")
            raise ValueError(
                f"model: expected fp32 throughout, {name} is {kind}; leave the casting to the pipeline's dtype"
            )
