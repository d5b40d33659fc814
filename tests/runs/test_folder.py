"""The run folder by itself: appending, repairing, refusing."""

import errno
import os
from pathlib import Path

import pytest

from emojibench.errors import UserError
from emojibench.runs.folder import OutputError, RunFolder
from emojibench.runs.records import Row
from emojibench.runs.spec import clip_seed


def row(clip_id: str, value: float) -> Row:
    return Row(clip_id=clip_id, subject="s", domain="d", metric="m", value=value, unit="", n=1, status="ok")


def test_the_last_row_counts_and_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r")
    with folder:
        folder.append([row("a", 1.0), row("b", 2.0)])
        folder.append([row("a", 3.0)])
    file = tmp_path / "r" / "rows.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"clip_id": "c", "subj')
    assert {key: row.value for key, row in folder.rows().items()} == {("a", "m"): 3.0, ("b", "m"): 2.0}
    with folder:
        folder.append([row("c", 4.0)])
    assert file.read_bytes().startswith(whole)
    assert len(folder.rows()) == 3


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("gibberish\n" + row("a", 1.0).model_dump_json() + "\n")
    with pytest.raises(UserError, match="line 1: not a row"):
        RunFolder(tmp_path).rows()


def test_a_failed_append_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunFolder(tmp_path / "r") as folder:
        folder.append([row("a", 1.0)])
        before = (tmp_path / "r" / "rows.jsonl").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OutputError, match=r"rows\.jsonl: No space left on device; free some space"):
                folder.append([row("b", 2.0)])
        assert (tmp_path / "r" / "rows.jsonl").read_bytes() == before


def test_seeds_belong_to_the_clip_and_the_run() -> None:
    assert clip_seed(0, "a") == clip_seed(0, "a")
    assert len({clip_seed(0, "a"), clip_seed(0, "b"), clip_seed(1, "a")}) == 3
    assert clip_seed(0, "mini-000") == 2040034457  # first 31 bits of what sha256sum prints for it
    assert all(0 <= clip_seed(seed, "x") < 2**31 for seed in range(100))
