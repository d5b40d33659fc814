import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from emojibench_baselines.fye.released import FyeReleased
from typer.testing import CliRunner

from emojibench import weights
from emojibench.errors import UserError
from emojibench.fye.animators import RELEASED_FILES
from emojibench.weights import store
from emojibench.weights.table import UNPUBLISHED


@pytest.fixture(autouse=True)
def no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EMOJIBENCH_OFFLINE", "1")
    monkeypatch.delenv("EMOJIBENCH_WEIGHTS", raising=False)
    monkeypatch.setattr(store, "_index", store._Index())


def test_the_command_says_which_files_to_get_from_where_and_where_to_put_them(tmp_path: Path) -> None:
    from emojibench.cli import app

    result = CliRunner().invoke(app, ["run", "--method", "fye-released", "--out", str(tmp_path / "runs")])
    assert isinstance(result.exception, UserError)  # `main` prints it and ends with 2
    text = str(result.exception)
    assert "expected 5 files of trained weights, 5 of them missing" in text
    for name in RELEASED_FILES.values():
        entry = weights.TABLE[name]
        assert re.search(f"^  {re.escape(entry.file)}  from  {re.escape(entry.url)}$", text, re.MULTILINE)
    assert "set EMOJIBENCH_WEIGHTS to the folder" in text


def test_only_what_is_missing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "unet.pth").write_bytes(b"whatever")
    with pytest.raises(UserError, match="4 of them missing") as caught:
        FyeReleased({})
    assert "unet.pth" not in str(caught.value)


def test_files_that_are_not_the_released_ones_are_user_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(tmp_path))
    for name in RELEASED_FILES.values():
        entry = weights.TABLE[name]
        monkeypatch.setitem(weights.TABLE, name, replace(entry, digest=UNPUBLISHED))
        torch.save({"a": torch.ones(1)}, tmp_path / entry.file)
    with pytest.raises(UserError, match=r"fye-released: .*unet\.pth: expected the 1276 tensors"):
        FyeReleased({"device": "cpu"})
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device: cuda was asked for, but PyTorch finds no CUDA device"):
            FyeReleased({})


def test_bad_options_are_user_errors() -> None:
    with pytest.raises(UserError, match="Did you mean 'overlap'"):
        FyeReleased({"overlaps": "4"})
