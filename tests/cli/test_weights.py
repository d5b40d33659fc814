"""The real command in its own process, without network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY / "../shared/weights"


def emojibench(*arguments: str, cache: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EMOJIBENCH_")}
    environment |= {"EMOJIBENCH_CACHE": str(cache), "EMOJIBENCH_OFFLINE": "1", "COLUMNS": "300", **variables}
    return subprocess.run(
        [sys.executable, "-m", "emojibench", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=REPOSITORY,
        timeout=120,
        check=False,
    )


def test_list_shows_what_is_here_and_what_is_not(tmp_path: Path) -> None:
    result = emojibench("weights", "list", "--json", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["alexnet"]["path"] is None
    assert rows["alexnet"]["bytes"] == 244_408_911
    assert rows["arcface-w600k-r50"]["non_commercial"] is True
    assert rows["lpips-lin-squeeze"]["path"].endswith("squeeze.pth")


def test_the_table_marks_non_commercial_files(tmp_path: Path) -> None:
    result = emojibench("weights", "list", cache=tmp_path)
    assert result.returncode == 0, result.stderr
    line = next(line for line in result.stdout.splitlines() if line.startswith("scrfd-10g"))
    assert "NON-COMMERCIAL" in line
    assert "missing: https" in line


def test_a_file_that_only_pretends_is_one_row_of_the_list(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "alexnet-owt-7be5be79.pth").write_bytes(b"not weights")
    result = emojibench("weights", "list", "--json", cache=tmp_path, EMOJIBENCH_WEIGHTS=str(folder))
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert "not the official alexnet-owt-7be5be79.pth" in rows["alexnet"]["problem"]
    fetched = emojibench("weights", "fetch", "alexnet", cache=tmp_path, EMOJIBENCH_WEIGHTS=str(folder))
    assert fetched.returncode == 2
    assert "not the official alexnet-owt-7be5be79.pth" in fetched.stderr


def test_fetch_prints_paths_and_ends_with_3_when_something_cannot_be_had(tmp_path: Path) -> None:
    result = emojibench("weights", "fetch", "vgg16", "lpips-lin-vgg", cache=tmp_path)
    assert result.returncode == 3
    name, path = result.stdout.strip().split("\t")
    assert name == "lpips-lin-vgg"
    assert Path(path).is_file()
    assert (
        "vgg16-397923af.pth: not in EMOJIBENCH_WEIGHTS or the cache, and EMOJIBENCH_OFFLINE" in result.stderr
    )
    assert "https://download.pytorch.org/models/vgg16-397923af.pth" in result.stderr


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared weights are not beside the repository")
def test_the_shared_folder_is_recognised(tmp_path: Path) -> None:
    result = emojibench("weights", "list", "--json", cache=tmp_path, EMOJIBENCH_WEIGHTS=str(SHARED))
    found = {row["name"] for row in json.loads(result.stdout) if row["path"]}
    assert found >= {
        "squeezenet1_1-features",
        "scrfd-500m",
        "mobilefacenet-arcface128",
        "face-landmarker-task",
    }
