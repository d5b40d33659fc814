"""Memory of a clip is that clip's, not the process's since its start."""

import mmap
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emojibench.runs import measuring
from emojibench.runs.measuring import MemoryWatch

LARGE = 1 << 28


def taken(size: int) -> tuple[int, str]:
    memory = MemoryWatch()
    pages = mmap.mmap(-1, size)  # new ones, however much of its heap a process keeps from earlier tests
    np.frombuffer(pages, np.uint8).fill(1)
    return memory.peak()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can forget a peak")
def test_a_small_clip_after_a_large_one_is_small() -> None:
    large, small = taken(LARGE), taken(1)
    assert large[1] == small[1] == "clip"
    assert large[0] - small[0] > LARGE * 0.9


def test_what_cannot_be_told_apart_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = MemoryWatch()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    assert memory.peak()[1] == "rss"  # its memory is that of the largest program so far
    monkeypatch.setattr(measuring, "_PROCESS", tmp_path)  # no such files: not Linux
    peak, kind = taken(LARGE)
    assert kind == "rss"
    assert peak >= LARGE
    monkeypatch.setattr(sys, "platform", "darwin")
    assert MemoryWatch().peak()[0] == max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
