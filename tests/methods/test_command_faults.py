"""What other people's programs do wrong, and the one line that says it; nothing of theirs is left running."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from command_clips import make_clip
from fake_baseline import SLEEPER

from emojibench.dataset.clip import Clip
from emojibench.errors import UserError
from emojibench.methods.command import CommandMethod

FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "crash": ("crash", {}, "the command ended with exit code 1: RuntimeError: CUDA out of memory"),
    "hang": ("hang", {"time_limit": 3}, r"did not end within 3 s \(time_limit\): frame 3 of 8"),
    "deaf to SIGTERM": ("deaf", {"time_limit": 3}, r"did not end within 3 s \(time_limit\)"),
    "segmentation fault": ("segfault", {}, "ended with SIGSEGV"),
    "memory": ("memory", {"memory_limit": 500}, r"used more memory than 500 MiB \(memory_limit\)"),
    "gigabytes of output": ("gigabytes", {"output_limit": 50}, r"wrote more than 50 MiB \(output_limit\)"),
    "reads standard input": ("stdin", {}, "ended with exit code 1: .*EOFError"),
    "exit code after good output": ("exit", {}, "ended with exit code 3: done, but the cache could not be written"),
    "wrong count": ("count", {}, "expected 6 frames, one for each driving frame, got 5"),
    "wrong size": ("size", {}, "expected frames of 64x64 pixels or the same ratio of sides, got 64x32"),
    "not the size it says": ("", {"output": {"kind": "pictures", "size": [128, 128]}}, "of 128x128 .*, got 64x64"),
    "no tile": (
        "", {"output": {"kind": "pictures", "tile": {"x": 64, "y": 0, "width": 64, "height": 64}}},
        r"expected frames that hold 64x64 pixels at 64,0 \(output.tile\), got 64x64",
    ),
    "nothing written": ("empty", {"output": {"pattern": "{out}/r.mp4"}}, r"no output: .*/r\.mp4 .*found nothing"),
    "another name": (
        "", {"output": {"pattern": "{out}/*.mp4"}}, r"no output: expected a file .*\*\.mp4 .*found out/000\.png"
    ),
    "two files": ("two", {"output": {"pattern": "{scratch}/o*", "kind": "pictures"}}, "expected one .*, found 2: "),
    "not a video": ("unreadable", {"how": "cv2"}, "result.mp4"),
    "writes elsewhere": ("elsewhere", {"words": "--elsewhere {here}/stray.txt"}, "wrote outside .*/stray.txt"),
    "writes beside its folder": ("beside", {}, "wrote outside its folder: .*/notes.txt"),
    "removes its folder": ("", {"command": "rm -rf {scratch}"}, "no output: .*found nothing"),
    "makes a pipe": ("", {"command": "mkfifo {out}", "output": {}}, "out/result.mp4: expected a file, got a pipe"),
    "leaves a child": ("child", {}, "left a process running when it ended: .*sleep"),
    "leaves a daemon": ("daemon", {}, "left a process running when it ended: .*sleep"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_one_line(method: Any, clip: Clip, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    fault, fields, reason = FAULTS[case]
    opened: CommandMethod = method(fault, **fields)
    with pytest.raises(UserError, match=rf"fake: .*{reason}") as caught:
        opened.animate(clip, seed=1, progress=lambda *_: None)
    assert "\n" not in str(caught.value)
    sleepers = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == SLEEPER]
    _, left = psutil.wait_procs(sleepers, timeout=20)  # those of tests that run beside this one end soon
    assert not left


def test_a_talker_is_heard_out_and_its_log_stays_small(
    method: Any, clip: Clip, capfd: pytest.CaptureFixture[str]
) -> None:
    animation = method("chatter").animate(clip, seed=1, progress=lambda *_: None)
    assert len(animation.frames) == clip.frames
    said = capfd.readouterr().err
    assert "loading the model" in said
    assert re.search(r"\.\.\. [0-9,]+ bytes left out \.\.\.", said)
    assert len(said) < 2**21


def test_no_private_folder_is_left(
    method: Any, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    for fault in ("", "crash"):
        try:
            method(fault).animate(clip, seed=1, progress=lambda *_: None)
        except UserError:
            continue
    assert not list((tmp_path / "t").iterdir())


def test_a_group_that_lacks_one_clip_has_the_others(method: Any) -> None:
    opened = method("skips", several=True)
    first, second = opened.animate_batch([make_clip(0), make_clip(1)], seeds=[1, 2], progress=lambda *_: None)
    assert first.shared == 2
    assert isinstance(second, UserError)
    assert "clip-1/out: holds no pictures" in str(second)
    alone = opened.animate(make_clip(0), seed=1, progress=lambda *_: None)
    assert np.array_equal(first.frames, alone.frames)
