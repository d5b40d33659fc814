"""Latents of a whole training set, computed once: in memory, or in files that a later call goes on with."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fye_faster.models import checkpoint
from fye_faster.pipelines.mini import to_tensor
from fye_faster.train.data import TrainingSet
from fye_faster.train.training_state import digest

_BATCH = 12
_NOTE = "latents.json"

Encode = Callable[[Tensor], Tensor]
"""(N, 3, H, W) in [-1, 1] to latents (N, C, h, w)."""


@dataclass(frozen=True)
class Latents:
    """A whole `TrainingSet`, encoded; memory maps will do."""

    frames: NDArray[np.float16]
    """(S, F, C, h, w)."""
    warped: NDArray[np.float16] | None
    """(S, R, F, C, h, w): portraits warped to each frame; None for models that are not shown them."""


def encode(
    data: TrainingSet,
    encoder: Encode,
    *,
    warped: bool,
    folder: Path | None = None,
    write: bool = True,
    key: str = "",
    done: Callable[[int], None] = lambda _pictures: None,
) -> Latents:
    """Encode all frames, and all portraits warped to all frames of their sequence.

    Args:
        data: the pictures.
        encoder: as its type says.
        warped: whether warped portraits are wanted.
        folder: where latents are kept; what is there already from the same encoder and data is used. None: memory.
        write: whether latents that are not there may be written there; otherwise they stay in memory.
        key: names encoder and data.
        done: called with the number of pictures that were encoded since its last call.

    Raises:
        OSError: no space left.
    """
    (sequences, frames), latent = data.frames.shape[:2], encoder(to_tensor(data.frames[0, :1])).shape[1:]
    wanted = {"frames": (sequences, frames, *latent)}
    if warped:
        wanted["warped"] = (sequences, data.portraits, frames, *latent)
    if folder is not None and (kept := _read(folder, wanted, key)) is not None:
        return Latents(kept["frames"], kept.get("warped"))
    if not write:
        folder = None
    with ExitStack() as stack:
        arrays = {name: _new(stack, folder, name, shape) for name, shape in wanted.items()}
        for sequence, pictures in enumerate(data.frames):
            arrays["frames"][sequence] = _encoded(np.asarray(pictures), encoder, done)
            for portrait in range(data.portraits if warped else 0):
                pictures = data.warped(sequence, portrait, range(frames))
                arrays["warped"][sequence, portrait] = _encoded(pictures, encoder, done)
    if folder is not None:
        sha256 = {name: digest(_file(folder, name)) for name in wanted}
        with checkpoint.whole(folder / _NOTE) as partial:
            partial.write_text(json.dumps({"key": key, "sha256": sha256}))
    return Latents(arrays["frames"], arrays.get("warped"))


def _encoded(
    pictures: NDArray[np.uint8], encoder: Encode, done: Callable[[int], None]
) -> NDArray[np.float16]:
    """(N, H, W, 3) to (N, C, h, w)."""
    parts = []
    for start in range(0, len(pictures), _BATCH):
        part = encoder(to_tensor(pictures[start : start + _BATCH]))
        parts.append(part.half().cpu().numpy())
        done(len(part))
    return np.concatenate(parts)


def key_of(encoder: Mapping[str, Tensor], precision: str, data: TrainingSet) -> str:
    """A digest of an encoder's tensors, of how it computes and of what it encodes."""
    found = hashlib.sha256(precision.encode())
    for name, value in sorted(encoder.items()):
        found.update(name.encode())
        found.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    found.update(np.ascontiguousarray(data.landmarks).tobytes())
    found.update(repr((data.frames.shape, data.portraits)).encode())
    return found.hexdigest()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _new(stack: ExitStack, folder: Path | None, name: str, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """An array to fill; in a folder, a file that appears when the stack closes without an error."""
    if folder is None:
        return np.empty(shape, np.float16)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _NOTE).unlink(missing_ok=True)
    partial = stack.enter_context(checkpoint.whole(_file(folder, name)))
    array: Any = np.lib.format.open_memmap(partial, "w+", np.float16, shape)  # type: ignore[no-untyped-call]
    if hasattr(os, "posix_fallocate"):  # running out of space later would kill the process (SIGBUS)
        with partial.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, partial.stat().st_size)
    stack.callback(array.flush)
    return np.asanyarray(array)


def _read(
    folder: Path, wanted: dict[str, tuple[int, ...]], key: str
) -> dict[str, NDArray[np.float16]] | None:
    """What an earlier call kept; None where it has to be made anew: nothing is there, or something else, or damaged."""
    try:
        note = json.loads((folder / _NOTE).read_bytes())
        if note["key"] != key or any(digest(_file(folder, name)) != note["sha256"][name] for name in wanted):
            return None
        arrays = {name: np.load(_file(folder, name), mmap_mode="r", allow_pickle=False) for name in wanted}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    fit = all(array.dtype == np.float16 and array.shape == wanted[name] for name, array in arrays.items())
    return arrays if fit else None
