"""What making one animation takes beside seconds: executed operations and memory."""

import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

Kind = Literal["cuda", "clip", "rss", "processes"]
"""cuda: most memory that torch allocated on the device during the clip. clip: most resident memory of the process
during the clip. rss: most resident memory of the process or of a program that it started, so far: an upper bound.
processes: most resident memory of all processes of the command that made the clip, looked at many times a second."""
Shape = tuple[int, ...]

_PROCESS = Path("/proc/self")


class Operations:
    """Counts what torch executes: on every clip, or on the first of each shape where the others cost the same."""

    def __init__(self, *, by_shape: bool) -> None:
        """Take whether the method says that its cost depends on a clip's shape alone."""
        from emojibench_metrics.flops import (
            count_flops,  # torch is loaded here, where no clip's latency sees it
        )

        self._count_flops = count_flops
        self._by_shape = by_shape
        self._known: dict[Shape, float] = {}

    def counts(self, shape: Shape) -> bool:
        """Whether a clip of this shape is going to be counted."""
        return not self._by_shape or shape not in self._known

    @contextmanager
    def of(self, shape: Shape) -> Iterator[None]:
        """Count the operations of the block, which makes a clip of this shape, if they have to be counted."""
        if not self.counts(shape):
            yield
            return
        with self._count_flops() as counter:
            yield
        self._known[shape] = float(counter.total)

    def __getitem__(self, shape: Shape) -> float:
        """Operations of the last counted clip of a shape (1 MAC = 2 FLOPs)."""
        return self._known[shape]

    def __contains__(self, shape: Shape) -> bool:
        """Whether a clip of this shape was made here before."""
        return shape in self._known


class MemoryWatch:
    """Watches memory from the moment it is made."""

    def __init__(self) -> None:
        if cuda := _cuda():
            cuda.reset_peak_memory_stats()
        self._children = _children()
        self._fresh = _forget_peak()

    def peak(self) -> tuple[int, Kind]:
        """Most bytes since then, and of which kind."""
        if cuda := _cuda():
            return int(cuda.max_memory_allocated()), "cuda"
        children = _children()
        if self._fresh and children == self._children:
            return _peak(), "clip"
        return max(_rss(resource.RUSAGE_SELF), _rss(resource.RUSAGE_CHILDREN)), "rss"


def _cuda() -> Any:
    """torch.cuda if this process uses it, else None; never imports torch by itself."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _forget_peak() -> bool:
    """Make the kernel forget this process's peak (Linux); False where it cannot be made to."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
        return _peak() > 0
    except OSError:
        return False


def _peak() -> int:
    """Bytes of the largest resident size since the peak was forgotten."""
    found = re.search(r"VmHWM:\s+(\d+) kB", (_PROCESS / "status").read_text())
    return int(found[1]) * 1024 if found else 0


def _children() -> tuple[float, int]:
    """Changes whenever a program that this process started has ended: its seconds and its page faults."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime, usage.ru_minflt


def _rss(who: int) -> int:
    unit = 1 if sys.platform == "darwin" else 1024  # macOS gives bytes, others kilobytes
    return resource.getrusage(who).ru_maxrss * unit
