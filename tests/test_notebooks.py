"""What a user of a notebook sees."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import emojibench
from emojibench.dataset.clip import Clip
from emojibench.face.driving import DrivingSequence
from emojibench.reports.gating import Comparison, GateResult
from emojibench.reports.verdicts import Verdict
from emojibench.runs.result import RunResult
from emojibench.runs.summary import Summary


def clip() -> Clip:
    landmarks = np.zeros((2, 478, 3), np.float32)
    driving = DrivingSequence(landmarks, 25.0, (64, 48), "detector")
    return Clip("c", "self", "real", "<b>", "d", np.zeros((48, 64, 3), np.uint8), None, driving)


def result() -> RunResult:
    entry = {
        "mean": 0.5, "low": 0.25, "high": None, "decimals": 2, "n_clips": 2, "expected": 3, "unit": "px",
        "status": "ok",
    }  # fmt: skip
    metrics = (
        {"id_sim": entry | {"lost": 0.25}}
        | {f"metric{i}": entry for i in range(200)}
        | {"<i>": entry | {"mean": None}}
    )
    summary = Summary(
        name="r", method="m", revision="1", split="self", dataset={"name": "d", "version": "1", "digest": "d1"},
        protocol="p", clips={"animated": 2, "expected": 3, "failed": {"c": "RuntimeError"}}, metrics=metrics,
    )  # fmt: skip
    return RunResult(Path("runs/r"), summary, {"c": "RuntimeError"}, {"fvd": "no weights"})


def gate() -> GateResult:
    columns = [Comparison("l1", "lower", Verdict.REGRESSED, "far < near", 0.1, 0.2, clips=3)]
    columns += [Comparison(f"metric{i}", "lower", Verdict.SAME) for i in range(200)]
    return GateResult(Path("old"), Path("new"), tuple(columns))


def test_the_api_is_listed_without_importing_anything() -> None:
    assert set(emojibench.__all__) <= set(dir(emojibench))
    assert not [name for name in dir(emojibench) if name not in emojibench.__all__ and name[0] != "_"]
    code = "import emojibench, sys; dir(emojibench); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_shown_is_a_few_lines() -> None:
    for thing in (gate(), clip(), clip().driving, result(), emojibench.load_dataset("mini")):
        assert len(repr(thing).splitlines()) <= 8
        assert len(repr(thing)) < 800
    assert "regressed: l1" in repr(gate())
    assert "metric0 0.50" in repr(result())
    assert "id_sim 0.50 (25.0 % lost)" in repr(result())
    assert "failed: c" in repr(result())
    assert "portrait 64x48, no face found" in repr(clip())


def test_tables_for_notebooks_are_escaped() -> None:
    assert "<td>&lt;b&gt;</td>" in clip()._repr_html_()
    assert "<td>regressed: far &lt; near</td>" in gate()._repr_html_()
    html = result()._repr_html_()
    assert "<td>metric0</td><td>0.50</td><td>–</td><td>2 of 3</td>" in html
    assert "<i>" not in html
