"""`emojibench report --sheet`: the same frames of all methods side by side."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import emojibench
from emojibench.cli import main
from emojibench.media import read_image


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A method on two cross clips of `mini`."""
    root = tmp_path_factory.mktemp("sheet") / "runs"
    emojibench.run("landmark-warp", split="cross", clips=2, frames=6, metrics=["l1"], out=root, quiet=True)
    return root


def report(monkeypatch: pytest.MonkeyPatch, *flags: object) -> int:
    monkeypatch.setattr(sys, "argv", ["emojibench", "report", *map(str, flags)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_a_sheet_has_driving_method_and_truth_and_says_what_is_missing(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    copied = shutil.copytree(runs, tmp_path / "runs")
    shutil.rmtree(copied / "landmark-warp-cross-mini/animations/cross-synth-0001")
    assert report(monkeypatch, "--sheet", "--runs", copied, "--out", tmp_path, "--frames", 1) == 0
    (file,) = capfd.readouterr().out.split()
    assert Path(file).name.endswith("-cross.jpg")
    sheet = read_image(file).astype(int)
    one, other = sheet[-260:-132], sheet[-130:-2]
    columns = [sheet.shape[1] - 128 * n - 2 * (n - 1) for n in (3, 2, 1)]
    driving, warp, truth = ([row[:, left : left + 128] for row in (one, other)] for left in columns)
    assert np.abs(warp[0] - truth[0]).mean() < np.abs(driving[0] - truth[0]).mean()
    assert np.median(warp[1]) > 230, "a grey tile with the reason"


def test_many_methods_stand_below_one_another(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        folder = shutil.copytree(runs / "landmark-warp-cross-mini", tmp_path / f"runs/{number}")
        for name in ("spec.json", "summary.json"):
            about = json.loads((folder / name).read_text()) | {"name": f"{number}", "method": f"m-{number}"}
            (folder / name).write_text(json.dumps(about))
    assert report(monkeypatch, "--sheet", "--runs", tmp_path / "runs", "--out", tmp_path) == 0
    sheet = read_image(capfd.readouterr().out.strip())
    assert sheet.shape[0] > 15 * 128, "portrait, driving, twelve methods, truth"
    assert sheet.shape[1] < 4 * 128, "a column for each clip"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sheet", "--clips", "cross-synth-001"], "Did you mean 'cross-synth-0001'?"),
        (["--sheet", "--frames", "0"], "--frames: expected a number of at least 1, got 0"),
        (["--sheet", "nowhere"], "nowhere: no such run folder"),
        (["--sheet", "--html"], "--sheet: does not go with --json, --html"),
        (["--clips", "3"], "RUN, --clips, --frames: expected together with --sheet"),
    ],
)
def test_mistakes_are_told(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(monkeypatch, *flags, "--runs", runs) == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
