"""The run folder by itself: appending, repairing, refusing."""

import errno
import os
from pathlib import Path

import pytest

from emojibench.errors import UserError
from emojibench.protocol import Protocol
from emojibench.runs.folder import OutputError, RunFolder
from emojibench.runs.records import Row
from emojibench.runs.spec import RunSpec, clip_seed


def row(clip_id: str, value: float) -> Row:
    return Row(clip_id=clip_id, subject="s", domain="d", metric="m", value=value, unit="", n=1, status="ok")


def spec(first_scored: int) -> RunSpec:
    return RunSpec(
        name="r", source="method", method="m", options={}, revision="1", dataset_ref="d", dataset="d",
        dataset_version="1", dataset_digest="0" * 64, split="self", clips=("a",), seed=0, metrics=("l1",),
        protocol=Protocol(detector="d", first_scored={"self": first_scored, "cross": 0}),
    )  # fmt: skip


def test_the_last_row_counts_and_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r")
    with folder:
        folder.bind(spec(1))
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
    good = row("a", 1.0).model_dump_json()
    for bad in ("gibberish", good.replace('"value":1.0', '"value":1.0,"value":2.0'), "{}"):
        (tmp_path / "rows.jsonl").write_text(f"{bad}\n{good}\n")
        with pytest.raises(UserError, match=r"rows\.jsonl, line 1: .*delete the line"):
            RunFolder(tmp_path).rows()


def test_what_plugins_say_can_be_read_again(tmp_path: Path) -> None:
    said = row("a", 1.0).model_copy(update={"status": "failed", "value": None})
    said = Row.model_validate(said.model_dump() | {"reason": "null \0, surrogate \ud800"})
    with RunFolder(tmp_path / "r") as folder:
        folder.append([said])
        assert folder.rows()["a", "m"].reason == r"null \x00, surrogate \ud800"


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


def test_what_a_kill_leaves_while_a_file_is_written_is_no_stranger(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".spec.json.tmp").write_text("{")
    for overwrite in (True, False):
        with RunFolder(tmp_path / "r") as folder:
            folder.bind(spec(1), overwrite=overwrite)
    assert folder.spec().model_copy(update={"columns": ()}) == spec(1)
    assert not (tmp_path / "r" / ".spec.json.tmp").exists()


def test_a_folder_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    for name in ("logs/mine.txt", ".scratch/mine.txt", "notes/mine.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=r"is not a run folder \(no spec\.json\) but holds 'notes'"):
        RunFolder(tmp_path).__enter__()
    assert len(list(tmp_path.rglob("mine.txt"))) == 3
    assert not (tmp_path / ".lock").exists()


def test_a_run_that_is_replaced_never_looks_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with RunFolder(tmp_path / "r") as folder:
        folder.bind(spec(1))
        folder.write_json("summary.json", {})
        (tmp_path / "r" / "animations").mkdir()
        with monkeypatch.context() as patch:
            patch.setattr("emojibench.runs.folder.shutil.rmtree", killed)
            with pytest.raises(KeyboardInterrupt):
                folder.bind(spec(2), overwrite=True)
    assert not (tmp_path / "r" / "summary.json").exists()


def test_a_disk_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("emojibench.files.locking.fcntl.flock", none)
    with pytest.raises(
        UserError, match=r"expected a disk that can lock files, got No locks available; choose"
    ):
        RunFolder(tmp_path / "r").__enter__()


def test_a_run_under_another_protocol_has_no_summary_until_it_is_scored(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "r") as folder:
        folder.bind(spec(1))
        folder.write_json("summary.json", {})
        folder.bind(spec(1))
        assert (tmp_path / "r" / "summary.json").exists()
        folder.bind(spec(2))
    assert not (tmp_path / "r" / "summary.json").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"])
def test_damaged_features_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "a.npz").write_bytes(content)
    with pytest.raises(
        UserError, match=r"features/a\.npz: expected a whole .npz file.*; delete it and score"
    ):
        RunFolder(tmp_path).features("a")


def test_seeds_belong_to_the_clip_and_the_run() -> None:
    assert clip_seed(0, "a") == clip_seed(0, "a")
    assert len({clip_seed(0, "a"), clip_seed(0, "b"), clip_seed(1, "a")}) == 3
    assert clip_seed(0, "mini-000") == 2040034457  # first 31 bits of what sha256sum prints for it
    assert all(0 <= clip_seed(seed, "x") < 2**31 for seed in range(100))
