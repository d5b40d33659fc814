"""Run folders of strangers that are to be continued: writing never leads out of them, and never waits."""

import os
from pathlib import Path
from typing import Any

import pytest

from emojibench.errors import WriteError
from emojibench.runs.folder import RunFolder


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    (folder / "a").mkdir(parents=True)
    (folder / "file").write_text("precious, without an end of line")
    return folder


@pytest.mark.parametrize("name", [".scratch", "animations", "animations/a", "features", "logs"])
def test_folders_that_lead_elsewhere_are_refused(tmp_path: Path, precious: Path, name: str) -> None:
    link = tmp_path / "r" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(precious)
    _refused(tmp_path / "r", "a symbolic link")
    assert (precious / "file").read_text() == "precious, without an end of line"
    assert (precious / "a").is_dir()


@pytest.mark.parametrize(
    "name", ["rows.jsonl", ".lock", ".spec.json.tmp", ".rows.parquet.tmp", "features/a.npz"]
)
@pytest.mark.parametrize("kind", ["a symbolic link", "a pipe, socket or device"])
def test_files_that_lead_elsewhere_are_refused(tmp_path: Path, precious: Path, name: str, kind: str) -> None:
    file = tmp_path / "r" / name
    file.parent.mkdir(parents=True)
    if kind == "a symbolic link":
        file.symlink_to(precious / "file")
    else:
        os.mkfifo(file)
    _refused(tmp_path / "r", kind)
    assert (precious / "file").read_text() == "precious, without an end of line"


def test_a_run_folder_may_be_a_link_and_its_scratch_hold_some(
    bench: Any, tmp_path: Path, precious: Path
) -> None:
    (tmp_path / "disk" / ".scratch" / "a").mkdir(parents=True)
    (tmp_path / "disk" / ".scratch" / "a" / "weights").symlink_to(precious)  # of a command that was killed
    bench.out.mkdir(exist_ok=True)
    (bench.out / "r").symlink_to(tmp_path / "disk")
    assert bench.run("fake", name="r", clips=1, metrics=["fake_l1"]).failed == {}
    assert (tmp_path / "disk" / "summary.json").is_file()
    assert (precious / "file").is_file()


def _refused(folder: Path, kind: str) -> None:
    with (
        pytest.raises(WriteError, match=rf"{folder}/.*: expected a plain file or folder .*, got {kind}"),
        RunFolder(folder),
    ):
        pass
