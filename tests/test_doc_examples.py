"""The examples in README and docs that take no time: they run, and give what the page says."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from emojibench_metrics.interface import ClipArrays

from emojibench.cli import main
from emojibench.dataset.clip import Clip
from emojibench.errors import UserError
from emojibench.face.driving import DrivingSequence

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (3, 32, 32, 3), np.uint8)


def example(page: str, containing: str) -> str:
    """The Python block of a page that has this text."""
    found = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in found if containing in block]
    return block


def names_of(page: str, containing: str, **given: Any) -> dict[str, Any]:
    """What the block defines when it is run with these names."""
    exec(compile(example(page, containing), page, "exec"), given)
    return given


def test_metrics_are_plain_functions(capsys: pytest.CaptureFixture[str]) -> None:
    model, x = torch.nn.Linear(4, 2), torch.ones(3, 4)
    names_of("metrics.md", "count_flops", generated=FRAMES, truth=FRAMES, model=model, x=x)
    assert capsys.readouterr().out.startswith("48 ")  # 3 x 4 times 4 x 2, two for each multiply-add


def test_the_metric_that_is_to_be_copied() -> None:
    metric = names_of("metrics.md", "class Sharpness")["Sharpness"](lambda name: Path(name))
    clip = ClipArrays(FRAMES)
    figure = metric.measure(clip)["sharpness"]
    assert (figure.value, figure.n) == (
        pytest.approx(np.abs(np.diff(FRAMES.astype(float), axis=2)).mean()),
        3,
    )
    assert metric.traits[0].name == "sharpness"


def test_the_method_that_is_to_be_copied() -> None:
    waver = names_of("add_a_method.md", "class Waver")["Waver"]
    driving = DrivingSequence(np.zeros((3, 478, 3), np.float32), 25.0, (32, 32), "test")
    clip = Clip("clip", "cross", "realistic", "one", "other", FRAMES[0], None, driving)
    told: list[tuple[int, int]] = []
    made = waver({"pixels": "2"}).animate(
        clip, seed=0, progress=lambda done, total: told.append((done, total))
    )
    np.testing.assert_array_equal(made.frames[2], np.roll(FRAMES[0], 4, axis=1))
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(UserError, match="waver: expected --set pixels=N"):
        waver({"speed": "2"})


@pytest.mark.parametrize(
    ("page", "command", "said"),
    [
        ("README.md", "emojibench methods", "landmark-warp"),
        ("README.md", "emojibench metrics", "landmark_accuracy"),
        ("docs/weights.md", "emojibench weights list", "arcface-w600k-r50"),
        ("docs/datasets.md", "emojibench data info mini", "cross"),
    ],
)
def test_commands_that_only_look(
    page: str, command: str, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / page).read_text()
    assert command in text or command.removeprefix("emojibench ") in text
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert said in capfd.readouterr().out


def test_an_accepted_run_is_the_same_as_itself(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """docs/leaderboards.md: `emojibench gate --baseline leaderboards/accepted/<track>/<method>-<split>`."""
    run = str(next((ROOT / "leaderboards/accepted").glob("*/landmark-warp-self")))
    monkeypatch.setattr(sys, "argv", ["emojibench", "gate", "--baseline", run, "--run", run])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert "same" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "cheaper"),
    [
        ("README.md", ("clips=2", "clips=1, frames=4")),
        ("docs/runs.md", ("clips=50, jobs=2", "clips=1, frames=4")),
    ],
)
def test_scripts_run(page: str, cheaper: tuple[str, str], tmp_path: Path) -> None:
    """As files, because worker processes import the script again."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    (script,) = [block for block in blocks if cheaper[0] in block]
    (tmp_path / "example.py").write_text(script.replace(*cheaper))
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
