"""`emojibench data preview`: what is in a dataset, at one glance."""

import sys
from pathlib import Path

import pytest

from emojibench.cli import main
from emojibench.media import read_image


def preview(monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    monkeypatch.setattr(sys, "argv", ["emojibench", "data", "preview", *flags])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_portraits_and_driving_frames_with_their_landmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert preview(monkeypatch, "mini", "--clips", "1", "--frames", "3") == 0
    assert capfd.readouterr().out == "mini-preview.png\n"
    sheet = read_image("mini-preview.png")
    height, width, _ = sheet.shape
    assert height > 2 * 160, "a clip of each split"
    assert width > 4 * 160
    pupils = (sheet == (255, 0, 0)).all(axis=2)
    assert pupils.sum() > 8 * 3, "two pupils on every picture"
    assert preview(monkeypatch, "mini", "--clips", "1") == 2
    assert "is there already; add --overwrite" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["mnii"], "unknown dataset 'mnii'. Did you mean 'mini'?"),
        (["mini", "--split", "crss"], "unknown split 'crss'. Did you mean 'cross'?"),
        (
            ["mini", "--clips", "self-synth-000"],
            "--clips: unknown clip 'self-synth-000'. Did you mean 'self-synth-0003'?",
        ),
        (["mini", "--clips", "0"], "--clips: expected a number of at least 1"),
        (["mini", "--out", "a.gif"], "--out a.gif: expected a name that ends in .png or .jpg"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert preview(monkeypatch, *flags) == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
