"""Whatever a method does, it spoils its own clip: not its run folder, not the other clips, nothing beyond the run."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from test_runs_survive import alive, start, wait_for

from emojibench.errors import UserError
from emojibench.runs.folder import LOG_LIMIT, RunFolder


@pytest.fixture
def hostile(bench: Any, tmp_path: Path) -> Any:
    info = tmp_path / "site" / "hostile-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[emojibench.methods]\nhostile = hostile:HostileMethod\nnumbered = hostile:NumberedMethod\n"
        "surrogate = hostile:SurrogateMethod\nbatch = hostile:BatchMethod\n"
    )
    return bench


@pytest.mark.parametrize(
    "fates",
    [
        {
            "list": "expected an emojibench.methods.Animation, got list",
            "inf": "with finite seconds of at least 0, got 'a': inf",
            "nan": "got 'a': nan",
            "text": "got 'a': 'soon'",
        },
        {
            "number": "got 3: 1.0",
            "pairs": "seconds: expected a mapping of stages to seconds, got list",
            "fps": "fps: expected a number from 0.1 to 1000, got nan",
            "fast": "fps: expected a number from 0.1 to 1000, got 1e+300",
        },
        {
            "no fps": "fps: expected a number from 0.1 to 1000, got '25'",
            "base": "NoException: worse",
            "interrupt": "KeyboardInterrupt",
            "surrogate": "RuntimeError: half \\ud800 a pair",
        },
        {
            "speechless": "SpeechlessError: no message (ValueError)",
            "blind": "RuntimeError: no streams",
            "list": "got list",
            "reshape": "",
        },
        {
            "half note": "note: expected one line of at most 1000 printable characters, got 'half \\ud800 a pair'",
            "vast": "shared: expected a whole number from 1 to",
            "many": "seconds: expected at most 1000 stages, got 100,000",
            "raise": "RuntimeError: the network exploded",
        },
    ],
)
def test_what_is_no_animation_fails_its_clip_and_damages_nothing(hostile: Any, fates: dict[str, str]) -> None:
    result = hostile.run("hostile", options=dict(zip("abcd", fates, strict=True)), metrics=["fake_l1"])
    for clip, message in zip("abcd", fates.values(), strict=True):
        assert message in result.failed.get(clip, "")
        assert (clip in result.failed) == bool(message)
        assert RunFolder(result.folder).animation(clip) is not None  # it can be read again
    logs = "".join(file.read_text(encoding="utf-8") for file in (result.folder / "logs").iterdir())
    assert logs.count("Traceback") == sum(map(bool, fates.values()))
    assert hostile.run("hostile", options=dict(zip("abcd", fates, strict=True)), metrics=["fake_l1"]).failed


def test_a_method_that_changes_the_working_directory_does_no_harm(
    hostile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emojibench.runs import api

    monkeypatch.chdir(tmp_path)
    result = api.run(
        "hostile", options={"a": "chdir", "log": "calls"}, metrics=["fake_l1"], out="here", quiet=True
    )
    assert result.failed == {}
    assert len((tmp_path / "calls").read_text().splitlines()) == 4  # an option's path counts from there, too
    assert {p.name for p in (tmp_path / "here").glob("*/animations/*/*")} == {
        "frames.mkv", "preview.mp4", "animation.json",
    }  # fmt: skip


def test_what_a_method_leaves_behind_changes_no_numbers(hostile: Any) -> None:
    fates = {"a": "odd progress", "b": "masked", "c": "views", "d": "closed"}
    result = hostile.run("hostile", name="r", options=fates, metrics=["fake_l1"])
    assert result.failed == {"d": "the worker process died (exit code 1), twice"}
    sound = hostile.run("fake", name="s", metrics=["fake_l1"])
    for clip in "abc":
        ours, theirs = (RunFolder(each.folder).animation(clip) for each in (result, sound))
        assert ours.digest == theirs.digest
    assert result.exit_code == 3
    modes = {file.stat().st_mode & 0o777 for file in result.folder.glob("animations/*/*") if file.is_file()}
    assert modes == {0o666 & ~_umask()}


@pytest.mark.parametrize(
    ("options", "failed", "message"),
    [
        ({"spoilt": "b"}, "b", "note: expected one line"),
        ({"short": "yes"}, "abcd", "animate_batch: expected a list of 4, one for each clip, got 3"),
    ],
)
def test_a_clip_of_a_batch_spoils_itself_alone(
    hostile: Any, options: dict[str, str], failed: str, message: str
) -> None:
    result = hostile.run("batch", options=options, metrics=["fake_l1"])
    assert "".join(sorted(result.failed)) == failed
    assert all(message in reason for reason in result.failed.values())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_clip_whose_frames_are_gone_is_animated_again(bench: Any, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    result = bench.run("fake", options={"log": str(log)}, clips=2)
    (result.folder / "animations" / "b" / "frames.mkv").unlink()
    assert bench.run("fake", options={"log": str(log)}, clips=2).failed == {}
    assert [line[0] for line in log.read_text().splitlines()] == ["a", "b", "b"]


@pytest.mark.parametrize("method", ["numbered", "surrogate"])
def test_a_method_that_cannot_be_opened_is_one_line(hostile: Any, method: str) -> None:
    with pytest.raises(
        UserError, match=r"revision: expected printable text|NoException: half \\udfff a pair"
    ):
        hostile.run(method)


def test_the_log_of_a_failed_clip_keeps_its_beginning_and_end(hostile: Any) -> None:
    result = hostile.run("hostile", options={"a": "shout"}, clips=1, metrics=["fake_l1"])
    (log,) = (result.folder / "logs").iterdir()
    text = log.read_text()
    assert log.stat().st_size < LOG_LIMIT + 100
    assert "first words" in text
    assert "bytes left out" in text
    assert text.endswith("RuntimeError: hoarse\n")


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
@pytest.mark.parametrize("fate", ["child", "session"])
def test_no_child_outlives_the_run_or_holds_it_up(hostile: Any, tmp_path: Path, fate: str) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    result = hostile.run("hostile", options={"a": fate, "pids": str(pids)}, clips=2, metrics=["fake_l1"])
    assert time.monotonic() - started < 120  # not the time limit, and not the life of the child
    assert result.failed == ({"a": "the worker process died (exit code 3), twice"} if fate == "child" else {})
    assert not any(alive(int(pid)) for pid in pids.read_text().split())


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_parent(hostile: Any, registered: Path, tmp_path: Path, how: int) -> None:
    pids, log = tmp_path / "pids", tmp_path / "calls"
    fates = {"a": "session and hang", "b": "session and hang", "pids": str(pids), "log": str(log)}
    process = start(
        hostile, registered, name="r", method="hostile", options=fates, jobs=2, metrics=["fake_l1"]
    )
    wait_for(lambda: pids.exists() and len(pids.read_text().splitlines()) == 4)
    process.send_signal(how)
    _, said = process.communicate(timeout=20)
    left = [int(pid) for pid in pids.read_text().split()]
    left += [int(line.split()[1]) for line in log.read_text().splitlines()]
    wait_for(lambda: not any(map(alive, left)), 20)
    assert "Traceback" not in said or how == signal.SIGINT


def test_a_folder_that_is_removed_meanwhile_is_said_so(
    hostile: Any, registered: Path, tmp_path: Path
) -> None:
    log, gate = tmp_path / "calls", tmp_path / "gate"
    options = {"log": str(log), "b": f"wait:{gate}"}
    process = start(hostile, registered, name="r", options=options, metrics=["fake_l1"])
    wait_for(lambda: log.exists() and "b " in log.read_text())
    (hostile.out / "r").rename(tmp_path / "gone")
    gate.touch()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "No such file or directory; somebody removed it meanwhile; run the same command again" in said
    assert not (hostile.out / "r").exists()  # nor does half of it come back


def test_closed_streams_fail_no_clip(hostile: Any, registered: Path) -> None:
    process = start(
        hostile, registered, shell=">&- 2>&- <&-", name="r", options={"a": "surrogate"}, method="hostile",
        clips=2, metrics=["fake_l1"],
    )  # fmt: skip
    process.communicate(timeout=60)
    assert process.returncode == 3
    summary = json.loads((hostile.out / "r" / "summary.json").read_text())
    assert summary["clips"]["failed"] == {"a": "RuntimeError: half \\ud800 a pair"}
    assert summary["metrics"]["fake_l1"]["n_clips"] == 1


def test_a_run_folder_is_utf_8_whatever_the_locale(hostile: Any, registered: Path) -> None:
    ascii_ = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    options = {"note": "张三 é", "a": "raise"}
    process = start(
        hostile, registered, environment=ascii_, name="r", options=options, clips=2, metrics=["fake_l1"]
    )
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert RunFolder(hostile.out / "r").spec().options == options
    assert os.environ.get("LC_ALL") != "C"


def test_a_place_whose_name_is_not_utf_8_can_hold_runs(bench: Any, registered: Path) -> None:
    bench.out = os.fsdecode(os.fsencode(bench.out) + b"\xff")
    process = start(bench, registered, name="r", clips=1, metrics=["fake_l1"])
    assert process.communicate(timeout=60)[1].splitlines()[-1].startswith("score 1/1")
    assert process.returncode == 0
    assert (Path(bench.out) / "r" / "summary.json").exists()
