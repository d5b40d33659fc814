"""Settings of `train`, `ablate` and `accel` in a file: what --dry-run prints is what --config takes."""

import sys
from pathlib import Path

import pytest

from emojibench.cli import main
from emojibench.errors import UserError
from emojibench.fye.settings import AblateSettings, AccelSettings, Settings, TrainSettings, settle


@pytest.mark.parametrize("kind", [TrainSettings, AblateSettings, AccelSettings])
def test_what_is_printed_is_read_back(kind: type[Settings], tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(kind().yaml())
    assert settle(kind, file, {}) == kind()
    assert all(field.description for field in kind.model_fields.values())


def test_flags_come_on_top_of_the_file_and_options_are_text(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("set: {steps: 4, mask: none, compile: true}\nclips: [a, b]\nseed: 3\ntraced: 1\n")
    settings = settle(AccelSettings, file, {"seed": 5, "traced": None})
    assert settings.options == {"steps": "4", "mask": "none", "compile": "true"}
    assert (settings.clips, settings.seed, settings.traced) == (("a", "b"), 5, 1)
    file.write_text(settings.yaml())
    assert settle(AccelSettings, file, {}) == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: [1]", "unknown key 'stepz'. Did you mean 'steps'?"),
        ("files: {}", "unknown key 'files'"),
        ("device: tpu", "device: expected 'cpu' or 'cuda', got 'tpu'; correct the file"),
        ("minutes: -1", "minutes: expected greater than or equal to 0.01, got -1"),
        ("steps: 3", "steps: expected a valid list, got 3"),
        ("steps: [1, x]", "steps.1: expected a valid integer"),
        ("start: /no/file", "start: Path does not point to a file, got '/no/file'"),
        ("minutes: .inf", "not usable YAML"),
        ("[]", "expected an object (key: value), got a list"),
    ],
)
def test_mistakes_in_a_file_are_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        settle(TrainSettings, file, {})
    assert str(file) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "flags",
    [
        ["accel", "--dataset", "mini", "--clips", "2", "--rows", "tic", "--set", "steps=10", "--traced", "1"],
        ["ablate", "--steps", "2,1,1", "--clips", "2", "--split", "self", "--bf16", "--rows", "overlap"],
    ],
    ids=["accel", "ablate"],
)
def test_a_dry_run_of_a_printed_file_prints_it_again(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def dry_run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["emojibench", *arguments, "--dry-run"])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capfd.readouterr()
        assert not end.value.code, printed.err
        return printed.out

    monkeypatch.chdir(tmp_path)
    first = dry_run(*flags)
    Path("again.yaml").write_text(first)
    assert dry_run(flags[0], "--config", "again.yaml") == first
    assert [file.name for file in Path().iterdir()] == ["again.yaml"]
