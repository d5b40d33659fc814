"""The state of an unfinished training on disk: what a checkpoint names, and how it is read back without trusting it.

Why not `Accelerator.save_state` and `load_state`: averaged weights and the generators of batches would be objects
registered for checkpointing, which accelerate 1.15 reads with `weights_only=False`. A pickle planted in
`custom_checkpoint_0.pkl` ran when we tried it. Its random states are passed over without a word where they are
damaged, so that a training would go on with other batches; and frozen networks are written each time, 1.5 GiB for
`paper`. Here tensors are safetensors, the moments of the optimizer are read with `weights_only=True`, everything else
is JSON, each file has its sha256, and the state appears after the files that it names.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from torch import nn

from fye_faster.models.checkpoint import check_stored

FILE = "state.json"
LIMIT = 1 << 20
"""Bytes that are read of it; it has some two thousand."""
ADVICE = "start over with --fresh, or choose another folder"

Count = Annotated[int, Field(ge=0, le=10**12)]


class Best(BaseModel):
    """The averaged weights of a phase that validation liked best."""

    model_config = ConfigDict(strict=True, frozen=True)

    error: FiniteFloat
    step: Count
    sha256: str = ""
    """Of the file that holds them."""


class State(BaseModel):
    """Where a training stands. Written after the files that it names, so that it is true whenever it is there."""

    model_config = ConfigDict(strict=True, frozen=True)

    checkpoint: Annotated[str, Field(pattern=r"^checkpoint-[0-9]+-[0-9]+$")]
    """How the names of its files begin: a name, never a path."""
    phase: Count
    step: Count
    spent: Annotated[FiniteFloat, Field(ge=0)]
    """Seconds of training in this phase."""
    numpy: dict[str, Any]
    """State of the generator of batches."""
    best: Best | None = None
    settings: dict[str, Any] | None = None
    """What decides the weights; checkpoints of earlier versions do not say."""
    sha256: dict[str, str] | None = None
    """Of each file, by its name; checkpoints of earlier versions do not say."""


def files(checkpoint: str) -> tuple[str, str, str]:
    """Names of the files of a checkpoint: current weights, averaged weights, optimizer and generator."""
    return f"{checkpoint}.weights.safetensors", f"{checkpoint}.average.safetensors", f"{checkpoint}.pt"


def best_file(phase: int, best: Best) -> str:
    """Name of the file of a phase's best weights."""
    return f"best-{phase}-{best.step:06d}.safetensors"


def read(out: Path, phases: int) -> State | None:
    """The state in a folder, all its files whole; None where there is none.

    Args:
        out: the folder.
        phases: how many the preset has.

    Raises:
        ValueError: not a state, or a file that it names is missing or not what was written.
    """
    file = out / FILE
    if not file.exists():
        return None
    if not file.is_file():
        raise ValueError(f"{file}: expected the state of a training, got no regular file; {ADVICE}")
    try:
        with file.open("rb") as stream:
            state = State.model_validate_json(stream.read(LIMIT))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{file}: {where}: {first['msg']}; {ADVICE}") from error
    if state.phase > phases:
        raise ValueError(f"{file}: phase: expected 0 to {phases}, got {state.phase}; {ADVICE}")
    if state.sha256 is None:  # an earlier version, whose file of best weights had another name
        return state.model_copy(update={"best": None})
    wanted = {name: state.sha256.get(name, "") for name in files(state.checkpoint)}
    if state.best is not None:
        wanted[best_file(state.phase, state.best)] = state.best.sha256
    for name, sha256 in wanted.items():
        path = out / name
        if not path.is_file():
            raise ValueError(f"{path}: {FILE} names this file, but it is not there; {ADVICE}")
        if digest(path) != sha256:
            raise ValueError(f"{path}: not the file that was written (its sha256 differs); {ADVICE}")
    return state


def discard(out: Path) -> None:
    """Remove the state and its files, so that nothing is left to continue from; the state goes first."""
    (out / FILE).unlink(missing_ok=True)
    tidy(out, ())


def tidy(out: Path, kept: Sequence[str]) -> None:
    """Remove checkpoints and best weights of other names than these."""
    for pattern in ("checkpoint-*", "best-*"):
        for path in out.glob(pattern):
            if path.name not in kept:
                path.unlink()


def digest(path: Path) -> str:
    """The file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """How two settings differ, in words; empty if they do not."""
    names = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
    return ", ".join(f"{n.replace('_', ' ')} {there.get(n)}, not {wanted.get(n)}" for n in names)


def read_moments(
    path: Path, parameters: Sequence[nn.Parameter], critic: nn.Module | None = None
) -> tuple[dict[int, dict[str, torch.Tensor]], torch.Tensor]:
    """Moments of AdamW by the parameter's number, and the state of a generator; nothing but tensors is unpickled.

    Args:
        path: what `torch.save` wrote.
        parameters: those of the model that the moments belong to; none where all phases are finished.
        critic: is trained beside them and follows them in number; takes the weights that are stored.

    Raises:
        ValueError: another file, or moments or weights of other parameters.
    """
    try:
        check_stored(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
        moments = stored["optimizer"]["state"] if parameters else {}
        if critic is not None:
            critic.load_state_dict(stored["critic"])
            parameters = [*parameters, *critic.parameters()]
        for index, entry in moments.items():
            shape = parameters[index].shape
            if not entry["exp_avg"].shape == entry["exp_avg_sq"].shape == shape or entry["step"].numel() != 1:
                raise ValueError(f"moments of parameter {index} are not {tuple(shape)}")
        torch.Generator().set_state(stored["rng"])
        return moments, stored["rng"]
    except Exception as error:  # torch raises a dozen types for a damaged or foreign file
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not the optimizer of this training ({reason}); {ADVICE}") from error
