"""Kill -9, full disks, broken methods: what is finished stays, what is not is done, nothing counts twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fakes
import pytest
from test_runs_end_to_end import calls, values

from emojibench.errors import UserError
from emojibench.runs.folder import RunFolder

HERE = Path(__file__).parent


def start(
    bench: Any,
    registered: Path,
    shell: str = "",
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> "subprocess.Popen[str]":
    path = os.pathsep.join([str(HERE), str(registered), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / "drive.py"), str(bench.out), json.dumps(settings)]
    return subprocess.Popen(
        ["bash", "-c", f'exec "$0" "$@" {shell}', *command],
        env=os.environ | {"PYTHONPATH": path} | dict(environment or {}),
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_kill_9_and_start_again(bench: Any, registered: Path, tmp_path: Path) -> None:
    log, gate = tmp_path / "calls", tmp_path / "gate"
    settings = {
        "options": {"log": str(log), "c": f"wait:{gate}"},
        "metrics": ["fake_l1", "fake_face", "fake_set"],
    }
    process = start(bench, registered, name="r", **settings)
    wait_for(lambda: log.exists() and "c" in calls(log))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    worker = int(log.read_text().splitlines()[-1].split()[1])
    wait_for(lambda: not alive(worker), 20)
    folder = RunFolder(bench.out / "r")
    assert [folder.animation(clip) is not None for clip in fakes.IDS] == [True, True, False, False]
    gate.touch()
    resumed = bench.run("fake", **settings)
    assert resumed.exit_code == 0
    assert calls(log) == ["a", "b", "c", "c", "d"]  # only the clip that was under way is done again
    whole = bench.run("fake", **settings, name="uninterrupted")
    assert values(folder) == values(RunFolder(whole.folder))
    for column in ("fake_l1", "fake_face", "fake_set"):
        assert resumed.summary.metrics[column] == whole.summary.metrics[column]


def test_rows_torn_by_a_kill_are_made_again_and_count_once(bench: Any) -> None:
    whole = bench.run("fake")
    file = whole.folder / "rows.jsonl"
    complete = file.read_bytes()
    file.write_bytes(complete[: len(complete) * 2 // 3])  # in the middle of a line
    (whole.folder / "summary.json").unlink()
    (whole.folder / ".scratch" / "c").mkdir(parents=True)  # what a killed worker leaves
    resumed = bench.run("fake")
    assert resumed.summary.metrics == whole.summary.metrics
    assert sorted(file.read_bytes().splitlines()) == sorted(complete.splitlines())
    assert not (whole.folder / ".scratch").exists()


def test_broken_clips_fail_alone_with_their_reason(bench: Any) -> None:
    fates = {"a": "raise", "b": "short", "c": "float", "d": "die"}
    result = bench.run("fake", options=fates)
    assert result.exit_code == 3
    assert result.failed["a"] == "RuntimeError: the network exploded"
    assert result.failed["b"] == "ValueError: expected 5 frames, one for each driving frame, got 4"
    assert "expected a uint8 array of shape (5, 32, 32, 3), got float32" in result.failed["c"]
    assert result.failed["d"] == "the worker process died (exit code 9), twice"
    log = (result.folder / "logs" / "animate-a.txt").read_text()
    assert "Traceback" in log
    assert "method talks to stdout" in log
    rows = result.rows()  # what the driving does is known whatever became of the animation
    assert set(rows[~rows.metric.str.startswith("driving_")].status) == {"failed"}
    assert result.summary.metrics["fake_l1"].coverage == 0


def test_a_hanging_clip_is_killed_and_the_others_go_on(bench: Any) -> None:
    result = bench.run("fake", options={"b": "hang"}, timeout=5, clips=3)
    assert result.exit_code == 3
    assert result.failed == {"b": "no result within 5 s (--timeout)"}
    l1 = result.summary.metrics["fake_l1"]
    assert (l1.n_clips, l1.expected, l1.status) == (2, 3, "ok")
    assert l1.reason == "1 of 3: no result within 5 s (--timeout)"


def test_broken_metrics_fail_alone(bench: Any) -> None:
    result = bench.run("fake", clips=1, metrics=["fake_broken", "fake_l1"])
    assert result.exit_code == 3
    reasons = {name: entry.reason for name, entry in result.summary.metrics.items()}
    assert reasons["fake_range"] == "the metric returned a wrong value: 7 is outside the range [0, 1]"
    assert reasons["fake_forgotten"] == "the metric returned nothing for its column fake_forgotten"
    assert reasons["fake_nan"] == "the metric returned a wrong value: nan is no finite number"
    assert result.summary.metrics["fake_l1"].status == "ok"


def test_a_full_disk_stops_the_run_and_leaves_it_whole(bench: Any, registered: Path) -> None:
    # A limit on the size of files is an error of the operating system that root meets too.
    settings = {"clips": 2, "metrics": ["fake_l1"]}
    process = start(bench, registered, name="r", largest_file=6000, **settings)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "cannot write" in error
    assert "frames.mkv" in error
    assert "continues where it stopped" in error
    assert "Traceback" not in error
    folder = RunFolder(bench.out / "r")
    assert folder.animation("a") is None  # not the method's fault: no clip failed
    result = bench.run("fake", **settings)
    assert result.exit_code == 0
    assert result.summary.metrics["fake_l1"].coverage == 1


def test_a_place_that_cannot_be_written_is_named(bench: Any) -> None:
    bench.out.write_text("a file where the folder should be")  # stops root as well
    with pytest.raises(UserError, match=r"cannot write .*runs.*use a folder elsewhere"):
        bench.run("fake")


def test_two_processes_do_not_work_on_one_run(bench: Any) -> None:
    with (
        RunFolder(bench.out / "r"),
        pytest.raises(UserError, match="another emojibench process is working on this run"),
    ):
        bench.run("fake")
