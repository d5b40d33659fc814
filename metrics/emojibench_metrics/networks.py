"""Running metric networks: safe loading, one device, batches on a GPU and threads on a CPU.

Import only where a network is needed: this module loads torch.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from emojibench_metrics.frames import batches


def device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a PyTorch weight file, on the CPU; nothing but tensors is ever unpickled.

    A file that wraps them in `params` or `state_dict` is unwrapped.

    Raises:
        ValueError: the file is no plain state dict.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen types for a damaged or foreign file
        raise ValueError(f"{path}: cannot be read as PyTorch weights: {error}") from error
    for wrapper in ("params", "state_dict"):
        if isinstance(stored, dict) and isinstance(stored.get(wrapper), dict):
            stored = stored[wrapper]
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ValueError(f"{path}: expected a dictionary of tensors, got {type(stored).__name__}")
    return {str(name): value for name, value in stored.items()}


def map_batches(function: Callable[[slice], Tensor], count: int, *, cpu: int, gpu: int) -> Tensor:
    """Concatenated `function(batch)` over consecutive slices of `range(count)`, in order, on the CPU.

    On a CPU every batch runs on one thread and as many batches at once as torch has threads: for small
    convolutions that is several times faster than splitting each of them, and does not stall on a busy
    machine. On a GPU batches follow one another, without TF32, so that values do not depend on the card.

    Args:
        function: computes one batch; called in inference mode.
        count: number of items.
        cpu: items in a batch on a CPU; bounds memory.
        gpu: items in a batch on a GPU.
    """

    def run(batch: slice) -> Tensor:
        with torch.inference_mode():
            return function(batch).cpu()

    if device().type == "cuda":
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return torch.cat([run(batch) for batch in batches(count, gpu)])
    _keep_freed_memory()
    with _single_threaded_pool() as pool:
        return torch.cat(list(pool.map(run, batches(count, cpu))))


@functools.cache
def _keep_freed_memory() -> None:
    """Let the C library keep up to 64 MiB of freed memory instead of handing it back after every frame.

    glibc raises its thresholds to what it has seen freed, at most 32 MiB at once. Without this, half the time
    of a small network goes into page faults; where the C library is another one, nothing happens.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


@contextlib.contextmanager
def _single_threaded_pool() -> Iterator[ThreadPoolExecutor]:
    """A pool of as many threads as torch uses, each of which runs torch's operators on itself alone."""
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        # The setting is the thread's own, but also what threads born later start with.
        torch.set_num_threads(threads)
