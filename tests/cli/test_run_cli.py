"""`emojibench run` and `emojibench score` as users type them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from fake_bench import bench, registered

__all__ = ["bench", "registered"]


def test_stdout_is_data_and_strict_exits_with_3(
    bench: Any, emojibench: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ["run", "--method", "fake", "--clips", "b,c", "--metrics", "fake_l1", "--metrics", "fake_missing"]
    flags += ["--out", str(bench.out), "--seed", "3", "--set", "note=x", "--json"]
    assert emojibench(*flags) == 0
    printed = capfd.readouterr()
    summary = json.loads(printed.out)
    assert summary["name"] == "fake-self-fake"
    assert summary["metrics"]["fake_l1"]["n_clips"] == 2
    assert printed.err.startswith("loading ...\nmethod 'fake': loading ...\nanimate 0/2\n")
    assert "animate 2/2" in printed.err
    assert "run folder: " in printed.err
    assert emojibench(*flags[:-1], "--strict") == 3
    table = capfd.readouterr().out
    assert "fake_missing ↓" in table
    assert "] weights.bin is not here and cannot be fetched\n" in table


def test_scoring_some_metrics_keeps_the_others_and_scoring_plainly_takes_all(
    bench: Any, emojibench: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    def columns(command: str, *flags: str) -> dict[str, Any]:
        emojibench(command, *flags, "--json")
        metrics = json.loads(capfd.readouterr().out)["metrics"]
        return {name: entry for name, entry in metrics.items() if name.startswith("fake_")}

    again = ("--run", str(bench.out / "r"))
    run = ("--method", "fake", "--clips", "2", "--out", str(bench.out), "--name", "r")
    first = columns("run", *run, "--metrics", "fake_face,fake_set")
    assert set(first) == {"fake_face", "fake_set"}
    more = columns("score", *again, "--metrics", "fake_l1")
    assert set(more) == {*first, "fake_l1", "fake_long"}
    assert {name: more[name] for name in first} == first
    assert columns("run", *run, "--metrics", "fake_face") == more
    every = columns("score", *again)
    assert {"fake_missing", "fake_raising", "fake_range"} <= set(every)
    assert {name: every[name] for name in more} == more


def test_a_failed_clip_exits_with_3_and_says_why(
    bench: Any, emojibench: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ["--clips", "2", "--metrics", "fake_l1", "--set", "a=raise", "--out", bench.out, "--name", "r"]
    assert emojibench("run", "--method", "fake", *flags) == 3
    printed = capfd.readouterr()
    assert "failed: a: RuntimeError: the network exploded" in printed.err
    assert "1 of 2: RuntimeError: the network exploded" in printed.out
    assert emojibench("run", "--method", "fake", *flags, "--seed", "1") == 2
    assert "seed: 0, 1" in capfd.readouterr().err
