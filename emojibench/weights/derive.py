"""Makes the files of the table that are a part of another: a member of a zip, a slice of a checkpoint."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from emojibench.errors import UnavailableError
from emojibench.files.writing import replacing
from emojibench.weights import store
from emojibench.weights.table import Archive, Slice, WeightFile


def unpack(archive: Path, origin: Archive, wanted: WeightFile) -> store.Found:
    """Take `wanted` out of its zip into the cache, verified.

    Raises:
        UnavailableError: the zip does not hold the official file.
    """
    with zipfile.ZipFile(archive) as bundle:
        members = [m for m in bundle.infolist() if PurePosixPath(m.filename).name == wanted.file]
        if not members:
            raise UnavailableError(f"{wanted.file}: {origin.file} holds no file of this name")
        with bundle.open(members[0]) as stream:
            return _write(wanted.file, lambda path: _copy(stream, path), wanted.digest)


def cut(checkpoint: store.Found, cutting: Slice) -> store.Found:
    """Save a slice of a verified checkpoint beside it in the cache.

    Returns:
        The new file, with the digests of the checkpoint: those are what the table can check.

    Raises:
        UnavailableError: the tensors are not the expected ones.
    """
    import torch

    state = torch.load(checkpoint.path, map_location="cpu", weights_only=True)
    tensors = {k.removeprefix(cutting.prefix): v for k, v in state.items() if k.startswith(cutting.prefix)}
    if tensor_digest(tensors) != cutting.tensors:
        raise UnavailableError(f"{checkpoint.path}: its {cutting.prefix}* tensors are not the official ones")
    file = f"{checkpoint.path.stem}.{cutting.prefix}pth"
    made = _write(file, lambda path: torch.save(tensors, path))
    return store.Found(made.path, checkpoint.digests)


def tensor_digest(state: dict[str, Any]) -> str:
    """sha256 over name, dtype, shape and bytes of each tensor, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _copy(stream: IO[bytes], path: Path) -> None:
    with path.open("wb") as out:
        shutil.copyfileobj(stream, out)


def _write(file: str, fill: Callable[[Path], None], digest: str | None = None) -> store.Found:
    """Fill a temporary file, verify it, and give it its name in the cache in one step."""
    path = store.cache_folder() / file
    with replacing(path, path.with_name(f"{file}.{os.getpid()}")) as temporary:
        fill(temporary)
        digests = store.digests_of(temporary)
        if digest is not None and not digests.match(digest):
            raise UnavailableError(
                f"{file}: the archive holds another file of this name "
                f"(expected {digest}, got sha256:{digests.sha256})"
            )
    return store.Found(path, digests)
