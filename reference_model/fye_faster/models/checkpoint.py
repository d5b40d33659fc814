"""Weights on disk: safetensors with the preset's name inside, and the landmarks that they were trained on."""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from emojibench.face.draw import GROUPS
from fye_faster.nets.animator import Animator
from fye_faster.nets.autoencoder import Autoencoder
from fye_faster.presets import Preset

WEIGHTS = Path(__file__).parents[1] / "weights"


class Trained(Protocol):
    """What the file says of a preset."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def landmark_groups(self) -> tuple[str, ...]:
        """What the condition maps show; keys of `landmarks.GROUPS`."""
        ...

    @property
    def warp(self) -> bool:
        """Whether the model is shown the portrait warped to each frame's landmarks."""
        ...


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


def save(
    path: Path, state: Mapping[str, Tensor], preset: Trained, dtype: torch.dtype = torch.float16
) -> None:
    """Write the state dict of what a preset learns; the file appears whole or not at all.

    Raises:
        OSError: as `whole`.
    """
    tensors = {name: value.detach().to(dtype).contiguous() for name, value in state.items()}
    about = {
        "preset": preset.name,
        "landmarks": ",".join(preset.landmark_groups),
        "warp": str(preset.warp).lower(),
    }
    with whole(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode  # safetensors makes files that their owner alone can read
        save_file(tensors, partial, metadata=about)
        _sort_metadata(partial)
        partial.chmod(mode)


def _sort_metadata(file: Path) -> None:
    """Put the metadata in order: safetensors writes it in any, and the same weights have to be the same file."""
    with file.open("r+b") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        stream.seek(8)
        stream.write(json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(size))


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield another name to write to, which becomes `path` when the block succeeds.

    Raises:
        OSError: it cannot be written (full disk, ...); names `path`, whichever library wrote. What was there stays.
    """
    partial = path.with_suffix(".partial")
    try:
        yield partial
        partial.replace(path)
    except (OSError, SafetensorError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        cause = (
            error if isinstance(error, OSError) else error.__context__
        )  # torch stumbles over what a file raised
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, str(path)) from error
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise


def as_trained(preset: Preset, path: Path) -> Preset:
    """The preset with what the weights in a file were trained to see, where the file says so: landmarks, warp.

    Raises:
        ValueError: no such file, not safetensors, another preset's.
    """
    with _opened(path, preset) as file:
        seen = _seen(file, preset, path)
        return replace(preset, landmark_groups=seen.landmarks, warp=seen.warp)


def load(model: nn.Module, path: Path, *, assign: bool = False) -> None:
    """Read weights into what a preset learns, a module that knows its `preset`; all keys and shapes checked.

    Args:
        model: keeps its parameters, whose values are replaced.
        path: the file.
        assign: replace the parameters themselves, which may then be on the meta device.

    Raises:
        ValueError: no such file, not safetensors, another preset's, trained to see something else; missing or extra
            or misshapen tensors.
    """
    preset = cast("Trained", model.preset)
    with _opened(path, preset) as file:
        seen, expected = _seen(file, preset, path), _Seen(preset.landmark_groups, preset.warp)
        if seen != expected:
            raise ValueError(f"{path}: trained on {seen}, expected {expected}")
        state = {name: _tensor(file, name, path) for name in file.keys()}  # noqa: SIM118
    _fill(model, state, path, preset, assign=assign)


def load_autoencoder(model: Model, path: Path) -> None:
    """Read the autoencoder alone from the weights of a whole `Model`.

    Raises:
        ValueError: as `load`, but whatever it was trained to see will do.
    """
    prefix = "autoencoder."
    with _opened(path, model.preset) as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        state = {name.removeprefix(prefix): _tensor(file, name, path) for name in names}
    _fill(model.autoencoder, state, path, model.preset)


@contextmanager
def _opened(path: Path, preset: Trained) -> Iterator[Any]:
    """The file's reader, once it is known to be the preset's."""
    if not path.is_file():
        raise ValueError(f"{path}: no such weights file; train the preset or reinstall the package")
    try:
        with safe_open(path, "pt") as file:
            made_for = (file.metadata() or {}).get("preset")
            if made_for != preset.name:
                raise ValueError(f"{path}: weights of preset {made_for!r}, expected {preset.name!r}")
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); fetch it again") from error


@dataclass(frozen=True)
class _Seen:
    """What weights were trained to see."""

    landmarks: tuple[str, ...]
    warp: bool

    def __str__(self) -> str:
        return (
            f"landmarks {','.join(self.landmarks)} {'with' if self.warp else 'without'} the warped portrait"
        )


def _seen(file: Any, preset: Trained, path: Path) -> _Seen:
    """What a file says of this; files that do not say were trained to see what the preset does."""
    noted = file.metadata() or {}
    groups = tuple(noted["landmarks"].split(",")) if noted.get("landmarks") else preset.landmark_groups
    if unknown := set(groups) - set(GROUPS):
        raise ValueError(
            f"{path}: trained on unknown landmarks {', '.join(sorted(unknown))[:200]}; fetch it again"
        )
    return _Seen(groups, noted["warp"] == "true" if "warp" in noted else preset.warp)


def _tensor(file: Any, name: str, path: Path) -> Tensor:
    """One tensor in single precision."""
    kind = file.get_slice(name).get_dtype()
    if kind not in ("F16", "BF16", "F32", "F64"):
        raise ValueError(
            f"{path}: {name}: expected half, single or double precision, got {kind}; fetch it again"
        )
    tensor: Tensor = file.get_tensor(name).float()
    if not tensor.isfinite().all():
        raise ValueError(f"{path}: {name}: holds NaN or infinity: damaged, or its training diverged")
    return tensor


def _fill(
    module: nn.Module, state: Mapping[str, Tensor], path: Path, preset: Trained, *, assign: bool = False
) -> None:
    try:
        module.load_state_dict(state, assign=assign)
    except RuntimeError as error:
        problems = " ".join(str(error).partition(":")[2].split())
        more = " …" if len(problems) > 300 else ""
        raise ValueError(f"{path}: does not fit preset {preset.name!r}: {problems[:300]}{more}") from error


def digest(path: Path) -> str:
    """First 12 hex digits of the file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def check_stored(path: Path) -> None:
    """Raise ValueError for an archive whose members are compressed: a small one could fill the memory."""
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("its members are compressed, those of torch.save never are")
